"""The operations a file is given; and the seams of peewee-migrate and Peewee that they stand on."""

import logging
from threading import Event, Thread

import peewee as pw
import pytest
from peewee_migrate import Migrator
from peewee_migrate.migrator import ORM
from playhouse.migrate import Operation

from tests.conftest import execute
from toolkit.engine import Engine
from toolkit.errors import MigrationFailedError
from toolkit.operations import Nothing, OfflineDatabase, Operations

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
    """An engine that has applied one file, which counts how often it is run."""
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


def test_asking_for_what_was_left_runs_the_applied_files_once(engine, db, write, tmp_path):
    write("002_email", ADD_EMAIL)
    write("003_fill", FILL)
    write("004_more", FILL)
    engine.up()
    assert runs(tmp_path) == 2
    assert count(db, "users") == 2
    assert "email" in {column.name for column in db.get_columns("users")}


def test_a_rollback_that_asks_runs_the_applied_files_once(engine, db, write, tmp_path):
    write("002_email", ADD_EMAIL)
    write("003_fill", FILL)
    engine.up()
    before = runs(tmp_path)
    engine.down()
    assert runs(tmp_path) == before + 1
    engine.down("zero")
    assert db.get_tables() == ["migratehistory"]


BY_SQL = """
def migrate(migrator, database, *, fake=False):
    {migrate}

def rollback(migrator, database, *, fake=False):
    migrator.sql('{rollback}')
"""


def columns(db):
    return sorted(column.name for column in db.get_columns("users"))


def test_after_a_rollback_by_sql_the_models_are_those_of_the_database(engine, db, write):
    """Or a field that is there again is one that was removed before."""
    before = columns(db)
    back = "ALTER TABLE users ADD COLUMN name varchar(255)"
    write(
        "002_no_name",
        BY_SQL.format(migrate="migrator.remove_fields('users', 'name')", rollback=back),
    )
    engine.up()
    engine.redo()
    assert columns(db) == [name for name in before if name != "name"]
    rename = "migrator.rename_field('users', 'id', 'number')"
    back = "ALTER TABLE users RENAME COLUMN number TO id"
    write("003_number", BY_SQL.format(migrate=rename, rollback=back))
    engine.up()
    engine.redo(2)
    engine.down("001_users")
    assert columns(db) == before


def test_a_field_that_is_not_there_is_not_removed_in_silence(engine, write):
    write(
        "002_slip",
        BY_SQL.format(migrate="migrator.remove_fields('users', 'nmae')", rollback="SELECT 1"),
    )
    with pytest.raises(MigrationFailedError, match="users has no field nmae: it has id, name"):
        engine.up()


def test_what_is_asked_for_in_a_fake_block_changes_the_models_alone(engine, db, write):
    fake = """with migrator.fake():
        migrator.remove_fields('users', 'name')
    migrator.sql('SELECT 1')"""
    write("002_fake", BY_SQL.format(migrate=fake, rollback="SELECT 1"))
    engine.up()
    assert "name" in columns(db)


def test_the_replay_reaches_no_server(engine, db, write, tmp_path):
    assert count(db, "witness") == 3
    write("002_email", ADD_EMAIL)
    engine.up()
    assert runs(tmp_path) == 2
    assert count(db, "witness") == 3


def test_the_replay_leaves_another_thread_alone(engine, server, write):
    """A replay that lasts until the other thread, on the other database, has done its work."""
    ready, worked = Event(), Event()
    found = []

    def work():
        ready.wait(10)
        found.extend(execute(server, "SELECT 41 + 1"))
        other = pw.PostgresqlDatabase(server.url.name, **server.libpq())
        with other.connection_context():
            found.append(other.execute_sql("SELECT 43").fetchone())
        worked.set()

    thread = Thread(target=work)
    thread.start()
    import builtins

    builtins.replay_is_at_it = (ready, worked)
    try:
        write(
            "001_users",
            USERS + "\nimport builtins\n_ready, _worked = builtins.replay_is_at_it\n"
            "_ready.set()\n_worked.wait(10)\n",
        )
        engine.accept("001")
        write("002_email", ADD_EMAIL)
        engine.up()
    finally:
        del builtins.replay_is_at_it
        thread.join()
    assert found == [(42,), (43,)]


def test_a_vanished_file_is_named_when_the_replay_needs_it(engine, write, tmp_path):
    (tmp_path / "001_users.py").unlink()
    write("002_email", ADD_EMAIL)
    with pytest.raises(MigrationFailedError, match="what 001_users left, and the file of that is"):
        engine.up()


def test_a_file_that_cannot_be_replayed_is_named(engine, write):
    bad = USERS.replace(
        "    connection =", "    database.execute_sql('x').fetchone()[0]\n    c =", 1
    )
    write("001_users", bad)
    engine.accept("001")
    write("002_email", ADD_EMAIL)
    with pytest.raises(MigrationFailedError, match=r"001_users\.py cannot be run without a data"):
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
def test_nothing_else_is_taken_along_unless_the_file_says_so(engine, db, write, call, statement):
    db.execute_sql("CREATE VIEW names AS SELECT name FROM users")
    body = "def migrate(migrator, database, *, fake=False):\n    {}\nirreversible = True\n"
    write("002_drop", body.format(call.format("")))
    with pytest.raises(MigrationFailedError, match="depend") as caught:
        engine.up()
    assert statement in str(caught.value)
    assert db.get_views()
    write("002_drop", body.format(call.format(", cascade=True")))
    engine.up()
    assert not db.get_views()


def test_no_parameter_reaches_a_log_or_an_error(engine, write, caplog):
    caplog.set_level(logging.INFO)
    write(
        "002_secret",
        "def migrate(migrator, database, *, fake=False):\n"
        "    migrator.sql('SELECT %s::text', 'hush-1')\n"
        "    migrator.sql('SELECT %s::integer', 'hush-2')\nirreversible = True\n",
    )
    with pytest.raises(MigrationFailedError) as caught:
        engine.up()
    assert "hush" not in caplog.text
    assert "hush" not in str(caught.value)
    assert "SELECT %s::integer" in str(caught.value)
    assert caught.value.__cause__ is None


def test_nothing_queued_by_a_failed_step_reaches_a_later_one(engine, db, write):
    write(
        "002_half",
        "def migrate(migrator, database, *, fake=False):\n"
        "    migrator.sql('CREATE TABLE half (id INTEGER)')\n    raise RuntimeError('stop')\n"
        "irreversible = True\n",
    )
    with pytest.raises(
        MigrationFailedError, match=r"002_half\.py:3: it failed: RuntimeError: stop"
    ):
        engine.up()
    write("002_half", PLAIN.format("plain"))
    engine.up()
    assert "half" not in db.get_tables()


# The seams: an upgrade that moves one fails here first.


def test_seam_operations_queue_up_in_ops(db):
    migrator = Migrator(db)
    assert migrator.__ops__ == []
    migrator.sql("SELECT 1")
    migrator.run(print)
    migrator.create_model(type("T", (pw.Model,), {}))
    sql, run, create = migrator.__ops__
    assert isinstance(sql, Operation)
    assert callable(run)
    assert callable(create)


def test_seam_the_last_operation_of_create_model_creates_the_table(db):
    class Thing(pw.Model):
        pass

    migrator = Migrator(db)
    migrator.create_model(Thing)
    assert migrator.__ops__ == [Thing.create_table]
    assert not Thing.table_exists()  # it is bound to a database that answers


def test_seam_a_model_is_looked_up_by_get_model(db):
    class Thing(pw.Model):
        pass

    migrator = Migrator(db)
    migrator.create_model(Thing)
    assert migrator.__get_model__("thing") is migrator.__get_model__("Thing") is Thing
    with pytest.raises(ValueError, match="not found"):
        migrator.__get_model__("nothing")


def test_seam_the_orm_keeps_models_and_tables(db):
    class Thing(pw.Model):
        pass

    orm = ORM()
    orm.add(Thing)
    assert orm.__models__ == {"Thing": Thing}
    assert orm.__tables__ == {"thing": Thing}
    assert list(orm) == [Thing]
    assert db is not None


def test_seam_a_database_connects_by_connect_alone():
    offline = OfflineDatabase()
    assert isinstance(offline.connection(), Nothing)
    assert offline.execute_sql("SELECT 1").fetchall() == []
    assert offline.get_tables() == []
    with offline.atomic(), offline.savepoint():
        pass


def test_seam_operations_are_what_the_files_get(db):
    assert issubclass(Operations, Migrator)
    assert Operations(db, lambda _: None).__database__ is db
