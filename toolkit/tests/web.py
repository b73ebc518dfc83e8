"""The applications of the web pages under their real servers, and clients that keep cookies."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from time import time
from typing import TYPE_CHECKING, Any

import pytest

from dbfoundation.migrations.engine import Engine
from dbfoundation.runtime.connection import dedicated
from dbfoundation.server.databases import create_database
from tests.documentation import File, read_page, write_file
from tests.process_usage import Usage, usage_by_process
from tests.support import LIBRARY, clean_environment, copy_root, execute, free_port, until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dbfoundation.settings import Settings

ROOT = LIBRARY.parent
NEEDS = ("flask", "fastapi", "starlette", "gunicorn", "uvicorn", "itsdangerous")
PASSWORD = "correct horse"
SECRET = "a secret of the tests"
POOL_SIZE = 3  # so few that a lost place is soon missed
# gunicorn has 16; AnyIO has up to 40, and asyncio's own executor a few.
MOST_THREADS = 64
GUNICORN = ("gunicorn", "--bind=127.0.0.1:{port}")
UVICORN = ("uvicorn", "--host=127.0.0.1", "--port={port}")
# The page, the number of processes, and the command after `python -m`.
SERVERS = {
    "flask, threads": ("flask", 1, (*GUNICORN, "--worker-class=gthread", "--threads=16")),
    "flask, prefork": ("flask", 4, (*GUNICORN, "--workers=4")),
    "flask, preload": ("flask", 4, (*GUNICORN, "--workers=4", "--preload")),
    "fastapi": ("fastapi", 1, UVICORN),
    "fastapi, 2 workers": ("fastapi", 2, (*UVICORN, "--workers=2")),
    "starlette": ("starlette", 1, UVICORN),
}

missing = [name for name in NEEDS if not find_spec(name)]
needs_web = pytest.mark.skipif(
    bool(missing), reason=f"needs the extra `web`: {', '.join(missing)} is not installed"
)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """A client that keeps cookies and makes a connection for each request."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)

    def request(self, method: str, path: str, body: object = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, json.dumps(body) if body else None, self._headers())
            answer = connection.getresponse()
            self._keep(answer.headers)
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def login(self, user: str) -> Answer:
        return self.request("POST", "/login", {"user": user, "password": PASSWORD})

    def order(self, number: int, quantity: int = 1) -> Answer:
        return self.request("POST", "/orders", {"number": number, "quantity": quantity})

    def me(self) -> Any:
        return self.request("GET", "/me").json()

    def is_healthy(self) -> bool:
        return self.request("GET", "/health").status == 200

    def _headers(self) -> dict[str, str]:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Content-Type": "application/json", "Connection": "close"}
        return headers | ({"Cookie": cookies} if cookies else {})

    def _keep(self, headers: http.client.HTTPMessage) -> None:
        for line in headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            if "max-age=0" in line.lower() or "01 Jan 1970" in line:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value


@dataclass(frozen=True)
class Application:
    """A page's running application, and the settings of its database."""

    port: int
    group: int
    processes: int
    settings: Settings

    def client(self) -> Client:
        return Client(self.port)

    def rows(self, query: str, *values: object) -> list[tuple]:
        return execute(self.settings, query, *values)

    def assert_nothing_is_in_use(self) -> None:
        """Each connection of the pools is returned, outside of a transaction."""
        query = "SELECT state FROM pg_stat_activity WHERE application_name = 'web'"
        until(lambda: {state for (state,) in self.rows(query)} <= {"idle"})
        assert len(self.rows(query)) <= self.processes * POOL_SIZE
        assert all(usage.connections <= POOL_SIZE for usage in self.usage().values())

    def usage(self) -> dict[int, Usage]:
        """The usage of each process of the server, by its id."""
        return usage_by_process(self.group, self.settings.url.port)

    def assert_no_process_has_grown(self, before: dict[int, Usage]) -> None:
        """The same processes as before, with no more open descriptors, and few threads."""

        def is_as_before() -> bool:  # as soon as the last clients' sockets are closed
            now = self.usage()
            assert now.keys() == before.keys()
            return all(now[pid].descriptors <= before[pid].descriptors for pid in now)

        until(is_as_before)
        assert all(usage.threads <= MOST_THREADS for usage in self.usage().values())


@contextmanager
def running_application(server: str, settings: Settings, folder: Path, **exported: str):
    """The application of a page, by one of SERVERS, on a database that this creates."""
    page, processes, command = SERVERS[server]
    settings = migrated_database(settings)
    write_pages(folder, page)
    words = [sys.executable, "-m", *command, f"{page}_app:app"]
    with running_server(words, settings, folder, **exported) as (port, group):
        yield Application(port, group, processes, settings)


def migrated_database(settings: Settings) -> Settings:
    """Settings of a new database with the root's tables."""
    settings = replace(settings, url=replace(settings.url, name="web"))
    create_database(settings)
    connection = dedicated(settings, "test")
    with connection.connection_context():
        Engine(connection, ROOT / "migrations").up()
    return settings


@contextmanager
def running_server(command: Sequence[str], settings: Settings, folder: Path, **exported: str):
    """A server whose application answers; its port, and the id of its processes' group.

    The port is {port} in the command, and PORT in the environment.
    """
    port = free_port()
    log = folder / f"{port}.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [word.format(port=port) for word in command],
            cwd=folder,
            env=environment(settings) | {"PORT": str(port)} | exported,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: process.poll() is not None or answers(Client(port)))
        assert process.poll() is None, log.read_text()
        yield port, process.pid
    finally:
        stop(process)


def write_pages(folder: Path, *pages: str) -> None:
    """A copy of the root's project with the files that pages show."""
    copy_root(folder)
    for page in pages:
        for part in read_page((ROOT / "docs" / f"{page}.md").read_text()):
            if isinstance(part, File):
                write_file(folder, part)


def environment(settings: Settings) -> dict[str, str]:
    return clean_environment() | {
        "APP_ENV": "test",
        "DATABASE_URL": settings.url.render(with_password=True),
        "DB_APPLICATION_NAME": "web",
        "DB_POOL_MAX_CONNECTIONS": str(POOL_SIZE),
        "DB_POOL_WAIT_TIMEOUT": "5",
        "DEMO_PASSWORD": PASSWORD,
        "SECRET_KEY": SECRET,
    }


def sign(sid: str, *, seconds_ago: int) -> str:
    """The cookie that the pages' applications made for a session some time ago."""
    from itsdangerous import TimestampSigner

    signer = TimestampSigner(SECRET, salt="session id")
    signer.get_timestamp = lambda: int(time()) - seconds_ago
    return signer.sign(sid).decode()


def answers(client: Client) -> bool:
    try:
        return client.request("GET", "/me").status == 200
    except OSError:
        return False


def stop(process: subprocess.Popen) -> None:
    """End the server, and the group of its workers if one does not end by itself."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
