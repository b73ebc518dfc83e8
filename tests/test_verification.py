"""migrate-verify: a rollback that does not undo its migration is caught, and nothing else is."""

import re
import signal
from dataclasses import replace
from time import sleep
from uuid import uuid4

import pytest

from tests.conftest import execute, until

HEAD = "def migrate(migrator, database, *, fake=False):\n    {up}\n\n\n"
TAIL = "def rollback(migrator, database, *, fake=False):\n    {down}\n"
DATABASES = "SELECT count(*) FROM pg_database WHERE datname LIKE 'migrate_verify%%'"


def file(up, down):
    return (HEAD + TAIL).format(up=f"migrator.sql({up!r})", down=f"migrator.sql({down!r})")


@pytest.fixture
def verify(app, settings):
    """Runs migrate-verify in a copy of the project with these more files, by their names."""

    def run(*flags, **files):
        for name, text in files.items():
            app.write(f"migrations/{name.removeprefix('m')}.py", text)
        done = app.invoke("migrate-verify", *flags)
        assert execute(settings, DATABASES) == [(0,)]
        assert execute(settings, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [
            (0,)
        ]
        return done

    return run


def lines(done):
    """What was said, without the times."""
    return [re.sub(r"  \d+ ms$", "", line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("flags", [(), ("--with-seed",)])
def test_our_own_rollbacks_are_good(verify, settings, flags):
    done = verify(*flags)
    assert done.returncode == 0, done
    assert lines(done)[:4] == [
        "verified 001_create_audit_log",
        "verified 002_create_sessions",
        "verified 003_index_audit_log",
        "verified all in a row, down to empty and up",
    ]
    assert lines(done)[4].startswith("every rollback undoes its migration, in ")
    assert lines(done)[4].endswith(f"beside {settings.url}")


FAULTY = {
    "an index forgotten": (
        "CREATE INDEX by_action ON audit_log (action); CREATE TABLE more (id integer)",
        "DROP TABLE more",
        ["audit_log, index by_action: only the schema after its rollback has this index"],
    ),
    "a view dropped": (
        "ALTER TABLE sessions ADD more integer",
        "DROP VIEW live; ALTER TABLE sessions DROP more",
        ["view live: only the schema before it has this view"],
    ),
    "a default changed": (
        "ALTER TABLE audit_log ALTER timestamp SET DEFAULT clock_timestamp()",
        "ALTER TABLE audit_log ALTER timestamp DROP DEFAULT",
        ['audit_log."timestamp": only the schema before it has DEFAULT now()'],
    ),
    "an enum type left": (
        "CREATE TYPE mood AS ENUM ('good'); ALTER TABLE sessions ADD feels mood",
        "ALTER TABLE sessions DROP feels",
        ["type mood: only the schema after its rollback has this type"],
    ),
    "a function of before not restored": (
        "CREATE OR REPLACE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 2'",
        "SELECT 1",
        ["function one(): the schema after its rollback has CREATE OR REPLACE FUNCTION"],
    ),
    "a table of another schema left": (
        "CREATE SCHEMA other; CREATE TABLE other.things (id integer)",
        "SELECT 1",
        ["schema other: only", "other.things: only"],
    ),
    "a rule left": (
        "CREATE RULE kept AS ON DELETE TO sessions DO INSTEAD NOTHING",
        "SELECT 1",
        ["sessions, rule kept: only the schema after its rollback has this rule"],
    ),
    "a schema that hides the rest, left with a table": (
        "CREATE SCHEMA test_user; CREATE TABLE test_user.more (id integer)",
        "SET search_path = test_user, public",
        ["schema test_user: only", "test_user.more: only"],
    ),
    "a type changed": (
        "ALTER TABLE sessions ALTER expire TYPE timestamptz(6)",
        "ALTER TABLE sessions ALTER expire TYPE timestamp",
        ["has timestamp without time zone, the schema before it timestamp(6) without time zone"],
    ),
    "a rollback that fails": (
        "CREATE TABLE more (id integer)",
        "DROP TABLE mroe",
        ['table "mroe" does not exist'],
    ),
    "a row left, so that up fails": (
        "INSERT INTO sessions VALUES ('one', '{}', now())",
        "SELECT 1",
        ["duplicate key value"],
    ),
}
BEFORE = file(
    "CREATE VIEW live AS SELECT sid FROM sessions; "
    "CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "DROP VIEW live; DROP FUNCTION one()",
)
AFTER = file("CREATE TABLE later (id integer)", "DROP TABLE later")


@pytest.mark.parametrize(("up", "down", "faults"), FAULTY.values(), ids=FAULTY)
def test_a_rollback_that_does_not_undo_is_caught(verify, up, down, faults):
    done = verify(m004_before=BEFORE, m005_faulty=file(up, down), m006_after=AFTER)
    assert done.returncode == 1, done
    said = lines(done)
    assert [line for line in said if not line.startswith(("!", " "))][:6] == [
        "verified 001_create_audit_log",
        "verified 002_create_sessions",
        "verified 003_index_audit_log",
        "verified 004_before",
        "faulty 005_faulty",
        "verified 006_after",
    ]
    found = [line for line in said if line.startswith("! ")]
    assert len(found) == len(faults)
    for line, fault in zip(found, faults, strict=True):
        assert fault in line
    assert said[-1].startswith("to mend: 005_faulty, in ")


def test_every_faulty_rollback_is_named_in_one_run(verify):
    done = verify(
        m004_a=file("CREATE TABLE a (id integer)", "SELECT 1"),
        m005_b=file("CREATE TABLE b (id integer)", "DROP TABLE b"),
        m006_c=file("CREATE TABLE c (id integer)", "DROP TABLE c, b"),
    )
    assert done.returncode == 1
    assert "to mend: 004_a, 006_c, in" in done.stdout
    assert "! a: only the schema after its rollback has this table" in done.stdout
    assert "! b: only the schema before it has this table" in done.stdout


def test_an_irreversible_migration_is_named_and_passed_over(verify):
    up = HEAD.format(up="migrator.sql('CREATE TABLE a (id integer)')")
    done = verify(m004_a=f"irreversible = True\n\n\n{up}", m005_after=AFTER)
    assert done.returncode == 0, done
    assert lines(done)[3:6] == [
        "irreversible 004_a",
        "verified 005_after",
        "verified all in a row, down to 004_a and up",
    ]
    assert "(but for the irreversible 004_a)" in lines(done)[6]


def test_where_the_last_one_is_irreversible_nothing_is_said_to_be_tried_in_a_row(verify):
    done = verify("--with-seed", m004_a=f"irreversible = True\n\n\n{file('SELECT 1', 'SELECT 1')}")
    assert done.returncode == 0, done
    assert lines(done)[4] == "irreversible all in a row"
    assert "(but for the irreversible 004_a, all in a row)" in lines(done)[5]


def test_a_rollback_that_fails_on_rows_is_caught_with_the_seed(verify):
    narrower = file(
        "ALTER TABLE sessions ALTER sid TYPE text",
        "ALTER TABLE sessions ALTER sid TYPE varchar; "
        "ALTER TABLE sessions ADD CONSTRAINT few CHECK (sid <> 'seed-03'); "
        "ALTER TABLE sessions DROP CONSTRAINT few",
    )
    assert verify(m004_narrower=narrower).returncode == 0
    done = verify("--with-seed")
    assert done.returncode == 1
    assert "faulty 004_narrower, all in a row" in done.stdout
    assert "to mend: 004_narrower, all in a row, in" in done.stdout
    assert "is violated by some row" in done.stdout


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("return 1 / 0", "ZeroDivisionError: division by zero"),
        ("return database.execute_sql('SELECT 1 / 0')", "division by zero"),
    ],
)
def test_a_seed_that_fails_is_named_and_no_traceback(verify, app, settings, line, reason):
    app.write("seeds.py", f"from toolkit.database import database\n\n\ndef seed():\n    {line}\n")
    done = verify("--with-seed")
    assert done.returncode == 2
    assert done.stderr == f"error: seeds.py failed: {reason}\n`invoke --debug` shows where.\n"
    assert execute(settings, DATABASES) == [(0,)]


def test_no_migration_at_all_is_said(verify, app):
    for path in (app.folder / "migrations").glob("0*.py"):
        path.unlink()
    done = verify("--with-seed")
    assert done.returncode == 0, done
    assert [line.partition(" beside ")[0] for line in lines(done)] == [
        "there is no migration to verify"
    ]


def test_a_temporary_table_goes_with_its_run(verify):
    moving = file("CREATE TEMP TABLE moving AS SELECT 1", "SELECT 1")
    done = verify(m004_moving=moving, m005_after=AFTER)
    assert done.returncode == 0, done
    assert "verified 004_moving" in lines(done)


def test_a_migration_that_cannot_be_applied_is_an_error(verify):
    done = verify(m004_bad=file("CREATE TABLE", "SELECT 1"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: migrations/004_bad.py")
    assert "verified 002_create_sessions" in done.stdout


def test_one_outside_of_a_transaction_is_tried_like_any_other(verify):
    text = file("CREATE INDEX CONCURRENTLY i ON audit_log (action)", "DROP INDEX CONCURRENTLY i")
    done = verify(m004_index=f"atomic = False\n\n\n{text}")
    assert done.returncode == 0, done
    assert "verified 004_index" in done.stdout


def test_production_is_refused(app):
    done = app.invoke("migrate-verify", APP_ENV="production")
    assert done.returncode == 2
    assert "APP_ENV is production" in done.stderr


def test_it_leaves_the_developers_own_database_alone(app, settings):
    app.invoke("migrate-up", "seed")
    before = execute(settings, "SELECT xmin::text, * FROM sessions ORDER BY sid")
    history = execute(settings, "SELECT * FROM migratehistory")
    assert app.invoke("migrate-verify", "--with-seed").returncode == 0
    assert execute(settings, "SELECT xmin::text, * FROM sessions ORDER BY sid") == before
    assert execute(settings, "SELECT * FROM migratehistory") == history


@pytest.fixture
def sleeping(app, settings):
    """Starts migrate-verify and waits until it sleeps in a file's statement."""
    processes = []

    def start(up="SELECT 1", down="SELECT 1"):
        app.write("migrations/004_slow.py", file(up, down))
        process = app.start("migrate-verify")
        processes.append(process)
        until(lambda: execute(settings, f"SELECT count(*) {SLEEPING}") == [(1,)])
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


SLEEPING = "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%%' AND state = 'active'"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def ended(process, settings):
    """What a process that was interrupted printed; it has left no database."""
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130 or "interrupted" in err, (out, err)
    assert "Traceback" not in err
    assert execute(settings, DATABASES) == [(0,)]
    return out


@pytest.mark.parametrize("number", SIGNALS)
def test_the_scratch_database_is_dropped_when_it_is_ended_early(sleeping, settings, number):
    process = sleeping(up="SELECT pg_sleep(60)")
    process.send_signal(number)
    ended(process, settings)


@pytest.mark.parametrize("pause", [0, 0.005, 0.02, 0.1])
def test_a_second_signal_does_not_stop_the_cleaning(sleeping, settings, pause):
    process = sleeping(up="SELECT pg_sleep(60)")
    process.send_signal(signal.SIGHUP)
    sleep(pause)  # the moments in which it cleans up
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    ended(process, settings)


def test_a_rollback_that_is_interrupted_is_not_to_blame(sleeping, settings):
    process = sleeping(down="SELECT pg_sleep(60)")
    process.send_signal(signal.SIGINT)
    out = ended(process, settings)
    assert "verified 003_index_audit_log" in out
    assert "004_slow" not in out


def test_a_rollback_that_loses_its_connection_is_not_to_blame(sleeping, settings):
    process = sleeping(down="SELECT pg_sleep(60)")
    execute(settings, f"SELECT pg_terminate_backend(pid) {SLEEPING}")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "004_slow" not in out
    assert "connection" in err
    assert execute(settings, DATABASES) == [(0,)]


def test_a_user_who_may_not_create_a_database_is_told_the_way_out(app, settings):
    name = f"stranger_{uuid4().hex[:8]}"
    execute(settings, f"CREATE ROLE {name} LOGIN PASSWORD %s", settings.url.password)
    try:
        url = replace(settings.url, user=name).render(with_password=True)
        done = app.invoke("migrate-verify", DATABASE_URL=url)
    finally:
        execute(settings, f"DROP ROLE {name}")
    assert done.returncode == 2
    assert f"permission denied to create database\nALTER ROLE {name} CREATEDB" in done.stderr
