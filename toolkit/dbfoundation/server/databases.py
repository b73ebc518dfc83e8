"""The databases of a server: connect to one, create one, drop one; the identity of a server."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege

from dbfoundation.errors import AccessDeniedError, NoDatabaseError
from dbfoundation.runtime.connection_errors import connection_error
from dbfoundation.runtime.server_errors import server_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection

    from dbfoundation.settings import Settings

# The identity of one run of one server. initdb makes the first part, and a copy of the data has it.
IDENTITY = (
    "SELECT system_identifier || ' ' || extract(epoch FROM pg_postmaster_start_time()) "
    "FROM pg_control_system()"
)


def check(settings: Settings) -> None:
    """Run SELECT 1 at the configured address; raises a DatabaseError with the reason."""
    with closing(_connect(settings)) as session:
        ask(session, "SELECT 1")


@contextmanager
def any_session(settings: Settings) -> Iterator[connection]:
    """A session on the server, in another database where the configured one does not exist."""
    try:
        session = _connect(settings)
    except NoDatabaseError:
        session = _connect(settings, dbname=_another_database(settings))
    with closing(session):
        yield session


def ask(session: connection, query: str) -> str:
    """The one value of a query, as text."""
    with session.cursor() as cursor:
        cursor.execute(query)
        [[value]] = cursor.fetchall()
    return str(value)


def version(session: connection) -> str:
    """The server's version, such as 15.18."""
    major, minor = divmod(session.server_version, 10_000)
    return f"{major}.{minor}"


def describe(session: connection) -> str:
    """The server's version and the size of the session's database, roughly, for a question."""
    size = ask(
        session,
        "SELECT format('%s tables, about %s rows', count(*), coalesce(sum(n_live_tup), 0)) "
        "FROM pg_stat_user_tables",
    )
    return f"PostgreSQL {version(session)}, {size}"


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
    """Run a statement from another database; returns the settings at the server."""
    elsewhere = _another_database(settings)
    with closing(_connect(settings, dbname=elsewhere)) as session, session.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(sql.Identifier(settings.url.name)))
        return at_server_of(session, settings)


def _another_database(settings: Settings) -> str:
    """A database beside the configured one; every server has `postgres` and `template1`."""
    return "postgres" if settings.url.name != "postgres" else "template1"


def _connect(settings: Settings, **changes: str) -> connection:
    try:
        session: connection = psycopg2.connect(**settings.connect_kwargs(**changes))
    except psycopg2.OperationalError as error:
        raise connection_error(error, settings, **changes) from error
    session.autocommit = True  # CREATE and DROP DATABASE refuse to run in a transaction
    return session
