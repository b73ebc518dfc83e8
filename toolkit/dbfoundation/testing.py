"""A real PostgreSQL for tests: a running server, and new databases on it.

The server is that of TEST_DATABASE_URL, whose user may create databases; otherwise a private one by
this machine's PostgreSQL 15; otherwise a container. A server that starts here ends with the block,
and its data are removed. It does not wait for the disk, which makes it fast.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex, token_urlsafe
from typing import TYPE_CHECKING

import psycopg2

from dbfoundation.errors import ServerError, SettingsError
from dbfoundation.server.compose import Compose
from dbfoundation.server.databases import create_database, drop_database
from dbfoundation.server.development import DevelopmentServer
from dbfoundation.server.local import LocalServer
from dbfoundation.settings import Settings
from dbfoundation.url import PARTS, DatabaseURL, whole_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dbfoundation.server.provider import Provider

URL_VARIABLE = "TEST_DATABASE_URL"
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


EMPTY = """
DO $$
DECLARE
    statement text;
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR statement IN
        SELECT format('DROP EVENT TRIGGER %I', evtname) FROM pg_event_trigger
        UNION ALL
        SELECT format('DROP EXTENSION %I CASCADE', extname) FROM pg_extension
            WHERE extname <> 'plpgsql'
        UNION ALL
        SELECT format('DROP PUBLICATION %I', pubname) FROM pg_publication
        UNION ALL
        SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace
            WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        UNION ALL
        SELECT format('ALTER DATABASE %I RESET ALL', current_database())
        UNION ALL
        SELECT 'CREATE SCHEMA public AUTHORIZATION pg_database_owner'
        UNION ALL
        SELECT 'GRANT USAGE ON SCHEMA public TO PUBLIC'
        UNION ALL
        SELECT 'COMMENT ON SCHEMA public IS ''standard public schema'''
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$
"""


@contextmanager
def running_server(password: str | None = None) -> Iterator[Settings]:
    """Settings of a running server, at a database that exists.

    A server that starts here has this password, or a random one. Raises ServerError where this
    machine can start no server, and SettingsError for an invalid TEST_DATABASE_URL.
    """
    if url := os.environ.get(URL_VARIABLE):
        yield _given_server(url)
        return
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="dbfoundation-test-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        settings = _new_settings(password or token_urlsafe())
        provider, end_server = _choose(folder, settings)
        stack.callback(end_server)
        DevelopmentServer(folder, settings, _ignore, {"test": provider}).start()
        _execute(settings, "ALTER SYSTEM SET fsync = off")
        _execute(settings, "SELECT pg_reload_conf()")
        yield settings


@contextmanager
def fresh_database(server: Settings, prefix: str = "test_") -> Iterator[Settings]:
    """Settings of an empty database on the server, which is dropped after the block."""
    fresh = replace(server, url=replace(server.url, name=f"{prefix}{token_hex(4)}"))
    fresh = create_database(fresh)
    try:
        yield fresh
    finally:
        drop_database(fresh)


def empty_database(settings: Settings) -> None:
    """Drop everything in a database, and end its other sessions; faster than a new database."""
    _execute(settings, EMPTY)


def environment_for(settings: Settings) -> dict[str, str]:
    """The environment for a program, such as `invoke`, that has to use the settings' database."""
    return settings.child_environment() | {
        **dict.fromkeys(PARTS, ""),  # an empty part counts as missing
        "APP_ENV": "test",
        "DATABASE_URL": settings.url.render(with_password=True),
        "MIGRATION_DATABASE_URL": "",
    }


def _given_server(text: str) -> Settings:
    try:
        url = whole_url(text)
    except ValueError as error:
        raise SettingsError(f"{URL_VARIABLE}: {error}") from error
    return Settings(url=url, app_env="test")


def _new_settings(password: str) -> Settings:
    """Settings for a server on a free port of this machine."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    url = DatabaseURL(host="127.0.0.1", port=port, name="postgres", user="app", password=password)
    return Settings(url=url, app_env="test")


def _choose(folder: Path, settings: Settings) -> tuple[Provider, Callable[[], object]]:
    """The first provider that this machine can use, and the function that ends its server."""
    (folder / "docker-compose.yml").write_text(COMPOSE_FILE, encoding="utf-8")
    local, compose = LocalServer(folder, settings), Compose(folder, settings)
    compose.environment["COMPOSE_PROJECT_NAME"] = folder.name
    if not (no_programs := local.unavailable_reason()):
        return local, lambda: local.stop(_ignore) if local.port() else None
    if not (no_engine := compose.unavailable_reason()):
        return compose, lambda: compose.run("down", "--volumes")
    raise ServerError(
        f"no PostgreSQL for the tests: {no_programs}; {no_engine}.\n"
        f"Fix: {local.advice}; or {compose.advice}; or set {URL_VARIABLE}."
    )


def _execute(settings: Settings, statement: str) -> None:
    with closing(psycopg2.connect(**settings.connect_kwargs())) as connection:
        connection.autocommit = True  # ALTER SYSTEM refuses to run in a transaction
        with connection.cursor() as cursor:
            cursor.execute(statement)


def _ignore(_: str) -> None:
    """Report nothing."""
