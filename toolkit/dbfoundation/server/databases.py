"""The databases of a server: check that a database answers, create one, drop one."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege

from dbfoundation.errors import AccessDeniedError
from dbfoundation.runtime.connection_errors import connection_error
from dbfoundation.runtime.server_errors import server_message

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    from dbfoundation.settings import Settings


def check(settings: Settings) -> None:
    """Run SELECT 1 at the configured address; raises a DatabaseError with the reason."""
    with closing(_connect(settings)) as session, session.cursor() as cursor:
        cursor.execute("SELECT 1")


def create_database(settings: Settings) -> Settings:
    """Create the configured database, which must not exist; returns the settings at its server.

    Raises AccessDeniedError for a user without the permission.
    """
    try:
        return _execute_elsewhere(settings, "CREATE DATABASE {}")
    except InsufficientPrivilege as error:
        raise AccessDeniedError(
            f"{settings.url} cannot be created: {server_message(error)}",
            f"ALTER ROLE {settings.url.user} CREATEDB.",
        ) from error


def drop_database(settings: Settings) -> None:
    """Drop the configured database if it exists, and end its sessions."""
    _execute_elsewhere(settings, "DROP DATABASE IF EXISTS {} WITH (FORCE)")


def at_server_of(session: connection, settings: Settings) -> Settings:
    """The settings at the one server of a session.

    Of several hosts, a standby may come before the primary server, and has a new database later:
    libpq gives up at the first server that does not have it.
    """
    info = session.info
    return replace(settings, url=replace(settings.url, host=info.host, port=info.port))


def _execute_elsewhere(settings: Settings, statement: str) -> Settings:
    """Run a statement from another database; every server has `postgres` and `template1`.

    Returns the settings at the server.
    """
    elsewhere = "postgres" if settings.url.name != "postgres" else "template1"
    with closing(_connect(settings, dbname=elsewhere)) as session, session.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(sql.Identifier(settings.url.name)))
        return at_server_of(session, settings)


def _connect(settings: Settings, **changes: str) -> connection:
    try:
        session: connection = psycopg2.connect(**settings.connect_kwargs(**changes))
    except psycopg2.OperationalError as error:
        raise connection_error(error, settings, **changes) from error
    session.autocommit = True  # CREATE and DROP DATABASE refuse to run in a transaction
    return session
