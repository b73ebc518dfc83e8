"""The menu and the README: every task has help, and stands there; what the README shows is so."""

import asyncio
import inspect
import json
import re
from dataclasses import replace
from itertools import pairwise
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from invoke.collection import Collection

import tasks
from tests.conftest import copy_project, execute
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


def test_what_python_compiled_is_kept_unless_it_is_told_not_to(project):
    kept = project.folder / "toolkit" / "__pycache__"
    project.invoke("--list", PYTHONDONTWRITEBYTECODE="1")
    assert not kept.exists()
    project.invoke("--list", PYTHONDONTWRITEBYTECODE="")
    assert list(kept.glob("cli.*.pyc"))


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


def example(heading):
    """What the README's example under a first line defines, after it ran."""
    [code] = re.findall(rf"```python\n(# {re.escape(heading)}\n.*?)```", README, re.DOTALL)
    scope = {}
    exec(compile(code, heading, "exec"), scope)
    return scope


def test_the_readmes_wsgi_application_works(pool, settings):
    scope = example("app.py, for WSGI")
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


def test_the_readmes_asgi_application_works(pool, settings):
    application = example("app.py, for ASGI")["application"]
    messages = []

    async def send(message):
        messages.append(message)

    def request(path, *headers):
        return application({"type": "http", "path": path, "headers": headers}, None, send)

    async def requests():
        numbered = (request(f"/{n}", (b"x-request-id", b"r%d" % n)) for n in range(19))
        await asyncio.gather(*numbered, request("/19"))

    asyncio.run(requests())
    assert [message["status"] for message in messages if "status" in message] == [200] * 20
    assert [json.loads(message["body"]) for message in messages if "body" in message]
    details = [row for (row,) in execute(settings, "SELECT details FROM audit_log")]
    assert sorted(details, key=str) == sorted(
        [{"path": f"/{n}", "request_id": f"r{n}"} for n in range(19)] + [{"path": "/19"}], key=str
    )
    assert len(pool._connections) <= pool._max_connections
    assert not pool._in_use


def test_the_readmes_sessions_work(pool):  # noqa: ARG001 # the pool has to be there
    scope = example("sessions.py")
    assert scope["sessions"].count() == 0


def test_the_readmes_audit_trail_works(pool):  # noqa: ARG001 # the pool has to be there
    scope = example("audit.py")
    [row] = scope["page"]
    assert row.details == {"password": "[masked]", "name": "N", "request_id": "5f1c"}
    assert scope["older"] == []
    assert len(scope["AuditLog"].for_user(42, limit=10_000)) == 5001


@pytest.fixture
def users(app):
    """A copy of the project with the README's migration, its model, and that one's place."""
    for name in ("migrations/004_add_users.py", "models/user.py"):
        [text] = re.findall(rf"```python\n# {name}\n(.*?)```", README, re.DOTALL)
        app.write(name, text)
    models = (app.folder / "models" / "__init__.py").read_text()
    place = "from models.user import User\n\nMODELS = [*MODELS, User]\n"
    app.write("models/__init__.py", f"{models}\n{place}")
    return app


def test_the_readmes_migration_works(users, settings):
    assert users.invoke("migrate-up", "migrate-down").returncode == 0
    done = users.invoke("migrate-up", "migrate-status")
    assert done.returncode == 0, done
    assert execute(settings, "SELECT * FROM users") == []


def test_the_readmes_migration_and_its_model_pass_the_readmes_line_for_ci(users):
    [line] = re.findall(r"^invoke (migrate-up .*)$", README, re.MULTILINE)
    done = users.invoke(*line.split())
    assert done.returncode == 0, done
    assert "verified 004_add_users" in done.stdout


def test_what_a_user_adds_is_not_in_the_copies_that_tests_run_on(users, tmp_path_factory):
    copy = copy_project(tmp_path_factory.mktemp("copy"), users.folder)
    done = replace(users, folder=copy).invoke("migrate-up", "migrate-check")
    assert done.returncode == 0, done
    assert "3 applied in" in done.stdout


def test_the_readmes_commands_are_the_ones_of_ci():
    script = (ROOT / ".ci" / "run").read_text()
    assert ".venv/bin/invoke test\n" in README
    assert ".venv/bin/invoke test\n" in script
