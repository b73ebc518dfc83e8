"""A real PostgreSQL 15 for the tests: TEST_DATABASE_URL's, or their own on a free port."""

from __future__ import annotations

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
from uuid import uuid4

import psycopg2
import pytest

from toolkit import binaries, maintenance
from toolkit.compose import Compose
from toolkit.database import configure, database, dedicated
from toolkit.engine import Engine
from toolkit.local import LocalServer, home_of
from toolkit.server import up
from toolkit.settings import ROOT, Settings
from toolkit.url import DatabaseURL, split

PROJECT_FILES = (".env", "docker-compose.yml", "invoke.yaml", "tasks.py", "seeds.py")
PROJECT_FOLDERS = ("benchmarks", "toolkit", "models")
# What the project was shipped with. A user adds to it, and the tests of the tools count on it.
MIGRATIONS = ("001_create_audit_log.py", "002_create_sessions.py", "003_index_audit_log.py")
MODELS = "\nMODELS = [AuditLog, Session]\n"
PASSWORD = "p@ss:w/rd#%$ 1"


# A shell has the programs that it runs in the background ignore Ctrl-C, and so would our children.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Who is ended takes the server along, as after Ctrl-C.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def make_settings(**changes) -> Settings:
    """Settings for a server on this machine, by URL parts and the names of fields."""
    address = {"host": "127.0.0.1", "name": "app", "user": "app", "password": PASSWORD}
    parts = {name: changes.pop(name) for name in ("port", *address) if name in changes}
    values = {
        "app_env": "test",
        "application_name": "tests",
        "connect_timeout_seconds": 5,
        "pool_max_connections": 10,
        "pool_stale_seconds": 300,
        "pool_wait_seconds": 5,
        "pool_ping_after_seconds": 30,
        "migration_url": None,
        "migrate_lock_wait_seconds": 60,
        "migrate_lock_timeout_seconds": 5,
        "migrate_check_ignore": (),
    }
    return Settings(url=DatabaseURL(**(address | parts)), **(values | changes))


@contextmanager
def local_server():
    """A private server in a temporary folder; yields it, running."""
    home = Path(tempfile.mkdtemp(prefix="foundation-test-"))
    server = LocalServer(home, make_settings(port=free_port()))
    try:
        server.start(print)
        yield server
    finally:
        discard(server)


def discard(server: LocalServer) -> None:
    if server.port():
        server.stop(print)
    shutil.rmtree(server.home, ignore_errors=True)


@contextmanager
def compose_server(folder: Path):
    """A container under a project name of its own; yields its settings."""
    os.environ["COMPOSE_PROJECT_NAME"] = f"foundation-test-{uuid4().hex[:8]}"
    shutil.copy(ROOT / "docker-compose.yml", folder)
    settings = make_settings(port=free_port(), name="postgres")
    compose = Compose(folder, settings)
    try:
        up(settings, {"docker": compose}, print)
        yield settings
    finally:
        compose.run("down", "--volumes")
        del os.environ["COMPOSE_PROJECT_NAME"]


def given_server(url: str) -> Settings:
    """The server of TEST_DATABASE_URL, whose user may create databases."""
    stated, parameters = split(url)
    port = int(stated.pop("port", "5432"))
    return replace(make_settings(), url=DatabaseURL(port=port, parameters=parameters, **stated))


@pytest.fixture(scope="session", autouse=True)
def own_memory(tmp_path_factory):
    """What db-up remembers of the developer's own server is none of the tests' business."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("toolkit.server.LAST_WAY", tmp_path_factory.mktemp("memory") / "last-way")
        yield


@pytest.fixture(autouse=True)
def no_memory(monkeypatch, tmp_path):
    """What db-up remembers in one test is none of the next one's business."""
    monkeypatch.setattr("toolkit.server.LAST_WAY", tmp_path / "memory" / "last-way")


@pytest.fixture(scope="session")
def server(tmp_path_factory, own_memory):  # noqa: ARG001 # it may be started by db-up's own way
    """Settings of a running server, on which tests create databases of their own."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield given_server(url)
    elif not binaries.obstacle():
        with local_server() as local:
            settings = at_database(local.settings, "postgres")
            for statement in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
                execute(settings, statement)
            yield settings
    elif not (reason := Compose(ROOT, make_settings()).obstacle()):
        with compose_server(tmp_path_factory.mktemp("compose")) as settings:
            yield settings
    else:
        pytest.exit(f"no PostgreSQL for the tests: {binaries.obstacle()}; {reason}", returncode=2)


@pytest.fixture
def settings(server) -> Settings:
    """Settings of an empty database of the test's own."""
    fresh = at_database(server, f"test {uuid4().hex[:8]}")
    maintenance.create_database(fresh)
    yield fresh
    maintenance.drop_database(fresh)


@pytest.fixture
def db(settings):
    """A connection to the test's database, outside of the pool."""
    connection = dedicated(settings, "test")
    with connection.connection_context():
        yield connection


@pytest.fixture
def write(tmp_path):
    """Writes a migration into the test's folder, by its name and its text."""
    return lambda name, text: (tmp_path / f"{name}.py").write_text(text)


@pytest.fixture
def migrated(db):
    """The test's database with every migration applied."""
    Engine(db, ROOT / "migrations").up()
    return db


@pytest.fixture
def pool(migrated, settings):  # noqa: ARG001 # the tables have to be there
    """The models' pool on the migrated database, not connected yet."""
    configure(settings)
    yield database
    database.close_all()


def until(condition, seconds=30):
    """Wait for a condition; fails when it does not come true."""
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.02)


def at_database(settings: Settings, name: str) -> Settings:
    return replace(settings, url=replace(settings.url, name=name))


def execute(settings: Settings, statement: str, *values) -> list[tuple]:
    """Run a statement on a connection of its own; returns the rows it gave."""
    with closing(psycopg2.connect(**settings.libpq())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []


def backend_is_at(settings: Settings, words: str) -> bool:
    """Whether another session of the database is in a statement with these words."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE %s AND state <> 'idle'"
    busy = "datname = current_database() AND pid <> pg_backend_pid()"
    return execute(settings, f"{query} AND {busy}", f"%{words}%")[0][0] > 0


@dataclass(frozen=True)
class Project:
    """A copy of this project, for a test to change, and to run `invoke` in as a user does."""

    folder: Path
    environment: dict[str, str]
    python: str = sys.executable
    account: dict[str, Any] = field(default_factory=dict)

    def invoke(self, *words: str, stdin: str = "", **environment: str):
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


def copy_project(folder: Path, source: Path = ROOT) -> Path:
    """Copy the project with the migrations and models that it was shipped with."""
    for name in PROJECT_FILES:
        shutil.copy(source / name, folder)
    for name in PROJECT_FOLDERS:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source / name, folder / name, ignore=ignore)
    (folder / "migrations").mkdir()
    for name in MIGRATIONS:
        shutil.copy(source / "migrations" / name, folder / "migrations")
    with (folder / "models" / "__init__.py").open("a", encoding="utf-8") as models:
        models.write(MODELS)
    return folder


def clean_environment() -> dict[str, str]:
    """The environment of the tests without any setting of ours.

    Nothing compiled is kept: a test changes a module twice in a second, which Python would miss.
    """
    ours = ("APP_ENV", "DATABASE_URL", "DB_", "PG", "COMPOSE_")
    others = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return others | {"PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def project(tmp_path):
    """A copy of the shipped project, nothing exported; what db-up starts ends with the test."""
    copy = Project(copy_project(tmp_path), clean_environment())
    yield copy
    discard(LocalServer(home_of(copy.folder), make_settings()))


@pytest.fixture
def app(project, settings):
    """A copy of the project whose exported DATABASE_URL is the test's empty database."""
    url = settings.url.render(with_password=True)
    return replace(
        project, environment=project.environment | {"DATABASE_URL": url, "APP_ENV": "test"}
    )
