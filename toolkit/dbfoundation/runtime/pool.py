"""The pool: one for the process, which configures itself at its first connection.

A project creates it beside its base model, `database = Pool(env_file)`; its models are bound to it.
Creating it reads no environment and connects to nothing; its first `connect()` reads the settings,
unless `configure()` came before. Another database needs a second Pool.

`with database.connection_context():`, or `@database.connection_context()` above a function, takes a
connection for the thread and returns it. A query outside of it raises NotConnectedError: Peewee's
autoconnect is off, because a connection that nobody returns stays with its thread, dead or alive.
A statement whose connection is lost raises ConnectionLostError; the next context has another one.
When all are in use, `connect()` waits for DB_POOL_WAIT_TIMEOUT seconds and then raises
PoolTimeoutError. A forked process starts with an empty pool.
"""

from __future__ import annotations

from contextlib import suppress
from functools import wraps
from logging import DEBUG, getLogger
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import psycopg2
from peewee import OperationalError, PeeweeException, ProgrammingError
from peewee import __exception_wrapper__ as peewee_errors  # type: ignore[attr-defined] # no stub
from psycopg2.errors import (
    DatatypeMismatch,
    FeatureNotSupported,
    InvalidSqlStatementName,
    UndefinedFunction,
)

from dbfoundation.errors import ConnectionLostError, NotConnectedError
from dbfoundation.runtime.connection_errors import connection_error
from dbfoundation.runtime.ping import ping
from dbfoundation.runtime.prepared import Prepared
from dbfoundation.runtime.queued_pool import QueuedPool
from dbfoundation.runtime.scope import ConnectionScope
from dbfoundation.runtime.server_errors import driver_error, server_message
from dbfoundation.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dbfoundation.runtime.pooled_connection import PooledConnection

LOGGER = getLogger("peewee")
P = ParamSpec("P")
R = TypeVar("R")

# The statement was discarded; or a value that it returns or compares has another type now.
OUTDATED = (InvalidSqlStatementName, FeatureNotSupported, UndefinedFunction, DatatypeMismatch)


def reports_loss(
    method: Callable[Concatenate[Pool, P], R],
) -> Callable[Concatenate[Pool, P], R]:
    """Let a method raise ConnectionLostError for an error that ended the thread's connection."""

    @wraps(method)
    def reporting(self: Pool, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except PeeweeException as error:
            self._report_loss(error)
            raise

    return reporting


class Pool(QueuedPool):
    """A pool that configures itself from the settings at its first connection."""

    def __init__(self, env_file: Path, **options: Any) -> None:  # noqa: ANN401 # Peewee's
        self.env_file = env_file
        self._settings: Settings | None = None
        super().__init__(None, **options)

    def configure(self, settings: Settings) -> None:
        """Point the pool at the settings' database; closes every connection and opens none."""
        with self._pool_lock:
            if not self.deferred:
                self.close_all()
            self.connect_params.clear()  # Peewee's init() adds to them
            self.max_idle_seconds = settings.pool_max_idle_seconds
            self._settings = settings
            self.init(
                settings.url.name,
                max_connections=settings.pool_max_connections,
                stale_timeout=settings.pool_max_lifetime_seconds,
                timeout=settings.pool_wait_seconds,
                **settings.connect_kwargs(),
            )

    def connection_context(self) -> ConnectionScope:
        return ConnectionScope(self)

    def ping(self, timeout_seconds: float = 2) -> None:
        """Ask the database for an answer, on a connection of its own; for a health check.

        Raises a DatabaseError after `timeout_seconds` for each host. A full pool does not matter.
        """
        ping(self._settings or Settings.load(self.env_file), timeout_seconds)

    def connection(self) -> PooledConnection:
        """The thread's connection; raises NotConnectedError where it has none."""
        conn: PooledConnection | None = self._state.conn
        if conn is None or conn.slot_id != id(slot := self._state.slot):
            raise NotConnectedError(
                "this thread has no connection to the database",
                "put the work into `with database.connection_context():`, or decorate its function "
                "with `@database.connection_context()`.",
            )
        slot.check_task()
        return conn

    def cursor(self, named_cursor: Any = None) -> Any:  # noqa: ANN401, ARG002 # Peewee's
        return self.connection().cursor()

    def execute_sql(self, sql: str, params: Any = None) -> Any:  # noqa: ANN401 # Peewee's
        """Run a statement; a Prepared one is prepared at its first use on this connection.

        It runs as plain SQL in a transaction, which the failure of an outdated one would end;
        behind a pooler, which gives each transaction another server process; and where the server
        cannot prepare it.
        """
        try:
            if not isinstance(sql, Prepared) or not self._is_prepared(sql):
                return super().execute_sql(sql, params)
            try:
                return self._send(sql.execution, params)
            except PeeweeException as error:
                if not _is_outdated(error):
                    raise
            self._state.conn.prepared[sql] = False
            return super().execute_sql(sql, params)
        except PeeweeException as error:
            self._report_loss(error)
            raise

    begin = reports_loss(QueuedPool.begin)
    commit = reports_loss(QueuedPool.commit)
    rollback = reports_loss(QueuedPool.rollback)

    def _send(self, sql: str, params: Any) -> Any:  # noqa: ANN401 # Peewee's
        """Peewee's execute_sql() in a third of its calls, which threads make one after the other.

        With eight of them, a session's get has 1.1 to 1.2 times the speed.
        """
        if self.query_hooks or LOGGER.isEnabledFor(DEBUG):
            return super().execute_sql(sql, params)
        conn = self.connection()
        try:
            cursor = conn.cursor()
            cursor.execute(sql, params or ())
        except psycopg2.Error:
            with peewee_errors:
                raise
        return cursor

    def _is_prepared(self, statement: Prepared) -> bool:
        """Whether the statement may be executed on the thread's connection; prepares it first."""
        conn = self._state.conn
        # Without a connection, or on a closed one, the plain SQL has the right error.
        if conn is None or conn.get_transaction_status() or not conn.autocommit:
            return False
        prepared: dict[Prepared, bool] = conn.prepared
        if statement not in prepared:
            prepared[statement] = False
            ((pid,),) = super().execute_sql("SELECT pg_backend_pid()").fetchall()
            if pid == conn.get_backend_pid():  # a pooler invents a number of its own
                with suppress(ProgrammingError):  # plain SQL then works, or has the right error
                    super().execute_sql(statement.preparation)
                    prepared[statement] = True
        return prepared[statement]

    def _has_place(self) -> bool:
        if self.deferred:
            self.configure(Settings.load(self.env_file))
        return super()._has_place()

    def _new_connection(self) -> PooledConnection:
        settings = self._settings
        try:
            return super()._new_connection()
        except OperationalError as error:
            if settings is None:  # Peewee's own init() has configured the pool
                raise
            raise connection_error(error, settings) from error

    def _report_loss(self, error: PeeweeException) -> None:
        """Raise ConnectionLostError if the thread's connection has ended."""
        if self._state.closed or not self._state.conn.closed:
            return
        address = self._settings.url if self._settings else self.database
        reason = server_message(error) or " ".join(str(error).split())
        raise ConnectionLostError(
            f"the connection to {address} was lost: {reason}",
            "leave the connection_context(); the next one has a new connection. Whether the server "
            "has done the last statement is unknown; an open transaction is rolled back.",
        ) from error


def _is_outdated(error: PeeweeException) -> bool:
    """Whether the server has refused a prepared statement without running it."""
    cause = driver_error(error)
    # An error with a context comes from a function that the statement called.
    return isinstance(cause, OUTDATED) and not cause.diag.context
