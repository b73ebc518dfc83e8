"""A real PostgreSQL for tests: a running server, and new databases on it.

The server is that of TEST_DATABASE_URL, whose user may create databases; otherwise a private one by
this machine's PostgreSQL 15; otherwise a container. A server that starts here ends with the block,
and its data are removed. It does not wait for the disk, which makes it fast.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING

import psycopg2

from dbfoundation.errors import ServerError, SettingsError
from dbfoundation.server.databases import create_database, drop_database
from dbfoundation.server.temporary import temporary_server
from dbfoundation.settings import Settings
from dbfoundation.url import PARTS, whole_url

if TYPE_CHECKING:
    from collections.abc import Iterator

URL_VARIABLE = "TEST_DATABASE_URL"

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
        yield settings_at(url)
        return
    with ExitStack() as stack:
        try:
            settings = stack.enter_context(temporary_server(password=password))
        except ServerError as error:
            raise ServerError(f"{error} Or set {URL_VARIABLE}.") from error
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


def settings_at(text: str) -> Settings:
    try:
        url = whole_url(text)
    except ValueError as error:
        raise SettingsError(f"{URL_VARIABLE}: {error}") from error
    return Settings(url=url, app_env="test")


def _execute(settings: Settings, statement: str) -> None:
    with closing(psycopg2.connect(**settings.connect_kwargs())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
