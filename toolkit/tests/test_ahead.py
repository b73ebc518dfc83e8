"""A release that meets the database of a later one, and other applied migrations without a file."""

import json

import pytest

from tests.migration_files import creates
from tests.support import execute, tables


@pytest.fixture
def later(app):
    """The project of a later release, which is applied; returns the project of the earlier one."""
    app.write("migrations/004_users.py", creates("users"))
    app.write("migrations/005_books.py", creates("books"))
    assert app.invoke("migrate-up").returncode == 0
    for name in ("004_users", "005_books"):
        (app.folder / "migrations" / f"{name}.py").unlink()
    return app


def state(project, task="migrate-status"):
    """The exit code, the state and the unknown migrations of a task's JSON."""
    done = project.invoke(task, "--json")
    printed = json.loads(done.stdout)
    return done.returncode, printed["state"], printed["unknown"]


@pytest.mark.parametrize("task", ["migrate-status", "migrate-check"])
def test_an_earlier_release_reports_that_the_database_is_ahead(later, task):
    assert state(later, task) == (3, "ahead", ["004_users", "005_books"])
    done = later.invoke(task)
    assert done.returncode == 3
    assert "ahead: 004_users: applied by a later release" in done.stdout
    assert "ahead: 005_books: " in done.stdout
    assert "! " not in done.stdout


def test_check_prints_the_differences_of_a_database_that_is_ahead(later):
    checked = json.loads(later.invoke("migrate-check", "--json").stdout)
    assert [found["subject"] for found in checked["differences"]] == ["books", "users"]
    assert (checked["problems"], checked["error"]) == ([], None)


def test_models_that_a_later_release_cannot_take_are_not_compared(later):
    later.write(
        "models/__init__.py",
        "from peewee import SQL, IntegerField, Model\n"
        "class Odd(Model):\n"
        '    number = IntegerField(constraints=[SQL("DEFAULT one()")])\n'
        "MODELS = [Odd]\n",
    )
    assert state(later, "migrate-check")[:2] == (3, "ahead")
    assert "not compared: " in later.invoke("migrate-check").stdout


def test_up_of_an_earlier_release_changes_nothing_and_names_the_unknown_ones(later, settings):
    before = execute(settings, "SELECT * FROM migratehistory ORDER BY id")
    for words in (["migrate-up"], ["migrate-up", "--steps=1"], ["migrate-up", "--dry-run"]):
        done = later.invoke(*words)
        assert done.returncode == 0, done
        assert "up to date" not in done.stdout
    done = later.invoke("migrate-up")
    names = "004_users, 005_books"
    assert done.stdout == (
        f"nothing to apply: {settings.url}; applied, but without a file here: {names}\n"
    )
    assert execute(settings, "SELECT * FROM migratehistory ORDER BY id") == before


def test_down_of_an_earlier_release_refuses_the_steps_that_it_does_not_know(later, settings):
    done = later.invoke("migrate-down")
    assert done.returncode == 2
    assert "005_books: applied by a later release" in done.stderr
    assert "Fix: use the release that has it" in done.stderr
    assert "books" in tables(settings)


def test_without_any_file_the_database_is_ahead(later, settings):
    for path in (later.folder / "migrations").glob("*.py"):
        path.unlink()
    code, name, unknown = state(later)
    assert (code, name, len(unknown)) == (3, "ahead", 5)
    done = later.invoke("migrate-up")
    assert done.returncode == 0
    assert "without a file here: 001_create_audit_log, " in done.stdout
    assert "up to date" not in done.stdout
    assert "users" in tables(settings)


def test_a_missing_file_between_known_ones_is_a_problem(app):
    app.invoke("migrate-up")
    (app.folder / "migrations" / "002_create_sessions.py").unlink()
    assert state(app) == (2, "problem", [])
    done = app.invoke("migrate-check")
    assert done.returncode == 2
    assert "! 002_create_sessions: applied, but its file is missing. Fix: restore" in done.stdout
    assert "without a file here: 002_create_sessions" in app.invoke("migrate-up").stdout


def test_an_unknown_one_that_was_applied_out_of_order_is_ahead(app):
    """The later release filled a gap: what counts is the order of applying."""
    app.write("migrations/005_books.py", creates("books"))
    app.invoke("migrate-up")
    app.write("migrations/004_users.py", creates("users"))
    assert app.invoke("migrate-up", "--allow-out-of-order").returncode == 0
    (app.folder / "migrations" / "004_users.py").unlink()
    assert state(app) == (3, "ahead", ["004_users"])


@pytest.mark.parametrize(
    ("name", "text"), [("001_create_audit_log.py", creates("other")), ("stray.py", "")]
)
def test_an_unknown_one_beside_another_problem_is_a_problem(later, name, text):
    later.write(f"migrations/{name}", text)
    assert state(later) == (2, "problem", [])
    assert "! 004_users: applied, but its file is missing" in later.invoke("migrate-status").stdout


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_up_applies_what_is_pending_and_names_the_unknown_ones(later, settings, dry):
    """As on a development database after a change of the branch."""
    later.write("migrations/006_mine.py", creates("mine"))
    assert state(later) == (2, "problem", [])
    done = later.invoke("migrate-up", *dry)
    assert done.returncode == 0, done
    assert done.stderr == "warning: applied, but without a file here: 004_users, 005_books\n"
    assert "006_mine" in done.stdout
    assert ("mine" in tables(settings)) is not bool(dry)
    if not dry:
        assert state(later)[:2] == (2, "problem")


def test_the_states_of_a_plan_have_one_word_each(app):
    assert state(app) == (1, "pending", [])
    app.invoke("migrate-up")
    assert state(app) == (0, "up to date", [])
    assert state(app, "migrate-check") == (0, "up to date", [])
