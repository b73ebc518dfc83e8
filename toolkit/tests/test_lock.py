"""The migrations' lock: its holder, the timeout, and the plan that is made again under it."""

import re
import signal
import subprocess
import sys
from dataclasses import replace
from threading import Event, Thread
from uuid import uuid4

import pytest

from dbfoundation.errors import LockError, MigrationFailedError, PlanError
from dbfoundation.migrations.engine import Engine
from dbfoundation.migrations.lock import MigrationLock
from dbfoundation.runtime.connection import dedicated
from tests.migration_files import applied, creates, migration, tables
from tests.support import backend_is_at, execute, ignore, until

GIVE_UP_LOCK = migration("migrator.sql('SELECT pg_advisory_unlock_all()')")


@pytest.fixture
def engine(db, tmp_path, write):
    write("001_a", creates("a"))
    return Engine(db, tmp_path, runner_timeout=0.3)


@pytest.fixture
def held(settings):
    """Lets the session tests/holder hold the lock; the event releases it."""
    ready, release = Event(), Event()
    other = dedicated(settings, "holder")

    def hold():
        with other.connection_context(), MigrationLock(other, "migratehistory").hold(1, ignore):
            ready.set()
            release.wait(60)

    thread = Thread(target=hold)
    thread.start()
    assert ready.wait(10)
    yield release
    release.set()
    thread.join()


@pytest.mark.usefixtures("held")
def test_a_waiting_runner_reports_the_holder_of_the_lock_and_times_out(engine, db):
    reported = []
    engine.report = reported.append
    with pytest.raises(LockError, match="MIGRATE_RUNNER_TIMEOUT"):
        engine.up()
    [line] = reported
    assert line.startswith("waiting for the migrations' lock, held by tests/holder (pid ")
    assert re.search(
        r"\(pid \d+, idle since [-0-9]+ [:0-9]+ UTC, last ran: SELECT set_config", line
    )
    assert db.get_tables() == []


@pytest.mark.usefixtures("held")
def test_after_its_wait_a_runner_prints_how_to_end_a_holder_that_is_stopped(engine, settings):
    with pytest.raises(LockError) as caught:
        engine.up()
    [end] = re.findall(r"`(SELECT pg_terminate_backend\(\d+\))`", str(caught.value))
    assert "If that runner is stopped, or its machine is gone: `SELECT" in str(caught.value)
    assert execute(settings, end) == [(True,)]
    assert len(engine.up()) == 1


HOLDER_AT_WORK = """
import sys, psycopg2
connection = psycopg2.connect(sys.argv[1])
connection.autocommit = True
cursor = connection.cursor()
cursor.execute("SELECT pg_advisory_lock(%s)", (int(sys.argv[2]),))
cursor.execute("SELECT pg_sleep(60), 'hunter2', 4111111111111111")
"""


def test_a_waiting_runner_prints_the_statement_of_a_stopped_holder(engine, settings):
    """Ctrl-Z: the process runs no more, and the server goes on with its statement."""
    url = settings.url.render(with_password=True)
    command = [sys.executable, "-c", HOLDER_AT_WORK, url, str(engine.lock.key)]
    with subprocess.Popen(command) as process:
        until(lambda: backend_is_at(settings, "pg_sleep"))
        process.send_signal(signal.SIGSTOP)
        reported = []
        engine.report = reported.append
        with pytest.raises(LockError, match="SELECT pg_terminate_backend") as caught:
            engine.up()
        process.kill()
    for message in (*reported, str(caught.value)):
        assert re.search(r"active since [-0-9]+ [:0-9]+ UTC, runs: SELECT pg_sleep\(60\)", message)
        assert "hunter2" not in message
        assert "4111111111111111" not in message


def test_a_waiting_runner_may_not_see_the_state_of_another_role(engine, settings):
    other = dedicated(settings, "holder")
    role = f"r{uuid4().hex}"
    execute(
        settings, f"CREATE ROLE {role} LOGIN PASSWORD 'x'; GRANT ALL ON SCHEMA public TO {role}"
    )
    url = replace(settings.url, user=role, password="x")
    limited = dedicated(replace(settings, url=url), "limited")
    try:
        with (
            other.connection_context(),
            limited.connection_context(),
            MigrationLock(other, "migratehistory").hold(1, ignore),
            pytest.raises(LockError, match=r"held by tests/holder \(pid \d+, connected since"),
        ):
            Engine(limited, engine.folder, runner_timeout=0.1).up()
    finally:
        execute(settings, f"DROP OWNED BY {role}; DROP ROLE {role}")


# A locked history


@pytest.fixture
def locked_history(engine, settings):
    """Another session has locked the history; the migrations wait a tenth of a second for it."""
    engine.up()
    engine.database.execute_sql("SET lock_timeout = '100ms'")
    other = dedicated(settings, "holder")
    with other.connection_context(), other.atomic():
        other.execute_sql("LOCK TABLE migratehistory IN ACCESS EXCLUSIVE MODE")
        yield


@pytest.mark.usefixtures("locked_history")
@pytest.mark.parametrize("verb", ["plan", "up", "down", "dry_run_up", "dry_run_down"])
def test_a_locked_history_is_reported_with_its_holder(engine, verb):
    with pytest.raises(
        LockError, match=r"locked: canceling statement.* held by tests/holder \(pid"
    ):
        getattr(engine, verb)()


def test_a_waiting_runner_continues_when_the_lock_is_free(engine, held):
    engine.runner_timeout = 60
    engine.report = lambda _: held.set()
    assert len(engine.up()) == 1


def test_a_runner_with_nothing_to_do_does_not_wait(engine, settings):
    engine.up()
    other = dedicated(settings, "holder")
    with other.connection_context(), MigrationLock(other, "migratehistory").hold(1, ignore):
        assert engine.up() == []
        with pytest.raises(LockError):
            engine.down()


@pytest.mark.usefixtures("held")
def test_migrate_up_ends_with_exit_code_2_after_the_timeout_of_the_setting(app):
    done = app.invoke("migrate-up", MIGRATE_RUNNER_TIMEOUT="1")
    assert done.returncode == 2
    assert "waiting for the migrations' lock, held by tests/holder" in done.stderr
    assert "error: waited 1 s for the migrations' lock, held by tests/holder" in done.stderr
    assert "Fix: let that runner finish, or raise MIGRATE_RUNNER_TIMEOUT" in done.stderr


# A lock that is lost


def test_a_lock_that_another_session_has_taken_stops_the_run(engine, write, settings):
    """As with a pooler in transaction mode, which gives a session's lock to another session."""
    write("001_a", GIVE_UP_LOCK)
    write("002_b", creates("b"))
    other = dedicated(settings, "other")
    with other.connection_context():
        lock = MigrationLock(other, "migratehistory")
        acquire = "SELECT pg_advisory_lock(%s)"
        with pytest.raises(MigrationFailedError, match="MIGRATION_DATABASE_URL") as caught:
            engine.up(on_step=lambda _: other.execute_sql(acquire, (lock.key,)))
    assert isinstance(caught.value.__cause__, LockError)
    assert applied(engine) == ["001_a"]


def test_a_lost_lock_stops_a_step_outside_of_a_transaction(engine, write):
    write("001_a", GIVE_UP_LOCK)
    write("002_b", migration("migrator.sql('SELECT 1')", options="atomic = False"))
    with pytest.raises(MigrationFailedError, match="MIGRATION_DATABASE_URL"):
        engine.up()
    assert applied(engine) == ["001_a"]


# Changes between the plan and the lock


@pytest.fixture
def before_the_lock(engine):
    """Runs something between the plan and the lock."""

    def prepare(work):
        real = engine.lock.hold

        def hold(*options):
            engine.lock.hold = real
            work()
            return real(*options)

        engine.lock.hold = hold

    return prepare


@pytest.mark.parametrize("verb", ["down", "redo"])
def test_a_step_that_another_runner_has_just_applied_is_not_rolled_back(
    engine, settings, write, before_the_lock, verb
):
    for number, name in ((2, "b"), (3, "c")):
        write(f"00{number}_{name}", creates(name))
    engine.up("002_b")
    other = dedicated(settings, "other")
    add = "INSERT INTO migratehistory (name, migrated_at) VALUES ('003_c', now())"
    with other.connection_context():
        before_the_lock(lambda: other.execute_sql(add))
        with pytest.raises(PlanError, match="another runner has changed the history"):
            getattr(engine, verb)()
    assert applied(engine) == ["001_a", "002_b", "003_c"]


def test_a_file_that_has_just_been_edited_or_removed_is_refused(
    engine, db, write, tmp_path, before_the_lock
):
    engine.up()
    before_the_lock(lambda: write("001_a", migration("pass", "migrator.sql('DROP TABLE b')")))
    with pytest.raises(PlanError, match="edited"):
        engine.down()
    write("001_a", creates("a"))
    before_the_lock((tmp_path / "001_a.py").unlink)
    with pytest.raises(PlanError, match="its file is missing"):
        engine.down()
    assert tables(db) == ["a"]


def test_a_migration_that_was_just_renamed_and_applied_is_not_run_again(
    engine, db, write, tmp_path, before_the_lock
):
    engine.up()
    write("002_b", creates("b"))

    def rename():
        (tmp_path / "002_b.py").rename(tmp_path / "002_c.py")
        db.execute_sql("INSERT INTO migratehistory (name, migrated_at) VALUES ('002_c', now())")

    before_the_lock(rename)
    assert engine.up(allow_out_of_order=True) == []
    assert tables(db) == ["a"]
