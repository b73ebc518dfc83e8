"""migrate-stamp: migrations are recorded without running where the schema shows their result."""

import signal
from dataclasses import replace
from uuid import uuid4

import pytest

from dbfoundation.server import binaries
from dbfoundation.server.compose import Compose
from dbfoundation.server.local import LocalServer
from tests.migration_files import creates, migration
from tests.support import assert_error, execute, only_in_ci, rounds, tables, until

ROWS = "SELECT id, name, checksum, code_checksum FROM migratehistory ORDER BY id"
NAMES = ["001_create_audit_log", "002_create_sessions", "003_index_audit_log"]
RECORDED = [f"recorded {name}" for name in NAMES]
ROLES = migration("migrator.sql('CREATE ROLE stamped_reader')", "migrator.sql('SELECT 1')")
needs_a_server = pytest.mark.skipif(
    bool(binaries.unavailable_reason()), reason="this machine can start no server"
)


def history(settings):
    return execute(settings, ROWS) if "migratehistory" in tables(settings) else []


def test_the_records_are_those_of_a_run(existing, settings):
    stamped = existing.invoke("migrate-stamp", "3")
    assert stamped.returncode == 0, stamped
    total = f"3 recorded, not run: {settings.url}"
    assert (stamped.stdout.splitlines(), stamped.stderr) == ([*RECORDED, total], "")
    records = history(settings)
    assert execute(
        settings, "SELECT now() - migrated_at < interval '1 minute' FROM migratehistory"
    ) == [(True,)] * len(NAMES)
    execute(settings, "DROP TABLE migratehistory, sessions, audit_log")
    assert existing.invoke("migrate-up").returncode == 0
    assert records == history(settings)


def test_the_files_run_on_the_scratch_database_alone(existing, settings):
    execute(settings, "INSERT INTO sessions VALUES ('kept', '{}', '2026-01-01')")
    existing.write("migrations/004_empty.py", migration("migrator.sql('DELETE FROM sessions')"))
    assert existing.invoke("migrate-stamp", "4").returncode == 0
    assert execute(settings, "SELECT sid FROM sessions") == [("kept",)]


def test_a_later_run_applies_only_the_rest(existing, settings):
    existing.write("migrations/004_more.py", creates("more"))
    assert existing.invoke("migrate-stamp", "003_index_audit_log").returncode == 0
    done = existing.invoke("migrate-up")
    assert [line.split()[1] for line in done.stdout.splitlines()[:-1]] == ["004_more"]
    assert "more" in tables(settings)
    assert existing.invoke("migrate-verify").returncode == 0
    assert existing.invoke("migrate-down").stdout.startswith("rolled back 004_more")


def test_what_is_recorded_stays_and_the_rest_up_to_the_name_is_added(existing, settings):
    execute(settings, "DROP INDEX idx_audit_log_user")
    assert existing.invoke("migrate-stamp", "1", "--anyway").returncode == 0
    assert existing.invoke("migrate-stamp", "2", "--anyway").stdout.startswith(RECORDED[1])
    first = execute(settings, "SELECT * FROM migratehistory ORDER BY id")
    execute(settings, "CREATE INDEX idx_audit_log_user ON audit_log (user_id, id)")
    assert existing.invoke("migrate-stamp", "3").returncode == 0
    rows = execute(settings, "SELECT * FROM migratehistory ORDER BY id")
    assert (rows[:2], len(rows)) == (first, 3)


@pytest.mark.parametrize("name", ["3", "1"])
def test_with_everything_recorded_there_is_nothing_to_do(app, settings, name):
    app.invoke("migrate-up")
    execute(settings, "DROP TABLE sessions")  # a comparison would find it
    before = history(settings)
    done = app.invoke("migrate-stamp", name)
    assert (done.returncode, done.stdout) == (
        0,
        f"nothing to record: {settings.url} has everything up to {NAMES[int(name) - 1]}\n",
    )
    assert history(settings) == before


def test_a_difference_leaves_an_existing_history_as_it_is(existing, settings):
    existing.invoke("migrate-stamp", "1", "--anyway")
    before = execute(settings, "SELECT * FROM migratehistory")
    execute(settings, "DROP INDEX idx_sessions_expire")
    assert existing.invoke("migrate-stamp", "3").returncode == 1
    assert execute(settings, "SELECT * FROM migratehistory") == before


def test_anyway_records_and_prints_the_differences_as_warnings(existing, settings):
    execute(settings, "DROP INDEX idx_sessions_expire")
    done = existing.invoke("migrate-stamp", "3", "--anyway")
    assert done.returncode == 0, done
    line = "sessions, index idx_sessions_expire: only the result of the migrations has this index"
    assert done.stderr == f"warning: {line}\n"
    assert done.stdout.splitlines()[:-1] == RECORDED
    assert [name for _, name, *_ in history(settings)] == NAMES


# Refusals and errors


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / "001_create_audit_log.py").unlink(), "its file is missing"),
        (
            lambda folder: (folder / "001_create_audit_log.py").write_text(creates("other")),
            "edited after it was applied",
        ),
        (lambda folder: (folder / "000_early.py").write_text(creates("e")), "a later migration"),
        (lambda folder: (folder / "002_more.py").write_text(creates("e")), "has this number"),
        (lambda folder: (folder / "stray.py").write_text(creates("e")), "would be ignored"),
    ],
    ids=["missing", "edited", "out of order", "duplicate", "stray"],
)
def test_a_problem_of_the_plan_is_refused(existing, settings, change, words):
    existing.invoke("migrate-stamp", "1", "--anyway")
    before = history(settings)
    change(existing.folder / "migrations")
    assert_error(existing.invoke("migrate-stamp", "3", "--anyway"), "nothing was run", words)
    assert history(settings) == before


def test_an_unknown_name_is_an_error(existing):
    assert_error(existing.invoke("migrate-stamp", "9"), "no migration is called '9'; similar: ")


def test_a_migration_that_fails_is_reported_as_a_failure_in_the_scratch_database(
    existing, settings
):
    existing.write("migrations/004_bad.py", migration("migrator.sql('CREATE TABLE')"))
    done = existing.invoke("migrate-stamp", "4", "--anyway")
    note = "this happened in a scratch database, which is dropped"
    assert_error(done, "migrations/004_bad.py:3", note)
    assert (done.stdout, history(settings)) == ("", [])


def test_a_user_who_may_not_create_a_database_gets_the_fix(existing, settings):
    name = f"visitor_{uuid4().hex[:8]}"
    execute(settings, f"CREATE ROLE {name} LOGIN PASSWORD %s", settings.url.password)
    try:
        url = replace(settings.url, user=name).render(with_password=True)
        done = existing.invoke("migrate-stamp", "3", DATABASE_URL=url)
    finally:
        execute(settings, f"DROP ROLE {name}")
    fix = f"permission denied to create database\nFix: ALTER ROLE {name} CREATEDB"
    assert_error(done, fix)


def test_production_is_where_a_database_is_adopted(existing):
    done = existing.invoke("migrate-stamp", "3", APP_ENV="production")
    assert done.returncode == 0, done


@only_in_ci
@needs_a_server
def test_a_server_wide_statement_runs_on_a_server_of_its_own(existing, settings):
    existing.write("migrations/004_reader.py", ROLES)
    done = existing.invoke("migrate-stamp", "4")
    assert done.returncode == 0, done
    assert "CREATE ROLE stamped_reader: it takes effect on the whole server" in done.stderr
    assert execute(settings, "SELECT rolname FROM pg_roles WHERE rolname = 'stamped_reader'") == []
    execute(settings, "CREATE TABLE more (id integer)")
    assert existing.invoke("migrate-stamp", "zero", "--yes").returncode == 0
    assert "more: only the database has" in existing.invoke("migrate-stamp", "4").stdout


@only_in_ci
@needs_a_server
def test_a_failure_on_that_server_is_reported_as_such(existing, settings):
    existing.write("migrations/004_reader.py", ROLES)
    existing.write("migrations/005_bad.py", migration("migrator.sql('CREATE TABLE')"))
    done = existing.invoke("migrate-stamp", "5")
    assert done.returncode == 2
    assert "error: migrations/005_bad.py:3" in done.stderr
    assert "this happened on a new server, which has no role but those of the" in done.stderr
    assert history(settings) == []


def test_without_another_server_a_server_wide_statement_is_an_error(
    existing, settings, monkeypatch
):
    monkeypatch.setattr(LocalServer, "unavailable_reason", lambda _: "no programs")
    monkeypatch.setattr(Compose, "unavailable_reason", lambda _: "no engine")
    existing.write("migrations/004_reader.py", ROLES)
    done = existing.invoke("migrate-stamp", "4")
    words = ("004_reader: CREATE ROLE", "no PostgreSQL can be started here", "Fix: ")
    assert_error(done, *words)
    assert history(settings) == []


# Zero


def test_zero_forgets_every_record_and_runs_no_rollback(existing, settings):
    existing.invoke("migrate-stamp", "3")
    (existing.folder / "migrations" / "001_create_audit_log.py").unlink()
    done = existing.invoke("migrate-stamp", "zero", "--yes")
    assert done.returncode == 0, done
    total = f"3 forgotten, not rolled back: {settings.url}"
    assert done.stdout.splitlines() == [*(f"forgot {name}" for name in NAMES), total]
    assert tables(settings) == ["audit_log", "migratehistory", "sessions"]
    assert history(settings) == []


def test_zero_needs_consent_on_a_server_that_the_project_did_not_start(existing, settings):
    existing.invoke("migrate-stamp", "3")
    for environment in ("test", "production"):
        done = existing.invoke("migrate-stamp", "zero", APP_ENV=environment)
        words = f"migrate-stamp zero would forget the migrations of {settings.url}, on a server"
        assert_error(done, words, "Fix: add --yes")
        assert len(history(settings)) == 3
    assert existing.invoke("migrate-stamp", "zero", "--yes", APP_ENV="production").returncode == 0
    assert history(settings) == []


def test_zero_without_a_history_has_nothing_to_do_and_creates_none(app, settings):
    done = app.invoke("migrate-stamp", "zero", "--yes")
    assert (done.returncode, done.stdout) == (0, f"nothing to forget: {settings.url}\n")
    assert tables(settings) == []


# Several at once, with real processes


@only_in_ci
def test_of_two_at_once_one_records_and_the_other_has_nothing_to_do(existing, settings):
    for _ in range(rounds(5)):
        ended = [existing.start("migrate-stamp", "3") for _ in range(2)]
        outputs = [process.communicate(timeout=60) for process in ended]
        assert [process.returncode for process in ended] == [0, 0], outputs
        texts = sorted(out.splitlines()[0] for out, _ in outputs)
        assert texts[0].startswith("nothing to record: ")
        assert texts[1] == RECORDED[0]
        assert [name for _, name, *_ in history(settings)] == NAMES
        execute(settings, "DROP TABLE migratehistory")


SLEEP = "DO $$ BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN END $$"
SLEEPING = "FROM pg_stat_activity WHERE query LIKE 'DO $$ BEGIN PERFORM pg_sleep%%'"


@pytest.fixture
def sleeping(existing, settings):
    """A migrate-stamp whose last migration sleeps on the scratch database."""
    existing.write("migrations/004_slow.py", migration(f'migrator.sql("{SLEEP}")'))
    process = existing.start("migrate-stamp", "4")
    until(lambda: execute(settings, f"SELECT pid {SLEEPING}"))
    yield process
    process.kill()
    process.communicate()


def test_a_change_while_the_files_run_is_a_difference(sleeping, settings):
    """The database is read at the end, under the lock."""
    execute(settings, "DROP INDEX idx_sessions_expire")
    execute(settings, f"SELECT pg_cancel_backend(pid) {SLEEPING}")
    out, err = sleeping.communicate(timeout=60)
    assert sleeping.returncode == 1, (out, err)
    assert "idx_sessions_expire: only the result of the migrations has this index" in out
    assert history(settings) == []


def test_another_runner_is_not_kept_waiting_while_the_files_run(sleeping, existing, settings):
    execute(settings, "DROP TABLE sessions, audit_log")
    assert existing.invoke("migrate-up", "--to", "3").returncode == 0
    execute(settings, f"SELECT pg_cancel_backend(pid) {SLEEPING}")
    out, err = sleeping.communicate(timeout=60)
    assert out.splitlines()[:-1] == ["recorded 004_slow"], (out, err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drops_the_scratch_database_and_records_nothing(sleeping, settings, number):
    sleeping.send_signal(number)
    out, err = sleeping.communicate(timeout=30)
    assert (sleeping.returncode, out) == (130, ""), err
    assert "Traceback" not in err
    assert history(settings) == []


@only_in_ci
def test_a_locked_table_is_named_and_nothing_is_recorded(existing, settings, db):
    existing.invoke("migrate-stamp", "1", "--anyway")
    with db.atomic():
        db.execute_sql("LOCK TABLE migratehistory IN SHARE MODE")
        done = existing.invoke("migrate-stamp", "3", MIGRATE_TABLE_LOCK_TIMEOUT="1")
    assert_error(done, "the history of migrations is locked", "Fix: ")
    assert done.stdout == ""
    assert len(history(settings)) == 1
