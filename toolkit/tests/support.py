"""Helpers of the tests: a real PostgreSQL 15, databases on it, and copies of the tests' project."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg2
import pytest

from dbfoundation.server.binaries import chown_to_server
from dbfoundation.server.local import LocalServer, home_of
from dbfoundation.settings import Settings
from dbfoundation.url import DatabaseURL
from tests import in_process

LIBRARY = Path(__file__).resolve().parent.parent
PROJECT = LIBRARY / "tests" / "project"
PASSWORD = "p@ss:w/rd#%$ 1"
# The tests of races run this many rounds; CI runs all of them.
IS_CI = bool(os.environ.get("CI"))
only_in_ci = pytest.mark.skipif(not IS_CI, reason="takes long: CI runs it, and CI=1 does")
# The variable that names the folder of the data that private servers copy; conftest.py sets it.
SERVER_DATA = "TEST_SERVER_DATA"

# Programs that a shell starts in the background ignore Ctrl-C, and their children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
# SIGTERM raises KeyboardInterrupt, which stops the tests' server.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def rounds(all_of_them: int) -> int:
    """How often a test repeats a race: three times, and in CI the full number."""
    return all_of_them if IS_CI else min(3, all_of_them)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def make_settings(**changes) -> Settings:
    """Settings for a server on this machine, by URL parts and the names of fields."""
    address = {"host": "127.0.0.1", "name": "app", "user": "app", "password": PASSWORD}
    parts = {name: changes.pop(name) for name in ("port", *address) if name in changes}
    url = DatabaseURL(**(address | parts))
    return Settings(url=url, **{"app_env": "test", "application_name": "tests"} | changes)


def ignore(_: object) -> None:
    """Report nothing."""


@contextmanager
def local_server(**address):
    """A running private server in a temporary folder, with a copy of the shared data."""
    home = Path(tempfile.mkdtemp(prefix="dbfoundation-test-"))
    server = LocalServer(home, make_settings(port=free_port(), **address))
    try:
        if SERVER_DATA in os.environ:
            copy_server_data(server)
        server.start(ignore)
        yield server
    finally:
        remove(server)


def remove(server: LocalServer) -> None:
    if server.port():
        server.stop(ignore)
    shutil.rmtree(server.home, ignore_errors=True)


def copy_server_data(server: LocalServer) -> None:
    """Give a private server the data of one initdb, which the workers of a test run share."""
    shared = LocalServer(Path(os.environ[SERVER_DATA]), make_settings(port=free_port()))
    with (shared.home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not shared.data.exists():
            shared.start(ignore)
            execute(at_database(shared.settings, "postgres"), "ALTER SYSTEM SET fsync = off")
            shared.stop(ignore)
    server.home.mkdir(parents=True, exist_ok=True)
    chown_to_server(server.home).chmod(0o700)
    subprocess.run(["cp", "-a", shared.data, server.data], check=True)


def until(condition, seconds=30):
    """Wait for a condition; fails when it does not become true."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, f"not true after {seconds} seconds"
        sleep(0.02)


def at_database(settings: Settings, name: str) -> Settings:
    return replace(settings, url=replace(settings.url, name=name))


def execute(settings: Settings, statement: str, *values) -> list[tuple]:
    """Run a statement on a connection of its own; returns its rows."""
    with closing(psycopg2.connect(**settings.connect_kwargs())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []


def tables(settings: Settings) -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
    return [name for (name,) in execute(settings, query)]


def assert_error(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit code 2, and one short paragraph on stderr with the words and without the password."""
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) <= 6
    assert "\n\n" not in done.stderr
    assert PASSWORD not in done.stderr
    for word in words:
        assert word in done.stderr


def backend_is_at(settings: Settings, words: str) -> bool:
    """Whether another session of the database runs a statement with these words."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND state <> 'idle'"
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    return execute(settings, f"{query} AND {others}", f"%{words}%")[0][0] > 0


@dataclass(frozen=True)
class Project:
    """A copy of the tests' project, for a test to change and to run tasks in."""

    folder: Path
    environment: dict[str, str]
    python: str = sys.executable
    account: dict[str, Any] = field(default_factory=dict)

    def invoke(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run tasks inside of this process; see in_process.py."""
        assert (self.python, self.account) == (sys.executable, {}), "needs a process of its own"
        return in_process.run(words, self.folder, self.environment | environment)

    def invoke_process(self, *words: str, stdin: str = "", **environment: str):
        """Run tasks in a process, as a user does."""
        return subprocess.run(
            [self.python, "-m", "invoke", *words],
            check=False,
            **self.account,
            capture_output=True,
            text=True,
            input=stdin,
            cwd=self.folder,
            env=self.environment | environment,
        )

    def start(self, *words: str, **options: Any) -> subprocess.Popen:
        """Start `invoke`, whose end the test awaits itself."""
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        place = {"cwd": self.folder, "env": self.environment}
        command = [self.python, "-m", "invoke", *words]
        return subprocess.Popen(command, **self.account | streams | place | options)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text, encoding="utf-8")


def copy_project(folder: Path) -> Path:
    return shutil.copytree(
        PROJECT, folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
    )


def clean_environment() -> dict[str, str]:
    """The environment of the tests without any setting.

    No bytecode is kept: a test changes a module twice in a second, which Python would miss.
    """
    ours = ("APP_ENV", "DATABASE_URL", "MIGRAT", "DB_", "PG", "COMPOSE_")
    others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return others | {"PYTHONDONTWRITEBYTECODE": "1"}


def local_home(project: Project) -> LocalServer:
    """The private server that db-up may have started in a project."""
    return LocalServer(home_of(project.folder), make_settings())


ROOT_PROJECT = (
    *(".env", "docker-compose.yml", "pyproject.toml", "seeds.py", "tasks.py"),
    *("migrations", "models", "tests"),
)


def copy_root(folder: Path) -> Path:
    """A copy of the root's project, without the library."""
    for name in ROOT_PROJECT:
        source = LIBRARY.parent / name
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignore)
        elif source.exists():
            shutil.copy(source, folder / name)
    return folder
