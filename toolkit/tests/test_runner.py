"""One step: the message of a failure, the lock of a table, the session, and an interruption."""

from threading import Event, Thread

import pytest

from dbfoundation.errors import LockTimeoutError, MigrationFailedError
from dbfoundation.migrations.engine import Engine
from dbfoundation.runtime.connection import dedicated
from dbfoundation.runtime.recording import RecordingCursor
from tests.migration_files import applied, creates, migration, tables
from tests.support import execute


@pytest.fixture
def engine(db, tmp_path):
    return Engine(db, tmp_path, table_lock_timeout=0.2)


def test_a_failure_names_the_line_the_statement_and_the_steps_before(engine, db, write):
    for number, name in enumerate("abcde", start=1):
        write(f"00{number}_{name}", creates(name))
    two_statements = "migrator.sql('CREATE TABLE c (id INTEGER)')\n    migrator.sql('oops')"
    write("003_c", migration(two_statements))
    reported = []
    with pytest.raises(MigrationFailedError) as caught:
        engine.up(on_step=reported.append)
    message = str(caught.value)
    assert "003_c.py:4: migrate() failed: syntax error" in message
    assert "statement: oops" in message
    assert "the step is undone; done before: 001_a, 002_b" in message
    assert [done.name for done in reported] == applied(engine) == ["001_a", "002_b"]
    assert tables(db) == ["a", "b"]
    write("003_c", creates("c"))
    assert [done.name for done in engine.up()] == ["003_c", "004_d", "005_e"]


def test_a_failure_has_the_hint_of_the_server(engine, write):
    write("001_x", migration("migrator.sql(\"SELECT 'a' = 1 + '{}'::text\")"))
    with pytest.raises(MigrationFailedError, match="hint: No operator matches"):
        engine.up()


@pytest.mark.parametrize("options", ["", "atomic = False"])
def test_a_lost_connection_is_reported_in_the_words_of_the_server(engine, write, settings, options):
    write("001_a", creates("a"))
    end = "migrator.sql('SELECT pg_terminate_backend(pg_backend_pid())')"
    create = "migrator.sql('CREATE TABLE b (id INTEGER)')"
    write("002_b", migration(f"{create}\n    {end}", options=options))
    with pytest.raises(MigrationFailedError, match=r"002_b.*server closed the connection"):
        engine.up()
    assert execute(settings, "SELECT name FROM migratehistory") == [("001_a",)]
    assert execute(settings, "SELECT to_regclass('b') IS NULL") == [(not options,)]


def test_an_option_that_only_the_code_sets_fails_before_any_statement(engine, db, write):
    options = "if True:\n    atomic = False"
    write("001_x", migration("migrator.sql('CREATE TABLE x (id INTEGER)')", options=options))
    with pytest.raises(MigrationFailedError, match="atomic is False when the code runs") as caught:
        engine.up()
    assert "\n  Fix: assign atomic once" in str(caught.value)
    assert applied(engine) == tables(db) == []


def test_a_step_takes_four_round_trips_beside_its_own(engine, write, monkeypatch):
    sent = []
    execute = RecordingCursor.execute

    def counted(cursor, query, values=None):
        sent.append(query)
        execute(cursor, query, values)

    for number in range(1, 4):
        write(f"00{number}_x", migration("migrator.sql('SELECT 1')"))
    engine.up(steps=1)
    monkeypatch.setattr(RecordingCursor, "execute", counted)
    engine.up(steps=1)
    one = len(sent)
    engine.down()
    sent.clear()
    engine.up()
    assert len(sent) - one == 5  # BEGIN, the lock's check, SELECT 1, the record, COMMIT


# The lock of a table


ADD_COLUMN = migration("migrator.sql('ALTER TABLE t ADD COLUMN c INTEGER')")


@pytest.fixture
def lock_table(settings):
    """Lets another session lock the table t; returns the event that ends it."""
    locked, release = Event(), Event()
    other = dedicated(settings, "holder")

    def hold():
        with other.connection_context(), other.atomic():
            other.execute_sql("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            locked.set()
            release.wait(60)

    thread = Thread(target=hold)

    def start():
        thread.start()
        assert locked.wait(10)
        return release

    yield start
    release.set()
    if thread.ident:
        thread.join()


def test_a_timeout_for_the_lock_of_a_table_names_the_blocking_session(
    engine, write, lock_table, monkeypatch
):
    monkeypatch.setattr("dbfoundation.migrations.runner.RETRY_PAUSES", ())
    write("001_t", creates("t"))
    engine.up()
    lock_table()
    write("002_c", f"lock_timeout = 1\n{ADD_COLUMN}")
    with pytest.raises(LockTimeoutError) as caught:
        engine.up()
    assert "canceling statement due to lock timeout" in str(caught.value)
    assert "blocked by tests/holder (pid " in str(caught.value)
    assert "LOCK TABLE t IN ACCESS EXCLUSIVE MODE" in str(caught.value)
    assert applied(engine) == ["001_t"]


def test_a_step_is_retried_until_the_table_is_unlocked(engine, write, lock_table, monkeypatch):
    write("001_t", creates("t"))
    engine.up()
    release = lock_table()
    monkeypatch.setattr("dbfoundation.migrations.runner.sleep", lambda _: release.set())
    write("002_c", ADD_COLUMN)
    engine.up()
    assert applied(engine) == ["001_t", "002_c"]


def test_a_retry_runs_no_operation_that_the_first_try_had_queued(
    engine, db, write, lock_table, monkeypatch
):
    write("001_t", creates("t"))
    engine.up()
    release = lock_table()
    monkeypatch.setattr("dbfoundation.migrations.runner.sleep", lambda _: release.set())
    queued = "migrator.sql('CREATE TABLE once (id INTEGER)')"
    write("002_c", migration(f"{queued}\n    database.execute_sql('ALTER TABLE t ADD c INTEGER')"))
    engine.up()
    assert tables(db) == ["once", "t"]


def test_the_lock_timeout_of_a_file_ends_with_its_step(engine, db, write):
    seen = "database.execute_sql(\"INSERT INTO seen SELECT current_setting('lock_timeout')\")"
    write("001_s", migration("migrator.sql('CREATE TABLE seen (value TEXT)')"))
    write("002_default", migration(seen))
    write("003_own", migration(seen, options="lock_timeout = 1.5"))
    before = db.execute_sql("SHOW lock_timeout").fetchone()
    engine.up()
    assert db.execute_sql("SHOW lock_timeout").fetchone() == before
    write("004_outside", migration(seen, options="lock_timeout = 2\natomic = False"))
    engine.up()
    values = [value for (value,) in db.execute_sql("SELECT value FROM seen").fetchall()]
    assert values == ["200ms", "1500ms", "2s"]
    assert db.execute_sql("SHOW lock_timeout").fetchone() == before


# The settings of the session


def settings_of(db):
    names = ("role", "search_path", "statement_timeout")
    return {name: db.execute_sql(f"SHOW {name}").fetchone() for name in names}


@pytest.mark.parametrize("options", ["", "atomic = False"])
def test_settings_that_a_file_changes_are_reset_after_its_step(engine, db, write, options):
    db.execute_sql("CREATE SCHEMA shop")
    before = settings_of(db)
    changes = "SET search_path = shop; SET ROLE pg_monitor; SET statement_timeout = '1h'"
    write("001_sets", migration(f'migrator.sql("{changes}")', options=options))
    write("002_table", creates("a"))
    engine.up()
    assert tables(db) == ["a"]
    assert settings_of(db) == before
    assert db.execute_sql("SHOW client_connection_check_interval").fetchone() == ("2s",)


BY_PSYCOPG = [
    "set_session(readonly=True, isolation_level='SERIALIZABLE')",
    "set_session(deferrable=True)",
    "set_session(autocommit=False)",
]


@pytest.mark.parametrize("options", ["", "atomic = False"])
@pytest.mark.parametrize("call", BY_PSYCOPG)
def test_settings_that_a_file_changes_by_psycopg2_are_reset_after_its_step(
    engine, db, write, call, options
):
    work = f"database.connection().{call}\n    database.execute_sql('CREATE TABLE x ()')"
    if "atomic" in options and "autocommit" in call:
        work += "\n    database.connection().commit()"
    if "readonly" in call:
        work = "\n    ".join(reversed(work.split("\n    ")))
    write("001_sets", migration(work, options=options))
    write("002_table", creates("a"))
    engine.up()
    assert tables(db) == ["a", "x"]
    assert db.connection().autocommit
    for name in ("default_transaction_read_only", "default_transaction_deferrable"):
        assert db.execute_sql(f"SHOW {name}").fetchone() == ("off",)
    isolation = db.execute_sql("SHOW default_transaction_isolation").fetchone()
    assert isolation == ("read committed",)


def test_the_empty_search_path_of_a_pg_dump_does_not_hide_the_history(engine, write):
    empty = "migrator.sql(\"SELECT pg_catalog.set_config('search_path', '', false)\")"
    write("001_dump", migration(f"{empty}\n    migrator.sql('CREATE TABLE public.a (id INTEGER)')"))
    engine.up()
    assert applied(engine) == ["001_dump"]


# An interruption


def test_no_step_begins_after_an_interruption(engine, write):
    write("001_a", creates("a"))
    write("002_b", creates("b"))
    interrupted = Event()
    engine.is_interrupted = interrupted.is_set
    with pytest.raises(MigrationFailedError, match=r"002_b\.py: not run, because") as caught:
        engine.up(on_step=lambda _: interrupted.set())
    assert "done before: 001_a" in str(caught.value)
    assert applied(engine) == ["001_a"]
