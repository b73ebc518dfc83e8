"""What is done to a database from outside of it: ask whether it answers, create it, drop it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege

from toolkit.errors import AccessDeniedError, connection_error

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    from toolkit.settings import Settings


def check(settings: Settings) -> None:
    """Run SELECT 1 at the configured address; raises a DatabaseError that says why it fails."""
    with closing(_connect(settings)) as session, session.cursor() as cursor:
        cursor.execute("SELECT 1")


def create_database(settings: Settings) -> None:
    """Create the configured database on its server, which must not have it.

    Raises AccessDeniedError for a user who may not.
    """
    try:
        _execute(settings, "CREATE DATABASE {}")
    except InsufficientPrivilege as error:
        raise AccessDeniedError(
            f"{settings.url} cannot be created: {error.diag.message_primary}",
            f"ALTER ROLE {settings.url.user} CREATEDB lets this user.",
        ) from error


def drop_database(settings: Settings) -> None:
    """Drop the configured database if it is there, and whoever is connected to it."""
    _execute(settings, "DROP DATABASE IF EXISTS {} WITH (FORCE)")


def _execute(settings: Settings, statement: str) -> None:
    """Run a statement from another database; a server has both `postgres` and `template1`."""
    elsewhere = "postgres" if settings.url.name != "postgres" else "template1"
    with closing(_connect(settings, dbname=elsewhere)) as session, session.cursor() as cursor:
        cursor.execute(sql.SQL(statement).format(sql.Identifier(settings.url.name)))


def _connect(settings: Settings, **changes: str) -> connection:
    try:
        session: connection = psycopg2.connect(**settings.libpq(**changes))
    except psycopg2.OperationalError as error:
        raise connection_error(str(error), settings.url) from error
    session.autocommit = True  # CREATE and DROP DATABASE refuse to run in a transaction
    return session
