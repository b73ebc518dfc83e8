"""The pool: one for the process, which configures itself at its first connection.

A project creates it beside its base model, `database = Pool(env_file)`; its models are bound to it.
Creating it reads no environment and connects to nothing; its first `connect()` reads the settings,
unless `configure()` came before. Another database needs a second Pool.

The pool gives each thread one connection: `with database.connection_context():`, or
`@database.connection_context()` above a function, takes one and returns it. An idle connection that
the server has closed, by a restart for example, is noticed at check-out and replaced. When all are
in use, `connect()` waits for DB_POOL_WAIT_TIMEOUT seconds and then raises
playhouse.pool.MaxConnectionsExceeded. A forked process starts with an empty pool.
"""

from __future__ import annotations

import os
import weakref
from contextlib import suppress
from heapq import heappop, heappush
from math import inf
from threading import Condition, Event, Lock, RLock
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from peewee import PeeweeException, ProgrammingError
from peewee import __exception_wrapper__ as peewee_errors  # type: ignore[attr-defined] # no stub
from playhouse.pool import (
    MaxConnectionsExceeded,
    PoolConnection,
    PooledDatabase,
    PooledPostgresqlDatabase,
)
from psycopg2.errors import (
    DatatypeMismatch,
    FeatureNotSupported,
    InvalidSqlStatementName,
    UndefinedFunction,
)

from dbfoundation.runtime.pooled_connection import PooledConnection, ThreadSlot
from dbfoundation.runtime.prepared import Prepared
from dbfoundation.runtime.scope import ConnectionScope
from dbfoundation.runtime.server_errors import driver_error
from dbfoundation.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

# The statement was discarded; or a value that it returns or compares has another type now.
OUTDATED = (InvalidSqlStatementName, FeatureNotSupported, UndefinedFunction, DatatypeMismatch)


class Pool(PooledPostgresqlDatabase):  # type: ignore[misc] # playhouse has no types
    """A pool that configures itself from the settings at its first connection.

    It stores its connections as Peewee's pool does, and has its own check-out and return. With
    Peewee's, and only another check of idle connections, a check-out and SELECT 1 takes 1.3 times
    as long in one thread and 1.5 times in eight. In Peewee's own pool, which sends one more
    SELECT 1 with every lock held, it takes 1.9 and 3.2 times as long.
    """

    def __init__(self, env_file: Path, **options: Any) -> None:  # noqa: ANN401 # Peewee's
        self.env_file = env_file
        self.ping_after: float = Settings.pool_ping_after_seconds
        self._waiting: list[Event] = []  # in the order of arrival
        super().__init__(None, **options)
        reset = weakref.WeakMethod(self._reset_after_fork)
        os.register_at_fork(after_in_child=lambda: (method := reset()) and method())

    def init(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 # Peewee's
        super().init(*args, **{"connection_factory": PooledConnection} | kwargs)

    def configure(self, settings: Settings) -> None:
        """Point the pool at the settings' database; closes every connection and opens none."""
        with self._pool_lock:
            if not self.deferred:
                self.close_all()
            self.connect_params.clear()  # Peewee's init() adds to them
            self.ping_after = settings.pool_ping_after_seconds
            self.init(
                settings.url.name,
                max_connections=settings.pool_max_connections,
                stale_timeout=settings.pool_max_lifetime_seconds,
                timeout=settings.pool_wait_seconds,
                **settings.connect_kwargs(),
            )

    def connect(self, reuse_if_open: bool = False) -> bool:  # noqa: FBT001, FBT002 # Peewee's
        """Take an idle connection for the thread, or open one; wait when all are in use."""
        state = self._state
        if not state.closed:
            return bool(super().connect(reuse_if_open))  # False, or Peewee's error
        if self.deferred:
            self._configure_once()
        if not hasattr(state, "slot"):
            state.slot = ThreadSlot(self)
        state.slot.discard()  # Ctrl-C may have interrupted the last close()
        try:
            state.conn = self._connect()
            state.closed = False  # everything else is as reset() left it
        except BaseException:
            state.slot.discard()
            raise
        return True

    def close(self) -> bool:
        """Return the thread's connection; a transaction that was opened by SQL is rolled back.

        When its server has become read-only, the idle connections are closed, too: the next ones
        lead to the server that the address asks for now.
        """
        state = self._state
        if state.closed or state.transactions:
            return bool(super().close())  # False, or Peewee's error
        conn = state.conn
        can_reuse = conn.autocommit and self._can_reuse(conn)
        if can_reuse and conn.is_switched():
            can_reuse = False
            self.close_idle()
        state.reset()  # before another thread can take the connection, whatever Ctrl-C interrupts
        self._close(conn, close_conn=not can_reuse)
        return True

    def connection_context(self) -> ConnectionScope:
        return ConnectionScope(self)

    def execute_sql(self, sql: str, params: Any = None) -> Any:  # noqa: ANN401 # Peewee's
        """Run a statement; a Prepared one is prepared at its first use on this connection.

        It runs as plain SQL in a transaction, which the failure of an outdated one would end;
        behind a pooler, which gives each transaction another server process; and where the server
        cannot prepare it.
        """
        try:
            if isinstance(sql, Prepared) and self._is_prepared(sql):
                return super().execute_sql(sql.execution, params)
        except PeeweeException as error:
            cause = driver_error(error)
            # An error with a context comes from a function that it called: the statement was run.
            if not isinstance(cause, OUTDATED) or cause.diag.context:
                raise
            self._state.conn.prepared[sql] = False
        return super().execute_sql(sql, params)

    def _is_prepared(self, statement: Prepared) -> bool:
        """Whether the statement may be executed on the thread's connection; prepares it first."""
        state = self._state
        if state.closed or state.conn.get_transaction_status() or not state.conn.autocommit:
            return False
        prepared: dict[Prepared, bool] = state.conn.prepared
        if statement not in prepared:
            prepared[statement] = False
            ((pid,),) = super().execute_sql("SELECT pg_backend_pid()").fetchall()
            if pid == state.conn.get_backend_pid():  # a pooler invents a number of its own
                with suppress(ProgrammingError):  # plain SQL then works, or has the right error
                    super().execute_sql(statement.preparation)
                    prepared[statement] = True
        return prepared[statement]

    def _configure_once(self) -> None:
        with self._pool_lock:
            if self.deferred:
                self.configure(Settings.load(self.env_file))

    def _connect(self) -> PooledConnection:
        conn = None if self._waiting else self._take()
        return conn or self._wait_for_turn()

    def _take(self) -> PooledConnection | None:
        """Take an idle connection or open one; None when all are in use.

        The pool is unlocked while an idle connection is checked: a server that does not answer
        blocks this thread only, as tests/test_pool_replacement.py shows.
        """
        while True:
            with self._pool_lock:
                idle = heappop(self._connections) if self._connections else None
                if idle:
                    opened, _, conn = idle
                elif len(self._in_use) < (self._max_connections or inf):
                    opened, conn = time(), self._open()
                else:
                    return None
                self._state.slot.hold(conn)
                self._in_use[id(conn)] = PoolConnection(opened, conn, time())
            if not (idle and self._must_be_replaced(conn, opened)):
                return conn  # type: ignore[no-any-return] # playhouse has no types
            self._close(conn, close_conn=True)

    def _open(self) -> PooledConnection:
        with peewee_errors:
            conn: PooledConnection = super(PooledDatabase, self)._connect()
        self._set_server_version(conn)
        return conn

    def _must_be_replaced(self, conn: PooledConnection, opened: float) -> bool:
        """Whether an idle connection has ended or is too old.

        Sends SELECT 1 only after `ping_after` seconds of idleness: a firewall may have dropped the
        connection.
        """
        if conn.has_ended() or (self._stale_timeout and self._is_stale(opened)):
            return True
        idle_seconds = monotonic() - conn.idle_since
        return idle_seconds > self.ping_after and bool(self._is_closed(conn))

    def _wait_for_turn(self) -> PooledConnection:
        """Wait for a connection; the thread that has waited longest takes the next one.

        In Peewee's pool a thread that returns a connection can take it again before a waiting one,
        which fails after its timeout: tests/test_pool_threads.py shows it.
        """
        timeout = self._wait_timeout or 0
        deadline = monotonic() + timeout
        turn = Event()
        try:
            self._waiting.append(turn)
            while self._waiting[0] is not turn or not (conn := self._take()):
                if monotonic() >= deadline:
                    raise MaxConnectionsExceeded(
                        f"all {self._max_connections} connections were in use for {timeout} s"
                    )
                # At most a second, because close_all() and close_stale() wake no thread.
                turn.wait(min(1, deadline - monotonic()))
                turn.clear()
            return conn
        finally:
            if turn in self._waiting:  # Python looks for Ctrl-C after the removal, not before
                self._waiting.remove(turn)
            self._wake_first()

    def _wake_first(self) -> None:
        for first in self._waiting[:1]:
            first.set()

    def _close(self, conn: PooledConnection, close_conn: bool = False) -> None:  # noqa: FBT001, FBT002 # Peewee's
        """Put the connection among the idle ones, or close it; then wake a waiting thread."""
        with self._pool_lock:
            taken = self._in_use.pop(id(conn), None)  # None after close_all() of another thread
            conn.slot_id = None
            if taken and not close_conn:
                conn.idle_since = monotonic()
                self._heap_counter += 1
                heappush(self._connections, (taken.timestamp, self._heap_counter, conn))
        if close_conn:
            self._close_raw(conn)
        self._wake_first()

    def _reset_after_fork(self) -> None:
        """Start empty: the parent has the connections, and its threads may have held the locks."""
        self._lock = Lock()
        self._pool_lock = RLock()
        self._pool_available = Condition(self._pool_lock)
        self._waiting.clear()
        self.dispose()
