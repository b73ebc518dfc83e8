"""The menu and the README: every task has help, and stands there; what the README shows is so."""

import inspect
import json
import re
from itertools import pairwise
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from invoke.collection import Collection

import tasks
from tests.conftest import execute
from toolkit.settings import PARTS, ROOT

README = (ROOT / "README.md").read_text()
TASKS = Collection.from_module(tasks).tasks


def names():
    return sorted(name.replace("_", "-") for name in TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_a_line_of_help_and_explains_every_flag(name):
    task = TASKS[name]
    assert task.__doc__
    assert len(task.__doc__.splitlines()) == 1
    flags = set(inspect.signature(task.body).parameters) - {"_"}
    assert set(task.help) == flags


def test_the_list_shows_each_task_on_a_line_of_its_own(project):
    lines = project.invoke("--list").stdout.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == names()


def test_the_readmes_table_has_each_task_and_no_other():
    section = README.partition("## Tasks")[2].partition("##")[0]
    rows = re.findall(r"^\| `([a-z-]+)[^`]*` \|", section, re.MULTILINE)
    assert sorted(rows) == names()


def test_the_readme_explains_every_setting_of_the_committed_file():
    settings = re.findall(r"^([A-Z_]+)=", (ROOT / ".env").read_text(), re.MULTILINE)
    assert set(PARTS) <= set(settings)
    for setting in settings:
        assert f"`{setting}`" in README


def test_each_setting_of_the_committed_file_has_a_comment():
    lines = (ROOT / ".env").read_text().splitlines()
    for before, line in pairwise(lines):
        if re.match(r"[A-Z_]+=", line):
            assert before.startswith("# "), line


def test_the_readmes_web_application_works(pool, settings):
    [example] = re.findall(r"```python\n(# app\.py.*?)```", README, re.DOTALL)
    scope = {}
    exec(compile(example, "app.py", "exec"), scope)
    environ = {"PATH_INFO": "/here", "QUERY_STRING": "", "SCRIPT_NAME": ""}
    setup_testing_defaults(environ)
    started = []

    def start_response(status, headers):  # noqa: ARG001 # the parameters are WSGI's
        started.append(status)
        return started.append

    for count in (1, 2):
        response = validator(scope["application"])(environ, start_response)
        assert json.loads(b"".join(response)) == {"views": count}
        response.close()
    assert started == ["200 OK", "200 OK"]
    assert pool.is_closed()
    paths = execute(settings, "SELECT details->>'path' FROM audit_log")
    assert paths == [("/here",), ("/here",)]


def test_the_readmes_migration_works(app, settings):
    [example] = re.findall(r'```python\n("""Users.*?)```', README, re.DOTALL)
    app.write("migrations/004_add_users.py", example)
    assert app.invoke("migrate-up", "migrate-down").returncode == 0
    done = app.invoke("migrate-up", "migrate-status")
    assert done.returncode == 0, done
    assert execute(settings, "SELECT * FROM users") == []


def test_the_readmes_commands_are_the_ones_of_ci():
    script = (ROOT / ".ci" / "run").read_text()
    assert ".venv/bin/invoke test\n" in README
    assert ".venv/bin/invoke test\n" in script
