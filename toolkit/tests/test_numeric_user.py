"""A process whose user ID has no account, as in containers that run under a number."""

import os
import pwd
import subprocess
from dataclasses import replace

import pytest

from dbfoundation.server import binaries
from tests.accounts import project_of
from tests.every_task import TASKS
from tests.support import assert_error, execute, only_in_ci, tables

pytestmark = only_in_ci

NUMBER = 12345
needs_programs = pytest.mark.skipif(
    binaries.unavailable_reason() is not None,
    reason=f"db-up --via local: {binaries.unavailable_reason()}",
)


def has_account(number):
    try:
        return bool(pwd.getpwuid(number))
    except KeyError:
        return False


@pytest.fixture
def numeric():
    """The project of a user ID without an account."""
    if has_account(NUMBER):
        pytest.skip(f"user ID {NUMBER} has an account here")
    with project_of(NUMBER, NUMBER) as project:
        yield project


def at(numeric, settings, home):
    """The project at the test's database; HOME is a folder, or not set."""
    exported = numeric.environment | {
        "DATABASE_URL": settings.url.render(with_password=True),
        "APP_ENV": "test",
        "DB_PORT": "",
        "HOME": home,
    }
    if home is None:
        del exported["HOME"]
    return replace(numeric, environment=exported)


@pytest.mark.parametrize("home", [None, "/"])
def test_every_task_works(numeric, settings, home):
    app = at(numeric, settings, home)
    done = app.invoke_process(*TASKS)
    assert done.returncode == 0, done
    assert "already running" in done.stdout
    assert tables(settings) == ["audit_log", "migratehistory", "sessions"]
    assert execute(settings, "SELECT count(*) FROM sessions") == [(3,)]
    shell = app.invoke_process("db-shell", stdin="SELECT 6 * 7000")
    assert "42000" in shell.stdout, shell


POOL = """
from models import database
with database.connection_context():
    print(database.execute_sql("SELECT current_user").fetchone())
"""


def test_the_pool_works_where_home_is_closed(numeric, settings):
    """The tasks cannot: invoke looks for a file in HOME before anything of the library runs."""
    app = at(numeric, settings, "/root")
    command = [app.python, "-c", POOL]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(
        command, check=False, cwd=app.folder, env=app.environment, **streams, **app.account
    )
    assert done.stdout == f"('{settings.url.user}',)\n"


def test_a_url_without_a_user_is_an_error_with_the_setting(numeric):
    url = "postgresql://127.0.0.1:1/app"
    done = numeric.invoke_process("migrate-status", DATABASE_URL=url, DB_PORT="")
    assert_error(done, f"DB_USER: not set, and DATABASE_URL has no such part; user ID {NUMBER}")


@needs_programs
@pytest.mark.parametrize("words", [("db-up", "--via=local"), ("db-up",)])
def test_a_private_server_needs_an_account_and_says_so(numeric, words):
    done = numeric.invoke_process(*words, DOCKER_HOST="tcp://127.0.0.1:1")
    assert done.returncode == 2, done
    assert f"a private server: user ID {NUMBER} has no account, and initdb needs one" in done.stderr
    assert "run it as a user that has an account" in done.stderr.partition("Fix: ")[2]
    assert not (numeric.folder / ".postgres" / "data").exists()


def test_root_needs_the_account_of_a_server(monkeypatch):
    def look_up(_):
        raise KeyError

    monkeypatch.setattr(pwd, "getpwnam", look_up)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "postgres or nobody, and there is neither" in binaries.account_problem()
    assert binaries.run_as.__wrapped__() == {}
