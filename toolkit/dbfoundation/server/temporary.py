"""A server for one process: it starts with new data, which are removed at the end of the block.

This machine's PostgreSQL 15 runs it; where there is none, a container does. It does not wait for
the disk, which makes it fast. Its process holds a lock on a file in the server's folder as long as
it lives, so that the next one removes the servers of processes that were killed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from secrets import token_urlsafe
from typing import IO, TYPE_CHECKING

import psycopg2

from dbfoundation.errors import ServerError
from dbfoundation.server.binaries import run_as
from dbfoundation.server.compose import Compose
from dbfoundation.server.development import DevelopmentServer
from dbfoundation.server.local import LocalServer
from dbfoundation.settings import Settings
from dbfoundation.url import DatabaseURL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dbfoundation.server.provider import Provider

PREFIX = "dbfoundation-server-"
COMPOSE_FILE = """\
services:
  postgres:
    image: postgres:15-alpine
    environment:
      POSTGRES_USER: ${DB_USER}
      POSTGRES_PASSWORD: ${DB_PASSWORD}
      POSTGRES_DB: ${DB_NAME}
    ports: ["127.0.0.1:${DB_PORT}:5432"]
"""


@contextmanager
def temporary_server(user: str = "app", password: str | None = None) -> Iterator[Settings]:
    """Settings of a new server, whose superuser is `user`; the password is random by default.

    Raises ServerError where this machine can start none.
    """
    _remove_abandoned()
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.enter_context(_hold_lock(folder))
        settings = _new_settings(user, password or token_urlsafe())
        provider, end_server = _choose(folder, settings)
        stack.callback(end_server)
        DevelopmentServer(folder, settings, _ignore, {"temporary": provider}).start()
        _execute(settings, "ALTER SYSTEM SET fsync = off")
        _execute(settings, "SELECT pg_reload_conf()")
        yield settings


def _new_settings(user: str, password: str) -> Settings:
    """Settings for a server on a free port of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = DatabaseURL(host="127.0.0.1", port=port, name="postgres", user=user, password=password)
    return Settings(url=url, app_env="test")


def _providers(folder: Path, settings: Settings) -> tuple[LocalServer, Compose]:
    (folder / "docker-compose.yml").write_text(COMPOSE_FILE, encoding="utf-8")
    local, compose = LocalServer(folder, settings), Compose(folder, settings)
    compose.environment["COMPOSE_PROJECT_NAME"] = folder.name
    return local, compose


def _choose(folder: Path, settings: Settings) -> tuple[Provider, Callable[[], object]]:
    """The first provider that this machine can use, and the function that ends its server."""
    local, compose = _providers(folder, settings)
    if not (no_programs := local.unavailable_reason()):
        return local, lambda: local.stop(_ignore) if local.port() else None
    if not (no_engine := compose.unavailable_reason()):
        return compose, lambda: compose.run("down", "--volumes")
    raise ServerError(
        f"no PostgreSQL can be started here: {no_programs}; {no_engine}.\n"
        f"Fix: {local.advice}; or {compose.advice}."
    )


def _remove_abandoned() -> None:
    """Stop the servers of processes that were killed, and remove their data."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, ServerError), (folder / "lock").open() as lock:
            if folder.stat().st_uid in (os.geteuid(), run_as().get("user")):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)


def _remove(folder: Path) -> None:
    local, compose = _providers(folder, _new_settings("app", ""))
    if local.port():
        local.stop(_ignore)
    elif not local.data.exists() and not compose.unavailable_reason():
        compose.run("down", "--volumes")
    shutil.rmtree(folder, ignore_errors=True)


def _hold_lock(folder: Path) -> IO[str]:
    """A locked file, which has its name after it is locked; the lock ends with this process."""
    lock = (folder / "new-lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    (folder / "new-lock").rename(folder / "lock")
    return lock


def _execute(settings: Settings, statement: str) -> None:
    with closing(psycopg2.connect(**settings.connect_kwargs())) as connection:
        connection.autocommit = True  # ALTER SYSTEM refuses to run in a transaction
        with connection.cursor() as cursor:
            cursor.execute(statement)


def _ignore(_: str) -> None:
    """Report nothing."""
