"""The database: one pool for the process, deferred until its first connection.

`database` is what the models are bound to. Importing it reads no environment and connects to
nothing; its first `connect()` configures it from the settings, unless `configure()` came before.

The pool hands out a connection a thread; `with database.connection_context():`, or
`@database.connection_context()` above a function, takes one and gives it back. An idle connection
that the server has closed, by a restart for example, is noticed at check-out and replaced. When all
are in use, `connect()` waits for DB_POOL_WAIT_TIMEOUT seconds and then raises
playhouse.pool.MaxConnectionsExceeded. A thread that ends without giving its connection back loses
it, and the slot is free again; a forked process starts with a pool of its own.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from heapq import heappop
from inspect import iscoroutinefunction
from select import POLLIN, poll
from threading import local
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from peewee import ConnectionContext, OperationalError, PostgresqlDatabase, ProgrammingError
from playhouse.pool import PoolConnection, PooledPostgresqlDatabase
from psycopg2.errors import UndefinedTable

from toolkit.errors import NoTableError, connection_error
from toolkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg2.extensions import connection

PING_AFTER_SECONDS = 30


class Pool(PooledPostgresqlDatabase):  # type: ignore[misc] # playhouse has no types
    """A pool that configures itself from the settings when it is first used.

    Peewee's own asks the server SELECT 1 at each check-out, with the pool locked. This one looks at
    the socket: what can be read while nothing was asked is the server's farewell, or its end. Only
    a connection that was idle for longer than `ping_after` seconds is asked, for a firewall may
    have forgotten it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 # Peewee's
        self.ping_after: float = PING_AFTER_SECONDS
        self.idle_since: dict[int, float] = {}
        self.thread = local()
        super().__init__(*args, **kwargs)

    def connect(self, reuse_if_open: bool = False) -> bool:  # noqa: FBT001, FBT002 # peewee's
        state = self._state
        if state.closed and (idle := self._take_idle()):
            state.set_connection(idle)
            return True
        # None is idle, or one is open: from here on as Peewee does it.
        if self.deferred:
            with self._pool_lock:
                if self.deferred:
                    configure(Settings.load())
        return bool(super().connect(reuse_if_open))

    def connection_context(self) -> Lease:
        return Lease(self)

    def take_back(self, conn: connection) -> None:
        """Close a connection whose thread has ended; its slot is free again."""
        super()._close(conn, close_conn=True)

    def _take_idle(self) -> Any:  # noqa: ANN401 # a connection or None; playhouse has no types
        """An idle connection that is fit for use; the ones that are not are closed."""
        while self._connections:
            with self._pool_lock:
                if not self._connections:
                    return None
                created, _, conn = heappop(self._connections)  # the oldest first
                self._in_use[id(conn)] = PoolConnection(created, conn, time())
            # Looked at with the pool unlocked, so that nobody waits for a connection's answer.
            if not (self._is_closed(conn) or self._is_stale(created)):
                self._keep(conn)
                return conn
            self.take_back(conn)
        return None

    def _connect(self) -> connection:
        conn: connection = super()._connect()
        self._keep(conn)
        return conn

    def _keep(self, conn: connection) -> None:
        """Note that this thread has the connection."""
        try:
            self.thread.end.connection = conn
        except AttributeError:
            self.thread.end = ThreadEnd(self)
            self.thread.end.connection = conn

    def _close(self, conn: connection, close_conn: bool = False) -> None:  # noqa: FBT001, FBT002 # peewee's
        self.idle_since[id(conn)] = monotonic()
        super()._close(conn, close_conn)
        self.thread.end.connection = None

    def _close_raw(self, conn: connection) -> None:
        self.idle_since.pop(id(conn), None)
        super()._close_raw(conn)

    def _is_closed(self, conn: connection) -> bool:
        idle_seconds = monotonic() - self.idle_since.pop(id(conn), 0)
        if conn.closed or _is_readable(conn):
            return True
        return idle_seconds > self.ping_after and bool(super()._is_closed(conn))


class Lease(ConnectionContext):
    """A connection of the pool for a block or a function; inside of another one, the same.

    It leaves open what was open before, and is no decorator for a coroutine, which would share its
    thread's connection with others: use it in a function for asyncio.to_thread().
    """

    __slots__ = ("is_ours",)

    def __enter__(self) -> None:
        state = self.db._state  # noqa: SLF001 # as Peewee's own does
        self.is_ours = state.closed
        if self.is_ours:
            self.db.connect()
        state.ctx.append(self)

    def __exit__(self, *error: object) -> None:
        self.db._state.ctx.pop()  # noqa: SLF001 # as Peewee's own does
        if self.is_ours:
            self.db.close()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if iscoroutinefunction(function):
            raise TypeError(
                f"{function.__name__} is a coroutine, and a connection belongs to a thread: put "
                "the database's work into a function, and await asyncio.to_thread() of that"
            )
        decorated: Callable[..., Any] = super().__call__(function)  # type: ignore[no-untyped-call]
        return decorated


class ThreadEnd:
    """Goes with its thread, and takes back the connection that the thread still has."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.process = os.getpid()
        self.connection: connection | None = None

    def __del__(self) -> None:
        # A forked process has copies of its parent's threads' connections, which are in use there.
        if self.connection is not None and self.process == os.getpid():
            self.pool.take_back(self.connection)


database = Pool(None)
os.register_at_fork(after_in_child=database.dispose)


def configure(settings: Settings) -> None:
    """Point the pool at the settings' database, leaving what it had; nothing is connected yet."""
    if not database.deferred:
        database.close_all()
    database.connect_params.clear()  # Peewee's init() adds to what was there
    database.ping_after = settings.pool_ping_after_seconds
    database.init(
        settings.url.name,
        max_connections=settings.pool_max_connections,
        stale_timeout=settings.pool_stale_seconds,
        timeout=settings.pool_wait_seconds,
        **settings.libpq(),
    )


def dedicated(settings: Settings, purpose: str) -> PostgresqlDatabase:
    """One connection outside the pool, named `application/purpose` in pg_stat_activity."""
    name = f"{settings.application_name}/{purpose}"
    return PostgresqlDatabase(settings.url.name, **settings.libpq(application_name=name))


def _is_readable(conn: connection) -> bool:
    poller = poll()
    poller.register(conn.fileno(), POLLIN)
    return bool(poller.poll(0))


@contextmanager
def connected(db: PostgresqlDatabase, settings: Settings) -> Iterator[None]:
    """Keep a connection open for the block; raises a DatabaseError that says why it cannot."""
    try:
        db.connect()
    except OperationalError as error:
        raise connection_error(str(error), settings.url) from error
    try:
        yield
    finally:
        db.close()


@contextmanager
def explained(settings: Settings) -> Iterator[None]:
    """Turn a missing table into a NoTableError with the way out."""
    try:
        yield
    except ProgrammingError as error:
        cause = getattr(error, "orig", None)  # the driver's error, which Peewee's types leave out
        if not isinstance(cause, UndefinedTable):
            raise
        reason = cause.diag.message_primary
        raise NoTableError(
            f"{settings.url}: {reason}", "`invoke migrate-up` creates it."
        ) from error
