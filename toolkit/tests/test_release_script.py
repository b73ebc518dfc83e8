"""The release.sh of docs/deploying.md: it migrates, and lets a release start or not."""

import json
from dataclasses import replace

import pytest

from tests.deployment import deployed_project, start_release
from tests.migration_files import creates, migration
from tests.support import execute, only_in_ci, tables


@pytest.fixture
def project(tmp_path, settings):
    project = deployed_project(tmp_path)
    url = settings.url.render(with_password=True)
    # The application's own address is not used.
    addresses = {"DATABASE_URL": "postgresql://app@127.0.0.1:1/app", "MIGRATION_DATABASE_URL": url}
    return replace(project, environment=project.environment | addresses)


def release(project):
    """The exit code, the JSON and the other output of a release step."""
    with start_release(project) as process:
        output, errors = process.communicate()
    return process.returncode, json.loads(output) if output else None, errors


def test_a_release_migrates_and_a_second_one_has_nothing_to_do(project, settings):
    code, printed, errors = release(project)
    assert (code, printed["state"]) == (0, "up to date"), errors
    assert "applied 003_index_audit_log" in errors
    assert tables(settings) == ["audit_log", "migratehistory", "sessions"]
    code, printed, errors = release(project)
    assert (code, printed["state"]) == (0, "up to date")
    assert "nothing to apply" in errors


def test_an_earlier_release_may_start_on_a_database_that_is_ahead(project):
    project.write("migrations/004_books.py", creates("books"))
    assert release(project)[0] == 0
    (project.folder / "migrations" / "004_books.py").unlink()
    code, printed, errors = release(project)
    assert (code, printed["state"], printed["unknown"]) == (0, "ahead", ["004_books"])
    assert "applied, but without a file here: 004_books" in errors


def test_a_release_whose_migration_fails_must_not_start(project, settings):
    project.write("migrations/004_books.py", migration("migrator.sql('SELECT 1/0')"))
    code, printed, errors = release(project)
    assert (code, printed) == (2, None)
    assert "division by zero" in errors
    assert "audit_log" in tables(settings)


def test_a_release_whose_files_contradict_the_database_must_not_start(project):
    release(project)
    (project.folder / "migrations" / "002_create_sessions.py").unlink()
    code, printed, _ = release(project)
    assert (code, printed["state"]) == (2, "problem")


@only_in_ci
def test_releases_that_start_at_once_apply_each_migration_once(project, settings):
    for _ in range(5):
        execute(settings, "DROP TABLE IF EXISTS audit_log, sessions, migratehistory")
        processes = [start_release(project) for _ in range(2)]
        done = [(*process.communicate(), process.wait()) for process in processes]
        assert [code for *_, code in done] == [0, 0], done
        assert {json.loads(output)["state"] for output, *_ in done} == {"up to date"}
        errors = "".join(errors for _, errors, _ in done)
        for name in ("001_create_audit_log", "002_create_sessions", "003_index_audit_log"):
            assert errors.count(f"applied {name} ") == 1, errors
