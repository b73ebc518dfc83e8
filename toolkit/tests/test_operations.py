"""The operations of a migration file: strict ones, and models of earlier files when needed."""

import builtins
from threading import Event, Thread

import peewee as pw
import pytest

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.engine import Engine
from tests.migration_files import migration
from tests.support import execute

HEAD = "import peewee as pw\nfrom pathlib import Path\n"
COUNTED = "    with Path(__file__).with_suffix('.runs').open('a') as runs: runs.write('run ')\n"
USERS = (
    HEAD
    + "def migrate(migrator, database, *, fake=False):\n"
    + COUNTED
    + """
    @migrator.create_model
    class User(pw.Model):
        name = pw.CharField()
        class Meta:
            table_name = "users"

    connection = database.connection()
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS witness (id SERIAL)")
        cursor.execute("INSERT INTO witness DEFAULT VALUES")
    database.execute_sql("INSERT INTO witness DEFAULT VALUES").rowcount
    with database.atomic():
        database.execute_sql("INSERT INTO witness DEFAULT VALUES")

def rollback(migrator, database, *, fake=False):
    migrator.remove_model("users")
    migrator.sql("DROP TABLE witness")
"""
)
PLAIN = (
    HEAD
    + """
def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE {0} (id INTEGER)")
    @migrator.create_model
    class {0}_too(pw.Model):
        name = pw.CharField()
    migrator.orm["{0}_too"], migrator.orm.{0}_too

def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE {0}")
    migrator.sql("DROP TABLE {0}_too")
"""
)
ADD_EMAIL = """
import peewee as pw

def migrate(migrator, database, *, fake=False):
    migrator.add_fields("users", email=pw.CharField(null=True))

def rollback(migrator, database, *, fake=False):
    migrator.remove_fields("users", "email")
"""
FILL = """
def migrate(migrator, database, *, fake=False):
    [*migrator.orm], [*migrator]
    User = migrator.orm["users"]
    migrator.run(lambda: User.create(name="first"))

def rollback(migrator, database, *, fake=False):
    migrator.orm.User.delete().execute()
"""


@pytest.fixture
def engine(db, tmp_path, write):
    """An engine that has applied one file, which counts its runs."""
    write("001_users", USERS)
    engine = Engine(db, tmp_path)
    engine.up()
    return engine


def runs(tmp_path):
    return (tmp_path / "001_users.runs").read_text().count("run")


def count(db, table):
    return db.execute_sql(f"SELECT count(*) FROM {table}").fetchone()[0]


def test_a_file_that_creates_tables_or_runs_sql_runs_no_applied_file(engine, write, tmp_path):
    write("002_plain", PLAIN.format("plain"))
    engine.up()
    engine.up()
    engine.down()
    assert runs(tmp_path) == 1


def test_the_first_use_of_an_earlier_model_runs_the_applied_files_once(engine, db, write, tmp_path):
    write("002_email", ADD_EMAIL)
    write("003_fill", FILL)
    write("004_more", FILL)
    engine.up()
    assert runs(tmp_path) == 2
    assert count(db, "users") == 2
    assert "email" in {column.name for column in db.get_columns("users")}


def test_a_rollback_that_uses_an_earlier_model_runs_the_applied_files_once(
    engine, db, write, tmp_path
):
    write("002_email", ADD_EMAIL)
    write("003_fill", FILL)
    engine.up()
    before = runs(tmp_path)
    engine.down()
    assert runs(tmp_path) == before + 1
    engine.down("zero")
    assert db.get_tables() == ["migratehistory"]


def columns(db):
    return sorted(column.name for column in db.get_columns("users"))


def test_models_match_the_database_after_a_rollback_by_sql(engine, db, write):
    before = columns(db)
    back = "migrator.sql('ALTER TABLE users ADD COLUMN name varchar(255)')"
    write("002_no_name", migration("migrator.remove_fields('users', 'name')", back))
    engine.up()
    engine.redo()
    assert columns(db) == [name for name in before if name != "name"]
    back = "migrator.sql('ALTER TABLE users RENAME COLUMN number TO id')"
    write("003_number", migration("migrator.rename_field('users', 'id', 'number')", back))
    engine.up()
    engine.redo(2)
    engine.down("001_users")
    assert columns(db) == before


def test_removing_an_unknown_field_is_an_error(engine, write):
    write("002_slip", migration("migrator.remove_fields('users', 'nmae')"))
    with pytest.raises(
        MigrationFailedError, match=r"users has no field nmae\.\n  Fix: .*; its fields: name"
    ):
        engine.up()


def test_operations_in_a_fake_block_change_the_models_only(engine, db, write):
    fake = """with migrator.fake():
        migrator.remove_fields('users', 'name')
    migrator.sql('SELECT 1')"""
    write("002_fake", migration(fake))
    engine.up()
    assert "name" in columns(db)


def test_the_replay_reaches_no_server(engine, db, write, tmp_path):
    assert count(db, "witness") == 3
    write("002_email", ADD_EMAIL)
    engine.up()
    assert runs(tmp_path) == 2
    assert count(db, "witness") == 3


WAITS = """
import builtins
_ready, _worked = builtins.replay_events
_ready.set()
_worked.wait(10)
"""


def test_the_replay_does_not_affect_another_thread(engine, server, write, monkeypatch):
    """The replay lasts until the other thread has done its work on another database."""
    ready, worked = Event(), Event()
    found = []

    def work():
        ready.wait(10)
        found.extend(execute(server, "SELECT 41 + 1"))
        other = pw.PostgresqlDatabase(server.url.name, **server.connect_kwargs())
        with other.connection_context():
            found.append(other.execute_sql("SELECT 43").fetchone())
        worked.set()

    thread = Thread(target=work)
    thread.start()
    monkeypatch.setattr(builtins, "replay_events", (ready, worked), raising=False)
    try:
        write("001_users", USERS + WAITS)
        engine.accept("001")
        write("002_email", ADD_EMAIL)
        engine.up()
    finally:
        thread.join()
    assert found == [(42,), (43,)]


def test_the_replay_names_a_missing_file(engine, write, tmp_path):
    (tmp_path / "001_users.py").unlink()
    write("002_email", ADD_EMAIL)
    with pytest.raises(
        MigrationFailedError, match="uses the models of 001_users, whose file is missing"
    ):
        engine.up()


def test_the_replay_names_a_file_that_needs_rows(engine, write):
    needs_rows = "    database.execute_sql('x').fetchone()[0]\n    c ="
    write("001_users", USERS.replace("    connection =", needs_rows, 1))
    engine.accept("001")
    write("002_email", ADD_EMAIL)
    with pytest.raises(MigrationFailedError, match=r"001_users\.py cannot run without a database"):
        engine.up()


def test_create_model_on_a_table_that_exists_is_an_error(engine, db, write):
    db.execute_sql("CREATE TABLE plain_too (other TEXT)")
    write("002_plain", PLAIN.format("plain"))
    with pytest.raises(MigrationFailedError, match='relation "plain_too" already exists'):
        engine.up()


CASCADES = {
    "remove_model": ('migrator.remove_model("users"{})', 'DROP TABLE "users"'),
    "remove_fields": ('migrator.remove_fields("users", "name"{})', 'DROP COLUMN "name"'),
}


@pytest.mark.parametrize(("call", "statement"), CASCADES.values(), ids=CASCADES)
def test_an_operation_drops_dependent_objects_only_with_cascade(engine, db, write, call, statement):
    db.execute_sql("CREATE VIEW names AS SELECT name FROM users")
    write("002_drop", migration(call.format("")))
    with pytest.raises(MigrationFailedError, match="depend") as caught:
        engine.up()
    assert statement in str(caught.value)
    assert db.get_views()
    write("002_drop", migration(call.format(", cascade=True")))
    engine.up()
    assert not db.get_views()


def test_operations_and_statements_run_in_the_order_in_which_the_file_has_them(engine, db, write):
    db.execute_sql("INSERT INTO users (name) VALUES ('old'), ('new')")
    archive = """migrator.sql("CREATE TABLE archive AS SELECT * FROM users WHERE name = 'old'")
    database.execute_sql("DELETE FROM users WHERE name = 'old'")
    migrator.add_fields("users", done=__import__("peewee").BooleanField(default=False))
    migrator.run(lambda: database.execute_sql("UPDATE users SET done = true"))
    migrator.orm.User.create(name="third", done=migrator.orm["users"].get().done)"""
    write("002_archive", migration(archive))
    engine.up()
    assert db.execute_sql("SELECT name FROM archive").fetchall() == [("old",)]
    assert db.execute_sql("SELECT name, done FROM users").fetchall() == [
        ("new", True),
        ("third", True),
    ]


def test_the_failure_of_an_operation_names_its_line(engine, write):
    write(
        "002_slip", migration("migrator.sql('SELECT 1')\n    migrator.drop_index('users', 'name')")
    )
    with pytest.raises(
        MigrationFailedError, match=r"002_slip\.py:4: migrate\(\) failed: users has"
    ):
        engine.up()
