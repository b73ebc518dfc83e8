"""A connection outside of the pool; and errors that any connection may have, with their fixes."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from peewee import OperationalError, PostgresqlDatabase, ProgrammingError
from psycopg2.errors import UndefinedTable

from dbfoundation.errors import NoTableError, ReadOnlyServerError
from dbfoundation.runtime.connection_errors import connection_error
from dbfoundation.runtime.recording import RecordableConnection
from dbfoundation.runtime.server_errors import driver_error, server_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection

    from dbfoundation.settings import Settings

# Asked of the server: a pooler in between may repeat what another server reported at its start.
ROLE = "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean"

CONNECT_TO_PRIMARY = (
    "let DATABASE_URL, or MIGRATION_DATABASE_URL for migrations, name the primary server, or all "
    "servers with target_session_attrs=read-write"
)


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


def require_writable(session: connection, settings: Settings) -> None:
    """Return where a session may change data; raises ReadOnlyServerError, which names the server.

    Of several hosts, it is the one that libpq chose.
    """
    with session.cursor() as cursor:
        cursor.execute(ROLE)
        ((is_standby, is_read_only),) = cursor.fetchall()
    if not is_read_only:  # as every session of a standby is
        return
    server = replace(settings.url, host=session.info.host, port=session.info.port).server
    if is_standby:
        raise ReadOnlyServerError(
            f"{server} is a standby server, which accepts no change", f"{CONNECT_TO_PRIMARY}."
        )
    raise ReadOnlyServerError(
        f"this session on {server} is read-only: default_transaction_read_only is on",
        f"{CONNECT_TO_PRIMARY}; or reset that setting of the server, the database or the role.",
    )


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
