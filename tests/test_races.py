"""Runners that meet, and runners that die: real processes, one database."""

import re
import signal
import subprocess
import sys
from threading import Event, Thread
from time import monotonic

import pytest

from tests.conftest import MIGRATIONS, at_database, backend_is_at, execute, until
from toolkit import maintenance
from toolkit.database import dedicated
from toolkit.engine import Engine
from toolkit.errors import LockError
from toolkit.lock import MigrationLock

ROUNDS, RUNNERS = 20, 8
WAIT_SECONDS = 30

RUNNER = """
import sys
from pathlib import Path
import psycopg2
from peewee import PostgresqlDatabase
from toolkit.engine import Engine

name, folder, *address = sys.argv[1:]
parameters = dict(word.split("=", 1) for word in address)
database = PostgresqlDatabase(name, **parameters)
sys.stdin.readline()
with database.connection_context():
    for done in Engine(database, Path(folder)).up():
        print(done.name)
"""

INSERT = """
def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE IF NOT EXISTS marks (number INTEGER)")
    migrator.sql("INSERT INTO marks VALUES ({number})")

def rollback(migrator, database, *, fake=False):
    migrator.sql("DELETE FROM marks WHERE number = {number}")
"""
SLOW = """
{head}
def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE slow (id INTEGER)")
    migrator.sql("SELECT pg_sleep(60)")

def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE slow")
"""


@pytest.fixture
def folder(tmp_path):
    for number in range(1, 6):
        (tmp_path / f"00{number}_mark.py").write_text(INSERT.format(number=number))
    return tmp_path


def runner(settings, folder, script=RUNNER):
    """A process that waits for a line, and then applies everything."""
    parameters = {name: value for name, value in settings.libpq().items() if name != "dbname"}
    address = [f"{name}={value}" for name, value in parameters.items()]
    return subprocess.Popen(
        [sys.executable, "-c", script, settings.url.name, str(folder), *address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def history(settings):
    return [name for (name,) in execute(settings, "SELECT name FROM migratehistory ORDER BY id")]


def test_eight_runners_at_once_apply_each_migration_once(server, folder):
    """Twenty times, on a fresh database each: they start together, and all of them succeed."""
    for number in range(ROUNDS):
        fresh = at_database(server, f"race {number}")
        maintenance.create_database(fresh)
        runners = [runner(fresh, folder) for _ in range(RUNNERS)]
        try:
            for process in runners:
                process.stdin.write("go\n")
                process.stdin.flush()
            ended = [process.communicate(timeout=WAIT_SECONDS) for process in runners]
            assert [process.returncode for process in runners] == [0] * RUNNERS, ended
            assert sorted(name for out, _ in ended for name in out.split()) == history(fresh)
            marks = execute(fresh, "SELECT number FROM marks ORDER BY number")
            assert marks == [(1,), (2,), (3,), (4,), (5,)]
        finally:
            for process in runners:
                process.kill()
            maintenance.drop_database(fresh)


def locks(settings):
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = "
    return execute(
        settings, f"{query}(SELECT oid FROM pg_database WHERE datname = %s)", settings.url.name
    )[0][0]


@pytest.mark.parametrize("atomic", [True, False])
def test_a_runner_that_is_killed_at_work_frees_the_lock_and_leaves_no_half_step(
    settings, folder, atomic
):
    head = "" if atomic else "atomic = False"
    (folder / "006_slow.py").write_text(SLOW.format(head=head))
    process = runner(settings, folder)
    process.stdin.write("go\n")
    process.stdin.flush()
    until(lambda: backend_is_at(settings, "pg_sleep"))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed = monotonic()
    until(lambda: locks(settings) == 0)
    assert monotonic() - killed < WAIT_SECONDS
    assert history(settings) == [f"00{number}_mark" for number in range(1, 6)]
    tables = execute(settings, "SELECT to_regclass('slow') IS NULL")
    assert tables == [(atomic,)]


PHASES = {
    "before the lock": ("toolkit.lock.MigrationLock._acquire", 0),
    "with the lock": ("toolkit.history.History.prepare", 0),
    "before a step": ("toolkit.lock.MigrationLock.enter", 2),
    "before the record": ("toolkit.history.History.add", 1),
    "after a record": ("toolkit.engine.Done.__init__", 1),
}
DYING = """
import importlib, os, signal
target, count = {target!r}, {count}
module, cls, name = target.rsplit(".", 2)
owner = getattr(importlib.import_module(module), cls)
original, calls = getattr(owner, name), []

def dying(*words, **named):
    calls.append(1)
    if len(calls) > count:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*words, **named)

setattr(owner, name, dying)
"""


@pytest.mark.parametrize(("target", "count"), PHASES.values(), ids=PHASES)
def test_a_runner_that_is_killed_in_any_phase_leaves_work_for_the_next(
    settings, folder, target, count
):
    process = runner(settings, folder, DYING.format(target=target, count=count) + RUNNER)
    process.communicate("go\n", timeout=WAIT_SECONDS)
    assert process.returncode == -signal.SIGKILL
    next_one = runner(settings, folder)
    out, err = next_one.communicate("go\n", timeout=WAIT_SECONDS)
    assert next_one.returncode == 0, err
    assert out.split() == history(settings)[-len(out.split()) :]
    assert history(settings) == [f"00{number}_mark" for number in range(1, 6)]
    marks = execute(settings, "SELECT number FROM marks ORDER BY number")
    assert marks == [(1,), (2,), (3,), (4,), (5,)]


def test_a_waiter_lets_the_holder_build_an_index_concurrently(settings, tmp_path):
    """The build waits for every session that is in a statement: a waiter must be in none."""
    (tmp_path / "001_t.py").write_text(
        "def migrate(migrator, database, *, fake=False):\n"
        "    migrator.sql('CREATE TABLE t AS SELECT generate_series(1, 1000000) AS id')\n"
        "irreversible = True\n"
    )
    (tmp_path / "002_i.py").write_text(
        "atomic = False\nlock_timeout = 60\n"
        "def migrate(migrator, database, *, fake=False):\n"
        "    migrator.sql('CREATE INDEX CONCURRENTLY i ON t (id)')\nirreversible = True\n"
    )
    runners = [runner(settings, tmp_path) for _ in range(3)]
    for process in runners:
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=60) for process in runners]
    assert [process.returncode for process in runners] == [0, 0, 0], ended
    assert sorted(name for out, _ in ended for name in out.split()) == ["001_t", "002_i"]


@pytest.fixture
def held(settings):
    """The migrations' lock, held by another session under the name of tests/holder."""
    ready, done = Event(), Event()
    other = dedicated(settings, "holder")

    def hold():
        with other.connection_context(), MigrationLock(other, "migratehistory").hold(1, print):
            ready.set()
            done.wait(60)

    thread = Thread(target=hold)
    thread.start()
    assert ready.wait(10)
    yield done
    done.set()
    thread.join()


@pytest.mark.usefixtures("held")
def test_a_wait_says_who_has_the_lock_and_ends(db, folder):
    told = []
    engine = Engine(db, folder, lock_wait=0.3, report=told.append)
    with pytest.raises(LockError, match="MIGRATE_LOCK_WAIT"):
        engine.up()
    [line] = told
    assert re.search(r"tests/holder \(pid \d+, connected since [-0-9]+ [:0-9]+ UTC\)", line)
    assert db.get_tables() == []


def test_a_waiter_goes_on_when_the_lock_is_free(db, folder, held):
    done = Engine(db, folder, report=lambda _: held.set()).up()
    assert len(done) == 5


def test_with_nothing_pending_nobody_waits(db, folder, settings):
    engine = Engine(db, folder, lock_wait=0)
    engine.up()
    other = dedicated(settings, "holder")
    with other.connection_context(), MigrationLock(other, "migratehistory").hold(1, print):
        assert engine.up() == []
        with pytest.raises(LockError):
            engine.down()


def test_the_wait_is_a_setting_and_ends_with_2(app, held):
    assert held is not None
    done = app.invoke("migrate-up", MIGRATE_LOCK_WAIT="1")
    assert done.returncode == 2
    assert "waiting for the migrations' lock, which tests/holder" in done.stderr
    assert "MIGRATE_LOCK_WAIT" in done.stderr


def interrupted(app, settings):
    """Ctrl-C to a migrate-up that sleeps in a statement, and ends with 2; returns what it said."""
    process = app.start("migrate-up")
    until(lambda: backend_is_at(settings, "pg_sleep"))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 2, err
    return out, err


def test_ctrl_c_undoes_the_step_and_ends_at_once(app, settings):
    app.write("migrations/004_slow.py", SLOW.format(head=""))
    out, err = interrupted(app, settings)
    assert "Traceback" not in err
    assert "migrations/004_slow.py:5: it failed: interrupted" in err
    assert "done before it: 001_create_audit_log, 002_create_sessions, 003_index_audit_log" in err
    assert "applied 002_create_sessions" in out
    assert history(settings) == [name.removesuffix(".py") for name in MIGRATIONS]
    assert execute(settings, "SELECT to_regclass('slow') IS NULL") == [(True,)]
    assert locks(settings) == 0


CATCHES = """
def migrate(migrator, database, *, fake=False):
    migrator.sql('''
        DO $$ BEGIN
            PERFORM pg_sleep(30);
        EXCEPTION WHEN query_canceled THEN RAISE NOTICE 'cancelled';
        END $$
    ''')

def rollback(migrator, database, *, fake=False):
    migrator.sql("SELECT 1")
"""


def test_ctrl_c_that_a_statement_catches_ends_the_run_behind_its_step(app, settings):
    """psycopg2 loses a KeyboardInterrupt in a statement that ends with a notice."""
    app.write("migrations/004_catches.py", CATCHES)
    app.write("migrations/005_next.py", CATCHES.replace("pg_sleep(30)", "pg_sleep(0)"))
    out, err = interrupted(app, settings)
    assert "applied 004_catches" in out
    assert "005_next.py: interrupted before it" in err
    assert "005_next" not in history(settings)
