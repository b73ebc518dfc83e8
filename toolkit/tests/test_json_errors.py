"""--json after an error: one JSON object on stdout, the message on stderr, and the exit code."""

import inspect
import json

import pytest

from dbfoundation.tasks import ns
from tests.support import PASSWORD, execute

NAMES = sorted(
    name.replace("_", "-")
    for name in ns.task_names
    if "json" in inspect.signature(ns[name].body).parameters
)


def error_of(done):
    """The error of the one JSON object on stdout, which is also on stderr."""
    assert done.returncode == 2, done
    [line] = done.stdout.splitlines()
    printed = json.loads(line)
    assert list(printed) == ["error"]
    assert printed["error"] in done.stderr
    assert PASSWORD not in line
    return printed["error"]


def test_these_tasks_print_json():
    assert {"db-schema", "migrate-check", "migrate-status"} <= {*NAMES}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("exported", "message"),
    [
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL: not of the form"),
        ({"DB_POOL_MAX_CONNECTIONS": "0"}, "DB_POOL_MAX_CONNECTIONS: must be 1"),
        ({"DATABASE_URL": "postgresql://app:hidden@127.0.0.1:1/app"}, "cannot connect to"),
    ],
    ids=["url", "setting", "server"],
)
def test_settings_and_the_server_as_errors(app, name, exported, message):
    assert message in error_of(app.invoke(name, "--json", **exported))


def test_errors_of_the_history_the_folder_and_the_models(app, settings):
    execute(settings, "CREATE TABLE migratehistory (bird text)")
    for name in ("migrate-status", "migrate-check"):
        assert "is not a history of migrations" in error_of(app.invoke(name, "--json"))
    execute(settings, "DROP TABLE migratehistory")
    app.write("models/__init__.py", "import nothing_of_this_name")
    assert "models:MODELS cannot be imported" in error_of(app.invoke("migrate-check", "--json"))
    (app.folder / "migrations").rename(app.folder / "moved")
    assert "cannot be read" in error_of(app.invoke("migrate-status", "--json"))


@pytest.mark.parametrize(
    ("statement", "error", "code", "text"),
    [
        ("{}['no such key']", "KeyError: 'no such key'", 1, "Traceback"),
        ("raise KeyboardInterrupt", "interrupted", 130, "interrupted"),
    ],
)
def test_a_bug_and_an_interruption_are_json_too(app, statement, error, code, text):
    app.write("tasks.py", (app.folder / "tasks.py").read_text() + BROKEN.format(statement))
    done = app.invoke("broken", "--json")
    assert json.loads(done.stdout) == {"error": error}
    assert done.returncode == code
    assert text in done.stderr


BROKEN = """

from dbfoundation.tasks.command import command


@command(changes=False, json="JSON")
def broken(c, json=False):
    \"\"\"Fail.\"\"\"
    {}


ns.add_task(broken)
"""


def test_without_the_flag_nothing_is_printed_on_stdout(app):
    done = app.invoke("migrate-status", DATABASE_URL="nonsense")
    assert (done.returncode, done.stdout) == (2, "")
