"""The transaction of a step: work and record commit together, and a failure reports the truth.

The functions of `db` that the tests replace, such as commit(), are those that Peewee calls itself.
"""

import pytest

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.engine import Engine
from dbfoundation.migrations.history import History
from tests.migration_files import applied, creates, migration, tables
from tests.support import execute

CREATE_X = "migrator.sql('CREATE TABLE x (id INTEGER)')"
COMMIT_BY_ANOTHER_CURSOR = migration(
    "database.execute_sql('CREATE TABLE x (id INTEGER)')\n"
    "    cursor(database.connection()).execute('COMMIT')",  # unseen by the engine
    options="from psycopg2.extensions import cursor",
)


@pytest.fixture
def engine(db, tmp_path, write):
    """An engine that has applied 001_a."""
    write("001_a", creates("a"))
    engine = Engine(db, tmp_path)
    engine.up()
    return engine


# SQL that ends the transaction


BODY = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; END"


@pytest.mark.parametrize(
    "word", ["COMMIT", "rollback", "END", "BEGIN", "/* x */ commit work", f"{BODY}; COMMIT"]
)
def test_sql_that_ends_the_transaction_is_not_sent(engine, db, write, word):
    write("002_x", migration(f"migrator.sql('CREATE TABLE x (id INTEGER); {word}; SELECT 1')"))
    with pytest.raises(MigrationFailedError, match="a statement begins or ends a transaction"):
        engine.up()
    assert tables(db) == ["a"]
    assert applied(engine) == ["001_a"]


def test_sql_that_only_resembles_the_end_of_a_transaction_is_sent(engine, db, write):
    statements = [
        "CREATE TABLE x (y TEXT DEFAULT E'it\\'s; commit', z TEXT DEFAULT '; end')",
        "SAVEPOINT s; ROLLBACK TO SAVEPOINT s",
        "DO $$ BEGIN PERFORM 1; END $$",
        "SELECT 1; -- commit; end",
        "CREATE FUNCTION f() RETURNS integer BEGIN ATOMIC SELECT 1; END",
    ]
    calls = [f"migrator.sql({statement!r})" for statement in statements]
    write("002_x", migration("\n    ".join(calls)))
    engine.up()
    assert tables(db) == ["a", "x"]


def test_a_commit_by_another_cursor_is_detected(engine, db, write):
    write("002_x", COMMIT_BY_ANOTHER_CURSOR)
    with pytest.raises(MigrationFailedError, match="ended the transaction of the step") as caught:
        engine.up()
    assert "the file committed its transaction: its work up to that point remains" in str(
        caught.value
    )
    assert tables(db) == ["a", "x"]
    assert applied(engine) == ["001_a"]


def test_a_commit_in_a_dry_run_is_reported_as_committed(engine, db, write):
    write("002_x", COMMIT_BY_ANOTHER_CURSOR)
    with pytest.raises(MigrationFailedError, match="ended the transaction of the step") as caught:
        engine.dry_run_up()
    assert "the file committed its transaction: its work up to that point remains" in str(
        caught.value
    )
    assert tables(db) == ["a", "x"]


# Transactions of the file's own


def test_an_inner_transaction_is_a_savepoint(engine, db, write):
    inner = """database.execute_sql('CREATE TABLE numbers (n INTEGER)')
    with database.atomic() as inner:
        database.execute_sql('INSERT INTO numbers VALUES (1)')
        inner.rollback()
    database.execute_sql('INSERT INTO numbers VALUES (2)')"""
    write("002_x", migration(inner))
    engine.up()
    assert db.execute_sql("SELECT n FROM numbers").fetchall() == [(2,)]


def test_a_session_that_the_file_leaves_open_commits_with_its_step(engine, db, write, settings):
    write("002_x", migration(f"database.session_start()\n    {CREATE_X}"))
    write("003_y", creates("y"))
    engine.up()
    assert not db.in_transaction()
    assert execute(settings, "SELECT count(*) FROM migratehistory") == [(3,)]
    assert execute(settings, "SELECT to_regclass('x') IS NULL") == [(False,)]


def test_a_caught_error_of_the_server_fails_the_step(engine, db, write):
    catches = f"""{CREATE_X}
    migrator()
    try:
        database.execute_sql('SELECT nonsense')
    except Exception:
        pass"""
    write("002_x", migration(catches))
    with pytest.raises(MigrationFailedError, match="caught an error of the server") as caught:
        engine.up()
    assert "the step is undone" in str(caught.value)
    assert tables(db) == ["a"]


LEFT_OPEN = [
    f"migrator.sql('BEGIN')\n    {CREATE_X}",
    f"database.begin()\n    {CREATE_X}",
    f"database.session_start()\n    {CREATE_X}",
    f"database.connection().autocommit = False\n    {CREATE_X}",
]


@pytest.mark.parametrize("migrate", LEFT_OPEN)
def test_a_transaction_that_a_file_with_atomic_false_leaves_open_is_rolled_back(
    engine, db, write, migrate
):
    write("002_x", migration(migrate, options="atomic = False"))
    with pytest.raises(MigrationFailedError, match="leaves a transaction open, which is rolled"):
        engine.up()
    assert applied(engine) == ["001_a"]
    assert tables(db) == ["a"]
    write("002_x", creates("x"))
    engine.up()
    assert applied(engine) == ["001_a", "002_x"]


# The commit


DEFERRED = migration(
    "migrator.sql('CREATE TABLE x (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)')\n"
    "    migrator.sql('INSERT INTO x VALUES (1), (1)')"
)


def test_a_failure_at_the_commit_undoes_the_step(engine, db, write):
    write("002_x", DEFERRED)
    with pytest.raises(MigrationFailedError, match="duplicate key value") as caught:
        engine.up()
    assert "the step is undone" in str(caught.value)
    assert applied(engine) == ["001_a"]
    assert tables(db) == ["a"]


def interrupt_after(monkeypatch, owner, name):
    """Let Ctrl-C come at the end of a function."""
    real = getattr(owner, name)

    def interrupted(*values):
        real(*values)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, name, interrupted)


@pytest.mark.parametrize("options", ["", "atomic = False"])
def test_ctrl_c_after_the_commit_is_not_reported_as_undone(engine, db, write, monkeypatch, options):
    write("002_x", migration(CREATE_X, options=options))
    with monkeypatch.context() as patch:
        # Without a transaction, the record commits itself.
        interrupt_after(patch, *((History, "add") if options else (db, "commit")))
        with pytest.raises(MigrationFailedError, match="the step is done and recorded"):
            engine.up()
    assert applied(engine) == ["001_a", "002_x"]
    interrupt_after(monkeypatch, *((History, "remove") if options else (db, "commit")))
    with pytest.raises(MigrationFailedError, match="the step is done and recorded"):
        engine.down()
    assert applied(engine) == ["001_a"]


def test_ctrl_c_just_before_the_commit_undoes_the_step(engine, db, write, monkeypatch, settings):
    def interrupted():
        raise KeyboardInterrupt

    write("002_x", migration(CREATE_X))
    with monkeypatch.context() as patch:
        patch.setattr(db, "commit", interrupted)
        with pytest.raises(MigrationFailedError, match="interrupted\n  the step is undone"):
            engine.up()
    assert execute(settings, "SELECT name FROM migratehistory") == [("001_a",)]
    assert [done.name for done in engine.up()] == ["002_x"]
    assert execute(settings, "SELECT to_regclass('x') IS NULL") == [(False,)]


def test_ctrl_c_after_the_record_undoes_the_step(engine, write, monkeypatch):
    write("002_x", migration(CREATE_X))
    interrupt_after(monkeypatch, History, "add")
    with pytest.raises(MigrationFailedError, match="interrupted\n  the step is undone"):
        engine.up()
    assert applied(engine) == ["001_a"]


def test_a_connection_lost_at_the_record_is_reported_as_undone(engine, db, write, monkeypatch):
    write("002_x", migration(CREATE_X))

    def lose_connection(*_):
        db.execute_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(History, "add", lose_connection)
    with pytest.raises(MigrationFailedError, match="the step's transaction is rolled back"):
        engine.up()


# A second Ctrl-C

STAGES = [
    ("execution.Execution._restore_session", "atomic = False"),
    ("execution.find_new_invalid_indexes", "atomic = False"),
    ("runner.describe_outcome", "atomic = False"),
    ("lock.MigrationLock._release", "atomic = False"),
    ("execution.undo", ""),
    ("execution.Execution._end_transaction", ""),
    ("runner.describe_outcome", ""),
    ("lock.MigrationLock._release", ""),
]
OUTCOMES = {
    "": r"(the step is undone|the step's transaction is rolled back)",
    "atomic = False": "what the file committed remains, and the step is not recorded",
}


@pytest.mark.parametrize("at", STAGES, ids=" ".join)
def test_a_second_ctrl_c_does_not_replace_the_message(engine, write, settings, monkeypatch, at):
    stage, options = at

    def interrupted(*_, **__):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(f"dbfoundation.migrations.{stage}", interrupted)
    write("002_x", migration(f"{CREATE_X}\n    raise KeyboardInterrupt", options=options))
    with pytest.raises(MigrationFailedError, match=f"interrupted\n  {OUTCOMES[options]}"):
        engine.up()
    assert execute(settings, "SELECT name FROM migratehistory") == [("001_a",)]


# Commit hooks


HOOK = (
    "migrator.noop()\n"
    "    database.after_commit(lambda: database.execute_sql('INSERT INTO a VALUES ({})'))"
)


def numbers(settings):
    return [number for (number,) in execute(settings, "SELECT id FROM a ORDER BY id")]


def test_a_commit_hook_runs_after_the_commit_of_its_step(engine, write, settings):
    write("002_x", migration(HOOK.format(2)))
    write("003_x", migration(f"{HOOK.format(3)}\n    migrator.sql('oops')"))
    with pytest.raises(MigrationFailedError):
        engine.up()
    assert numbers(settings) == [2]
    write("003_x", migration("migrator.sql('SELECT 1')"))
    engine.up()
    assert numbers(settings) == [2]


def test_a_dry_run_calls_no_commit_hook(engine, write, settings):
    write("002_x", migration(HOOK.format(2)))
    engine.dry_run_up()
    write("002_x", migration("migrator.sql('SELECT 1')"))
    engine.up()
    assert numbers(settings) == []
