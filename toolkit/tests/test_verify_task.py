"""The task migrate-verify: its output, its exit codes, and no scratch database is left."""

import re
import signal
from dataclasses import replace
from time import sleep
from uuid import uuid4

import pytest

from tests.support import execute, only_in_ci, rounds, until

BODY = (
    "def migrate(migrator, database, *, fake=False):\n    migrator.sql({!r})\n\n\n"
    "def rollback(migrator, database, *, fake=False):\n    migrator.sql({!r})\n"
)
DATABASES = "SELECT count(*) FROM pg_database WHERE datname LIKE 'migrate_verify%%'"
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"


@pytest.fixture
def verify(app, settings):
    """Runs migrate-verify; afterwards the server has no scratch database, and ours is empty."""

    def run(*flags):
        done = app.invoke("migrate-verify", *flags)
        assert execute(settings, DATABASES) == [(0,)]
        assert execute(settings, TABLES) == [(0,)]
        return done

    return run


def lines(done):
    """The lines of the output, without their times."""
    return [re.sub(r"  \d+ ms$|, in \d+ ms", "", line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("flags", [(), ("--with-seed",)])
def test_the_projects_rollbacks_are_verified(verify, settings, flags):
    done = verify(*flags)
    assert done.returncode == 0, done
    assert lines(done) == [
        "verified 001_create_audit_log",
        "verified 002_create_sessions",
        "verified 003_index_audit_log",
        "verified all in a row, down to empty and up",
        f"every rollback undoes its migration: scratch database beside {settings.url}",
    ]


def test_since_a_migration_only_those_after_it_are_verified(verify, settings):
    done = verify("--since", "2")
    assert done.returncode == 0, done
    assert lines(done) == [
        "verified 003_index_audit_log",
        "verified all in a row, down to 002_create_sessions and up",
        f"every rollback undoes its migration: scratch database beside {settings.url}",
    ]
    assert lines(verify("--since", "3")) == [f"no migration to verify: {settings.url}"]


def test_since_an_unknown_migration_is_an_error(verify):
    done = verify("--since", "009")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no migration is called '009'; similar: ")


def test_a_faulty_rollback_is_printed_with_exit_code_1(verify, app, settings):
    app.write("migrations/004_a.py", BODY.format("CREATE TABLE a (id integer)", "SELECT 1"))
    done = verify()
    assert done.returncode == 1, done
    assert lines(done)[3:] == [
        "faulty 004_a",
        "! a: only the schema after its rollback has this table",
        f"faulty: 004_a: scratch database beside {settings.url}",
    ]


def test_an_irreversible_migration_is_printed_with_exit_code_0(verify, app):
    app.write("migrations/004_a.py", f"irreversible = True\n{BODY.format('SELECT 1', 'SELECT 1')}")
    done = verify("--with-seed")
    assert done.returncode == 0, done
    assert lines(done)[3:5] == ["irreversible 004_a", "irreversible all in a row"]
    assert "(except the irreversible 004_a, all in a row)" in lines(done)[5]


def test_a_migration_that_cannot_be_applied_is_an_error(verify, app):
    app.write("migrations/004_bad.py", BODY.format("CREATE TABLE", "SELECT 1"))
    done = verify()
    assert done.returncode == 2
    assert done.stderr.startswith("error: migrations/004_bad.py")
    assert "verified 003_index_audit_log" in lines(done)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("return 1 / 0", "ZeroDivisionError: division by zero"),
        ("return database.execute_sql('SELECT 1 / 0')", "division by zero"),
    ],
)
def test_a_seed_that_fails_is_an_error_without_a_traceback(verify, app, line, reason):
    app.write("seeds.py", f"from models import database\n\n\ndef seed():\n    {line}\n")
    done = verify("--with-seed")
    assert done.returncode == 2
    fix = "correct the seeds; `invoke --debug` adds the traceback."
    assert done.stderr == f"error: seeds:seed failed: {reason}\nFix: {fix}\n"


def test_a_project_without_migrations_has_nothing_to_verify(verify, app, settings):
    for path in (app.folder / "migrations").glob("0*.py"):
        path.unlink()
    done = verify("--with-seed")
    assert done.returncode == 0, done
    assert lines(done) == [f"no migration to verify: {settings.url}"]


def test_production_is_refused(app):
    done = app.invoke("migrate-verify", APP_ENV="production")
    assert done.returncode == 2
    assert "APP_ENV is production" in done.stderr


def test_the_configured_database_is_not_changed(app, settings):
    app.invoke("migrate-up", "seed", "--yes")
    before = execute(settings, "SELECT xmin::text, * FROM sessions ORDER BY sid")
    assert before
    history = execute(settings, "SELECT * FROM migratehistory")
    assert app.invoke("migrate-verify", "--with-seed").returncode == 0
    assert execute(settings, "SELECT xmin::text, * FROM sessions ORDER BY sid") == before
    assert execute(settings, "SELECT * FROM migratehistory") == history


def test_a_user_who_may_not_create_a_database_gets_an_error_with_the_fix(app, settings):
    name = f"visitor_{uuid4().hex[:8]}"
    execute(settings, f"CREATE ROLE {name} LOGIN PASSWORD %s", settings.url.password)
    try:
        url = replace(settings.url, user=name).render(with_password=True)
        done = app.invoke("migrate-verify", DATABASE_URL=url)
    finally:
        execute(settings, f"DROP ROLE {name}")
    assert done.returncode == 2
    assert f"permission denied to create database\nFix: ALTER ROLE {name} CREATEDB" in done.stderr


def test_a_user_who_may_create_databases_needs_no_other_right(app, settings):
    name = f"visitor_{uuid4().hex[:8]}"
    execute(settings, f"CREATE ROLE {name} LOGIN CREATEDB PASSWORD %s", settings.url.password)
    try:
        url = replace(settings.url, user=name).render(with_password=True)
        done = app.invoke("migrate-verify", "--with-seed", DATABASE_URL=url)
    finally:
        execute(settings, f"DROP ROLE {name}")
    assert done.returncode == 0, done


# Signals, and a lost connection

SLEEPING = "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%%' AND state = 'active'"
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'migrate_verify%%'"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds between two signals, for different moments of the cleanup.
PAUSES = (0, 0.005, 0.1, 0.02)[: rounds(4)]


@pytest.fixture
def sleeping(app, settings):
    """Starts migrate-verify and waits until the second migration sleeps in its up or its down."""
    for path in (app.folder / "migrations").glob("0*.py"):
        path.unlink()
    app.write("migrations/001_first.py", BODY.format("CREATE TABLE t ()", "DROP TABLE t"))
    processes = []

    def start(up="SELECT 1", down="SELECT 1"):
        app.write("migrations/002_slow.py", BODY.format(up, down))
        process = app.start("migrate-verify")
        processes.append(process)
        until(lambda: execute(settings, f"SELECT count(*) {SLEEPING}") == [(1,)])
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def assert_interrupted(process, settings):
    """The process ends as interrupted, without a traceback or a scratch database."""
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in err, (out, err)
    assert "Traceback" not in err
    assert execute(settings, DATABASES) == [(0,)]
    assert "verified 001_first" in out
    assert "002_slow" not in out


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_drops_the_scratch_database(sleeping, settings, number):
    process = sleeping(up="SELECT pg_sleep(60)")
    process.send_signal(number)
    assert_interrupted(process, settings)


@only_in_ci
@pytest.mark.parametrize("pause", PAUSES)
def test_a_second_signal_does_not_stop_the_cleanup(sleeping, settings, pause):
    process = sleeping(up="SELECT pg_sleep(60)")
    process.send_signal(signal.SIGHUP)
    sleep(pause)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    # SIGTERM ends it at once when it comes after the cleanup.
    assert process.returncode in (130, -signal.SIGTERM)
    assert "Traceback" not in err
    assert execute(settings, DATABASES) == [(0,)]


def test_the_next_run_drops_what_a_killed_one_left(sleeping, app, settings):
    process = sleeping(up="SELECT pg_sleep(60)")
    process.kill()
    process.wait()
    assert execute(settings, DATABASES) == [(1,)]
    execute(settings, f"SELECT pg_terminate_backend(pid) {SLEEPING}")
    until(lambda: execute(settings, SESSIONS) == [(0,)])
    app.write("migrations/002_slow.py", BODY.format("SELECT 1", "SELECT 1"))
    assert app.invoke("migrate-verify").returncode == 0
    assert execute(settings, DATABASES) == [(0,)]


def test_an_interrupted_rollback_is_not_faulty(sleeping, settings):
    process = sleeping(down="SELECT pg_sleep(60)")
    process.send_signal(signal.SIGINT)
    assert_interrupted(process, settings)


@only_in_ci
def test_a_rollback_that_loses_its_connection_is_not_faulty(sleeping, settings):
    process = sleeping(down="SELECT pg_sleep(60)")
    execute(settings, f"SELECT pg_terminate_backend(pid) {SLEEPING}")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "002_slow" not in out
    assert "connection" in err
    assert execute(settings, DATABASES) == [(0,)]
