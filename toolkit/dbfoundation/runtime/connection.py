"""A connection outside of the pool, and the errors of connecting and of a missing table."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from peewee import OperationalError, PostgresqlDatabase, ProgrammingError
from psycopg2.errors import UndefinedTable

from dbfoundation.errors import NoTableError
from dbfoundation.runtime.connection_errors import connection_error
from dbfoundation.runtime.recording import RecordableConnection
from dbfoundation.runtime.server_errors import driver_error, server_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbfoundation.settings import Settings


def dedicated(settings: Settings, purpose: str) -> PostgresqlDatabase:
    """A database with one connection, named `application/purpose` in pg_stat_activity.

    Its lock_timeout is that of migrations, and an observer can listen to its statements.
    """
    parameters = settings.kwargs_for(purpose)
    parameters["options"] += f" -c lock_timeout={settings.migrate_table_lock_timeout_seconds}s"
    parameters["connection_factory"] = RecordableConnection
    return PostgresqlDatabase(settings.url.name, **parameters)


@contextmanager
def connected(database: PostgresqlDatabase, settings: Settings) -> Iterator[None]:
    """Keep a connection open for the block; raises a DatabaseError with the reason and a fix."""
    try:
        database.connect()
    except OperationalError as error:
        raise connection_error(error, settings) from error
    try:
        yield
    finally:
        database.close()


@contextmanager
def explain_missing_table(settings: Settings) -> Iterator[None]:
    """Replace the server's error about a missing table by a NoTableError with a fix."""
    try:
        yield
    except ProgrammingError as error:
        if not isinstance(driver_error(error), UndefinedTable):
            raise
        raise NoTableError(
            f"{settings.url}: {server_message(error)}", "create it with `invoke migrate-up`."
        ) from error
