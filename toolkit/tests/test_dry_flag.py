"""invoke's --dry is the dry run of a task that has one; the others that change anything refuse."""

import pytest

from dbfoundation.tasks import ns
from tests.support import assert_error, execute, tables

READING = {"db-schema", "migrate-status", "migrate-check"}
DRY_RUNS = {"migrate-up", "migrate-down", "migrate-redo"}
FILES = {"migrate-create", "models-from-database"}  # their dry run is about files
NAMES = {name.replace("_", "-") for name in ns.task_names}
ARGUMENTS = {"migrate-accept": ["001"], "migrate-stamp": ["001"]}


def state(settings):
    """The tables, the history and the rows of the audit trail."""
    rows = execute(settings, "SELECT * FROM migratehistory ORDER BY id")
    return tables(settings), rows, execute(settings, "SELECT count(*) FROM audit_log")


@pytest.fixture
def migrated_app(app):
    assert app.invoke("migrate-up").returncode == 0
    return app


@pytest.mark.parametrize("name", sorted(NAMES - READING - DRY_RUNS - FILES))
def test_a_task_without_a_dry_run_refuses_the_flag_by_name(migrated_app, settings, name):
    before, files = state(settings), sorted((migrated_app.folder / "migrations").iterdir())
    done = migrated_app.invoke("--dry", name, *ARGUMENTS.get(name, ()))
    assert_error(done, f"{name} has no dry run", "Fix: ")
    assert done.stdout == ""
    assert state(settings) == before
    assert sorted((migrated_app.folder / "migrations").iterdir()) == files


@pytest.mark.parametrize("name", sorted(READING))
def test_a_task_that_only_reads_runs_with_the_flag(migrated_app, name):
    done = migrated_app.invoke("--dry", name)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


@pytest.mark.parametrize("name", sorted(DRY_RUNS))
@pytest.mark.parametrize("place", ["--dry {}", "{} --dry", "{} -R"])
def test_the_flag_is_the_dry_run_of_a_task_that_has_one(migrated_app, settings, name, place):
    migrated_app.invoke("migrate-down")
    before = state(settings)
    done = migrated_app.invoke(*place.format(name).split())
    assert done.returncode == 0, done
    assert "-- dry run, nothing was changed: " in done.stdout
    assert state(settings) == before


def test_the_flag_lets_migrate_create_write_no_file(migrated_app):
    before = sorted((migrated_app.folder / "migrations").iterdir())
    done = migrated_app.invoke("--dry", "migrate-create", "more")
    assert (done.returncode, done.stdout) == (0, "would create migrations/004_more.py\n")
    assert sorted((migrated_app.folder / "migrations").iterdir()) == before


def test_the_flag_lets_models_from_database_write_no_file(migrated_app, settings):
    execute(settings, "CREATE TABLE users (id integer)")
    before = sorted((migrated_app.folder / "models").iterdir())
    done = migrated_app.invoke("--dry", "models-from-database", "--write", "users")
    assert done.returncode == 0, done
    assert "class Users(BaseModel):" in done.stdout
    assert sorted((migrated_app.folder / "models").iterdir()) == before


def test_the_variable_of_invoke_means_the_same(migrated_app, settings):
    before = state(settings)
    assert "-- dry run" in migrated_app.invoke("migrate-down", INVOKE_RUN_DRY="1").stdout
    assert_error(migrated_app.invoke("db-reset", INVOKE_RUN_DRY="1"), "db-reset has no dry run")
    assert state(settings) == before


def test_a_dry_run_of_redo_prints_the_sql_of_both_directions(migrated_app, settings):
    before = state(settings)
    done = migrated_app.invoke("migrate-redo", "--dry-run", "--steps=2")
    lines = [line for line in done.stdout.splitlines() if line.startswith("-- 00")]
    assert lines == [
        "-- 003_index_audit_log",
        "-- 002_create_sessions",
        "-- 002_create_sessions",
        "-- 003_index_audit_log",
    ]
    assert "DROP TABLE sessions;\n" in done.stdout
    assert state(settings) == before
