"""Several runners at once, and runners that are killed or interrupted: real processes."""

import signal
import subprocess
import sys

import pytest

from dbfoundation.migrations.engine import Engine
from dbfoundation.testing import empty_database
from tests.migration_files import creates, migration
from tests.support import PROJECT, backend_is_at, execute, rounds, until

RUNNERS = 8
WAIT_SECONDS = 30
MARKS = [f"00{number}_mark" for number in range(1, 6)]

RUNNER = """
import sys
from pathlib import Path
import psycopg2
from peewee import PostgresqlDatabase
from dbfoundation.migrations.engine import Engine

name, folder, *address = sys.argv[1:]
parameters = dict(word.split("=", 1) for word in address)
database = PostgresqlDatabase(name, **parameters)
sys.stdin.readline()
with database.connection_context():
    for done in Engine(database, Path(folder)).up():
        print(done.name)
"""

CREATE_MARKS = "CREATE TABLE IF NOT EXISTS marks (number INTEGER)"
SLEEP = "migrator.sql('CREATE TABLE slow (id INTEGER)')\n    migrator.sql('SELECT pg_sleep(60)')"


@pytest.fixture
def folder(tmp_path, write):
    """Five migrations, each of which inserts its number into marks."""
    for number, name in enumerate(MARKS, start=1):
        insert = f"migrator.sql('{CREATE_MARKS}; INSERT INTO marks VALUES ({number})')"
        write(name, migration(insert))
    return tmp_path


def runner(settings, folder, script=RUNNER):
    """A process that waits for a line, and then applies everything."""
    parameters = {
        name: value for name, value in settings.connect_kwargs().items() if name != "dbname"
    }
    address = [f"{name}={value}" for name, value in parameters.items()]
    return subprocess.Popen(
        [sys.executable, "-c", script, settings.url.name, str(folder), *address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def go(*runners):
    """Let the processes begin at the same time."""
    for process in runners:
        process.stdin.write("go\n")
        process.stdin.flush()


def history(settings):
    return [name for (name,) in execute(settings, "SELECT name FROM migratehistory ORDER BY id")]


def marks(settings):
    return [number for (number,) in execute(settings, "SELECT number FROM marks ORDER BY number")]


def test_eight_runners_at_once_apply_each_migration_once(settings, folder):
    """Each round is on an empty database; all runners start together, and all of them succeed."""
    for _ in range(rounds(20)):
        empty_database(settings)
        runners = [runner(settings, folder) for _ in range(RUNNERS)]
        try:
            go(*runners)
            ended = [process.communicate(timeout=WAIT_SECONDS) for process in runners]
            assert [process.returncode for process in runners] == [0] * RUNNERS, ended
            assert sorted(name for out, _ in ended for name in out.split()) == MARKS
            assert history(settings) == MARKS
            assert marks(settings) == [1, 2, 3, 4, 5]
        finally:
            for process in runners:
                process.kill()


def locks(settings):
    """The number of advisory locks in the database."""
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = "
    return execute(
        settings, f"{query}(SELECT oid FROM pg_database WHERE datname = %s)", settings.url.name
    )[0][0]


@pytest.mark.parametrize("options", ["", "atomic = False"])
def test_a_runner_killed_during_a_statement_frees_the_lock_and_records_no_step(
    settings, folder, write, options
):
    write("006_slow", migration(SLEEP, options=options))
    process = runner(settings, folder)
    go(process)
    until(lambda: backend_is_at(settings, "pg_sleep"))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    until(lambda: locks(settings) == 0, WAIT_SECONDS)
    assert history(settings) == MARKS
    assert execute(settings, "SELECT to_regclass('slow') IS NULL") == [(not options,)]


PHASES = {
    "before the lock": ("dbfoundation.migrations.lock.MigrationLock.hold", 0),
    "with the lock": ("dbfoundation.migrations.history.History.ensure_table", 0),
    "before a step": ("dbfoundation.migrations.lock.MigrationLock.begin_step", 2),
    "before the record": ("dbfoundation.migrations.history.History.add", 1),
    "after a record": ("dbfoundation.migrations.engine.Done.__init__", 1),
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
def test_the_next_runner_completes_the_work_of_a_killed_one(settings, db, folder, target, count):
    process = runner(settings, folder, DYING.format(target=target, count=count) + RUNNER)
    process.communicate("go\n", timeout=WAIT_SECONDS)
    assert process.returncode == -signal.SIGKILL
    done = [step.name for step in Engine(db, folder).up()]
    assert 0 < len(done) <= len(MARKS)
    assert done == MARKS[-len(done) :]
    assert history(settings) == MARKS
    assert marks(settings) == [1, 2, 3, 4, 5]


def test_waiting_runners_do_not_block_create_index_concurrently(settings, tmp_path, write):
    """The index waits for every session that is in a statement; a waiting runner is in none."""
    rows = "migrator.sql('CREATE TABLE t AS SELECT generate_series(1, 1000000) AS id')"
    write("001_t", migration(rows))
    index = "migrator.sql('CREATE INDEX CONCURRENTLY i ON t (id)')"
    write("002_i", migration(index, options="atomic = False\nlock_timeout = 60"))
    runners = [runner(settings, tmp_path) for _ in range(3)]
    go(*runners)
    ended = [process.communicate(timeout=60) for process in runners]
    assert [process.returncode for process in runners] == [0, 0, 0], ended
    assert sorted(name for out, _ in ended for name in out.split()) == ["001_t", "002_i"]


def interrupt(app, settings):
    """Send Ctrl-C to a migrate-up that sleeps in a statement; returns its stdout and stderr."""
    process = app.start("migrate-up")
    until(lambda: backend_is_at(settings, "pg_sleep"))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 130, err
    assert not err.startswith("error: ")
    return out, err


def test_ctrl_c_undoes_the_step_and_ends_the_run_at_once(app, settings):
    before = [path.stem for path in sorted(PROJECT.glob("migrations/0*.py"))]
    app.write("migrations/004_slow.py", migration(SLEEP))
    out, err = interrupt(app, settings)
    assert "Traceback" not in err
    assert "migrations/004_slow.py:4: migrate() failed: interrupted" in err
    assert f"the step is undone; done before: {', '.join(before)}" in err
    assert "applied 002_create_sessions" in out
    assert history(settings) == before
    assert execute(settings, "SELECT to_regclass('slow') IS NULL") == [(True,)]
    assert locks(settings) == 0


CATCHES = """migrator.sql('''
        DO $$ BEGIN
            PERFORM pg_sleep(30);
        EXCEPTION WHEN query_canceled THEN RAISE NOTICE 'cancelled';
        END $$
    ''')"""


def test_ctrl_c_that_a_statement_catches_ends_the_run_after_its_step(app, settings):
    """psycopg2 loses a KeyboardInterrupt in a statement that ends with a notice."""
    app.write("migrations/004_catches.py", migration(CATCHES))
    app.write("migrations/005_next.py", creates("next"))
    out, err = interrupt(app, settings)
    # Python may notice the signal at once, too, and then the step is undone.
    is_applied = "005_next.py: not run, because of an interruption" in err
    assert is_applied or "004_catches.py:4: migrate() failed: interrupted" in err
    assert ("applied 004_catches" in out) is ("004_catches" in history(settings)) is is_applied
    assert "005_next" not in history(settings)
