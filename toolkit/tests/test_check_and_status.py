"""The tasks migrate-status and migrate-check: their lines, their JSON and their exit codes."""

import json

from tests.support import assert_error, execute, tables

ODD_MODELS = """\
from peewee import SQL, IntegerField, Model


class Odd(Model):
    number = IntegerField(constraints=[SQL("DEFAULT one()")])


MODELS = [Odd]
"""


def test_the_status_of_an_empty_database_is_pending_and_creates_nothing(app, settings):
    done = app.invoke("migrate-status")
    assert done.returncode == 1
    assert "0 applied, 3 pending" in done.stdout
    assert done.stderr == ""
    assert tables(settings) == []


def test_the_status_as_json_has_each_migration(app, settings):
    app.invoke("migrate-up", "--steps=2")
    done = app.invoke("migrate-status", "--json")
    assert done.returncode == 1
    status = json.loads(done.stdout)
    assert status.keys() == {"database", "state", "unknown", "migrations"}
    assert (status["state"], status["unknown"]) == ("pending", [])
    assert status["database"] == f"{settings.url}"
    first, _, last = status["migrations"]
    assert first.pop("applied_at").endswith("+00:00")
    assert first == {"name": "001_create_audit_log", "state": "applied", "problem": None}
    assert last == {
        "name": "003_index_audit_log",
        "state": "pending",
        "applied_at": None,
        "problem": None,
    }


def test_the_models_agree_with_the_migrated_database(app, settings):
    done = app.invoke("migrate-up", "migrate-check")
    assert done.returncode == 0, done
    assert f"the models and the database agree: {settings.url}" in done.stdout


def test_check_prints_every_difference(app, settings):
    app.invoke("migrate-up")
    execute(settings, "ALTER TABLE sessions ALTER expire TYPE timestamptz")
    execute(settings, "DROP INDEX idx_sessions_expire")
    execute(settings, "CREATE TABLE others (id integer)")
    done = app.invoke("migrate-check", MIGRATE_CHECK_IGNORE="others, and_more")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        (
            "sessions.expire: the database has timestamp with time zone, "
            "the model timestamp(6) without time zone"
        ),
        "sessions, index idx_sessions_expire: only the model has this index",
        f"2 different: {settings.url}",
        "draft the migration to the models with: invoke migrate-create NAME --auto",
    ]
    checked = json.loads(app.invoke("migrate-check", "--json").stdout)
    assert checked.keys() == {
        *("database", "state", "unknown", "pending", "problems", "differences", "error")
    }
    assert (checked["state"], checked["unknown"]) == ("different", [])
    assert checked["database"] == f"{settings.url}"
    assert (checked["pending"], checked["problems"], checked["error"]) == ([], [], None)
    assert checked["differences"][0] == {
        "subject": "others",
        "database": "(id integer)",
        "model": None,
        "fix": None,
    }
    index = "CREATE INDEX idx_sessions_expire ON sessions USING btree (expire)"
    assert {"database": None, "model": index}.items() <= checked["differences"][2].items()
    assert len(checked["differences"]) == 3


def test_check_of_an_empty_database_is_pending_and_creates_nothing(app, settings):
    done = app.invoke("migrate-check")
    assert done.returncode == 1
    assert "pending: 001_create_audit_log" in done.stdout
    assert "3 pending, 2 different" in done.stdout
    assert tables(settings) == []


def test_models_that_need_a_pending_migration_are_not_compared(app, settings):
    app.write("models/__init__.py", ODD_MODELS)
    done = app.invoke("migrate-check")
    assert done.returncode == 1, done
    assert done.stdout.splitlines() == [
        "pending: 001_create_audit_log",
        "pending: 002_create_sessions",
        "pending: 003_index_audit_log",
        "not compared: the server rejects the models: function one() does not exist",
        f"3 pending: {settings.url}",
    ]
    done = app.invoke("migrate-check", "--json")
    assert done.returncode == 1, done
    checked = json.loads(done.stdout)
    assert len(checked["pending"]) == 3
    assert checked["problems"] == checked["differences"] == []
    assert checked["error"].endswith("function one() does not exist")


def test_models_that_the_migrated_database_rejects_are_an_error(app):
    app.write("models/__init__.py", ODD_MODELS)
    app.invoke("migrate-up")
    done = app.invoke("migrate-check", "--json")
    assert "function one() does not exist" in json.loads(done.stdout)["error"]
    assert_error(done, "function one() does not exist", "Fix: ")


def test_an_edited_migration_is_a_problem_with_exit_code_2(app):
    app.invoke("migrate-up")
    path = app.folder / "migrations" / "002_create_sessions.py"
    path.write_text(f"{path.read_text()}edited = True\n")
    for task in ("migrate-check", "migrate-status"):
        done = app.invoke(task)
        assert done.returncode == 2
        assert "! 002_create_sessions: edited after it was applied. Fix: " in done.stdout
    checked = json.loads(app.invoke("migrate-check", "--json").stdout)
    assert checked["problems"] == [{"name": "002_create_sessions", "problem": "edited"}]
    status = json.loads(app.invoke("migrate-status", "--json").stdout)
    assert [step["problem"] for step in status["migrations"]] == [None, "edited", None]


def test_accepting_all_names_the_applied_ones_without_a_file(app):
    app.invoke("migrate-up")
    (app.folder / "migrations" / "002_create_sessions.py").unlink()
    done = app.invoke("migrate-accept", "--all")
    assert done.stdout == "nothing to accept: the history has this text already\n"
    assert done.stderr == "warning: applied, but without a file here: 002_create_sessions\n"


def test_an_applied_file_that_does_not_parse_any_more_is_reported_as_such(app):
    app.invoke("migrate-up")
    app.write("migrations/002_create_sessions.py", "def migrate(")
    done = app.invoke("migrate-status")
    assert done.returncode == 2
    assert "! 002_create_sessions: edited: syntax error: " in done.stdout
    assert "migrate-accept" not in done.stdout


def test_accepting_an_edited_migration_ends_the_problem(app):
    app.invoke("migrate-up")
    assert app.invoke("migrate-accept", "2").stdout == (
        "nothing to accept: the history has this text already\n"
    )
    path = app.folder / "migrations" / "002_create_sessions.py"
    path.write_text(f"{path.read_text()}edited = True\n")
    done = app.invoke("migrate-accept", "sessions", "migrate-status")
    assert done.returncode == 0, done
    assert done.stdout.startswith("accepted 002_create_sessions\n")
