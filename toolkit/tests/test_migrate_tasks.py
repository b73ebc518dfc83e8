"""The tasks migrate-up, migrate-down and migrate-create, as a command line runs them."""

import re
import shutil

import pytest

from tests.support import PASSWORD, assert_error, execute, tables


def test_the_tasks_of_a_command_line_run_in_their_order(app, settings):
    done = app.invoke("migrate-up", "seed", "--yes", "seed", "--yes", "migrate-status")
    assert done.returncode == 0, done
    address = re.escape(f"{settings.url}")
    assert re.fullmatch(
        rf"applied 001_create_audit_log  \d+ ms\n"
        rf"applied 002_create_sessions  \d+ ms\n"
        rf"applied 003_index_audit_log  \d+ ms\n"
        rf"3 applied in \d+ ms: {address}\n"
        rf"seeded {address}: inserted 12, unchanged 0\n"
        rf"seeded {address}: inserted 0, unchanged 12\n"
        rf"[-0-9]{{10}} [:0-9]{{8}} UTC  001_create_audit_log\n"
        rf"[-0-9]{{10}} [:0-9]{{8}} UTC  002_create_sessions\n"
        rf"[-0-9]{{10}} [:0-9]{{8}} UTC  003_index_audit_log\n"
        rf"3 applied, 0 pending on {address}\n",
        done.stdout,
    )


def test_the_seam_of_invoke_a_task_that_is_named_twice_runs_twice(app, settings):
    """invoke drops equal calls, unless a project's invoke.yaml forbids that; ours has none."""
    app.invoke("migrate-up")
    assert not list(app.folder.glob("invoke.*"))
    done = app.invoke("migrate-down", "migrate-down")
    assert done.stdout.count("1 rolled back") == 2
    assert tables(settings) == ["audit_log", "migratehistory"]


def test_a_run_with_nothing_to_do_prints_so(app, settings):
    assert app.invoke("migrate-down").stdout == f"nothing to roll back: {settings.url}\n"
    app.invoke("migrate-up")
    done = app.invoke("migrate-up")
    assert done.stdout == f"nothing to apply: {settings.url} is up to date\n"


def test_a_new_migration_runs_when_its_example_is_filled_in(app, settings):
    done = app.invoke("migrate-create", "Add-Things")
    assert done.stdout.startswith("created migrations/004_add_things.py")
    path = app.folder / "migrations" / "004_add_things.py"
    path.write_text(re.sub(r"# (migrator.*)", r"\1", path.read_text()))
    assert "applied 004_add_things" in app.invoke("migrate-up").stdout
    assert "things" in tables(settings)
    assert "rolled back 004_add_things" in app.invoke("migrate-down").stdout
    assert "things" not in tables(settings)


def test_a_failed_migration_leaves_no_table_and_the_earlier_ones_stay(app, settings):
    app.write(
        "migrations/004_broken.py",
        "def migrate(migrator, database, *, fake=False):\n"
        "    migrator.sql('CREATE TABLE half (id INTEGER)')\n"
        "    migrator.sql('SELECT * FROM nowhere')\n"
        "def rollback(migrator, database, *, fake=False):\n"
        "    migrator.sql('DROP TABLE half')\n",
    )
    done = app.invoke("migrate-up")
    assert_error(done, "migrations/004_broken.py:3", 'relation "nowhere" does not exist')
    assert "applied 003_index_audit_log" in done.stdout
    assert tables(settings) == ["audit_log", "migratehistory", "sessions"]
    assert app.invoke("migrate-status").returncode == 1


def test_sys_exit_in_a_migration_is_a_failure(app, settings):
    app.write(
        "migrations/004_exit.py",
        "import sys\ndef migrate(migrator, database, *, fake=False):\n    sys.exit(0)\n"
        "irreversible = True\n",
    )
    assert_error(app.invoke("migrate-up"), "migrations/004_exit.py:3", "SystemExit")
    assert execute(settings, "SELECT count(*) FROM migratehistory") == [(3,)]


def test_a_missing_folder_of_migrations_is_an_error(app):
    shutil.rmtree(app.folder / "migrations")
    assert_error(app.invoke("migrate-create", "add_users"), "migrations", "cannot be read")
    assert_error(app.invoke("migrate-up"), "migrations", "cannot be read")


def test_debug_adds_the_traceback_and_no_password(app):
    app.invoke("migrate-up")
    done = app.invoke("--debug", "migrate-create", "Create Sessions")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    seeded = app.invoke("--debug", "seed", "--yes")
    assert seeded.returncode == 0
    assert "invoke.program" in seeded.stderr
    assert "originalMaxAge" not in seeded.stderr  # Peewee logs statements with their parameters
    assert PASSWORD not in done.stderr + seeded.stderr


@pytest.mark.parametrize("words", [["migrate-up", "--nope"], ["migrate-create"], ["nope"]])
def test_a_command_line_that_invoke_rejects_ends_with_exit_code_1(app, settings, words):
    done = app.invoke(*words)
    assert done.returncode == 1
    assert words[-1] in done.stderr
    assert tables(settings) == []


@pytest.mark.parametrize(
    ("words", "exported", "messages"),
    [
        (["migrate-up"], {"DB_PASSWORD": "hidden"}, ["DATABASE_URL: contradicts DB_PASSWORD"]),
        (["migrate-up"], {"DATABASE_URL": "postgresql://app:hidden@/"}, ["DB_NAME: not set"]),
        (["migrate-up"], {"DATABASE_URL": "nonsense"}, ["DATABASE_URL: not of the form"]),
        (["migrate-up", "--steps=x"], {}, ["--steps must be a number, 1 or more"]),
        (["seed"], {"DATABASE_URL": "", "DB_PORT": "x"}, ["DB_PORT: not a port number"]),
        (["seed"], {"DB_POOL_MAX_CONNECTIONS": "0"}, ["DB_POOL_MAX_CONNECTIONS: must be 1"]),
        (["seed"], {"APP_ENV": "production"}, ["APP_ENV is production"]),
        (["seed", "--yes"], {}, ["invoke migrate-up", "does not exist"]),
        (["db-reset"], {"APP_ENV": "production"}, ["APP_ENV is production"]),
        (["migrate-verify"], {"APP_ENV": "production"}, ["APP_ENV is production"]),
        (["db-up", "--via=podman"], {}, ["--via accepts docker or local, not podman"]),
        (["migrate-create", ""], {}, ["'' is not a valid name for a migration"]),
        (["migrate-create", "../x"], {}, ["is not a valid name for a migration"]),
        (["migrate-create", "2fa"], {}, ["is not a valid name for a migration"]),
        (["migrate-create", "create_sessions"], {}, ["002_create_sessions"]),
    ],
)
def test_bad_input_changes_nothing(app, settings, words, exported, messages):
    before = sorted((app.folder / "migrations").iterdir())
    assert_error(app.invoke(*words, **exported), *messages)
    assert tables(settings) == []
    assert sorted((app.folder / "migrations").iterdir()) == before
