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
from contextlib import contextmanager, suppress
from heapq import heappop, heappush
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from math import inf
from threading import Condition, Event, Lock, RLock, local
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import psycopg2
from peewee import (
    ConnectionContext,
    OperationalError,
    PeeweeException,
    PostgresqlDatabase,
    ProgrammingError,
)
from playhouse.pool import MaxConnectionsExceeded, PooledDatabase, PooledPostgresqlDatabase
from psycopg2 import extensions
from psycopg2.errors import (
    DatatypeMismatch,
    FeatureNotSupported,
    InvalidSqlStatementName,
    UndefinedFunction,
    UndefinedTable,
)

from toolkit.errors import NoTableError, connection_error, driver_error
from toolkit.prepared import Prepared
from toolkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PING_AFTER_SECONDS = 30
# It was discarded; or what it returns, or compares, has another type by now.
OUTDATED = (InvalidSqlStatementName, FeatureNotSupported, UndefinedFunction, DatatypeMismatch)
GO_ON = (iscoroutinefunction, isgeneratorfunction, isasyncgenfunction)


class PooledConnection(extensions.connection):
    """A connection, and when it was opened, taken and given back.

    Among the pool's connections in use it stands for itself, with the names of playhouse's
    PoolConnection, which would have to be made at each check-out.
    """

    __slots__ = ("checked_out", "idle_since", "prepared", "timestamp")

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 # psycopg2's
        super().__init__(*args)
        self.prepared: dict[Prepared, bool] = {}  # False for what goes without
        self.timestamp = self.checked_out = time()
        self.idle_since = monotonic()

    @property
    def connection(self) -> PooledConnection:
        return self

    def has_ended(self) -> bool:
        """Whether an idle connection has heard the server's farewell, or its end.

        Reads what has come, and waits for nothing; libpq tells what is TLS's own from a message.
        """
        heard: list[str] = []
        self.notices = heard
        known = -1
        try:
            while known != len(self.notifies):  # what stands in front of a farewell
                known = len(self.notifies)
                self.poll()
        except psycopg2.Error:
            return True
        return bool(heard)


class Pool(PooledPostgresqlDatabase):  # type: ignore[misc] # playhouse has no types
    """A pool that configures itself from the settings when it is first used.

    Peewee's own asks the server SELECT 1 at each check-out, with the pool locked. This one looks
    whether the server has said anything while nothing was asked. Only a connection that was idle
    for longer than `ping_after` seconds is asked, for a firewall may have forgotten it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 # Peewee's
        self.ping_after: float = PING_AFTER_SECONDS
        self.waiting: dict[Event, None] = {}  # in the order of their coming
        self.thread = local()
        self.lease = Lease(self)
        super().__init__(*args, **kwargs)

    def init(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 # Peewee's
        super().init(*args, **{"connection_factory": PooledConnection} | kwargs)

    def connect(self, reuse_if_open: bool = False) -> bool:  # noqa: FBT001, FBT002 # peewee's
        state = self._state
        if state.closed and not self.waiting and (idle := self._take_idle()):
            state.conn = idle
            state.closed = False  # the rest is as reset() left it
            return True
        if self.deferred:
            with self._pool_lock:
                if self.deferred:
                    configure(Settings.load(), self)
        return self._connect_in_turn(reuse_if_open=reuse_if_open)

    def close(self) -> bool:
        state = self._state
        if not (state.closed or state.transactions) and self._give_back(state.conn):
            return True
        return bool(super().close())

    def execute_sql(self, sql: str, params: Any = None) -> Any:  # noqa: ANN401 # Peewee's
        """Run a statement; a Prepared one is prepared first, where this connection has not yet.

        It runs as plain SQL in a transaction, which the failure of one that is outdated would end;
        behind a pooler, which hands out its servers by the transaction; and where the server cannot
        prepare it.
        """
        try:
            if isinstance(sql, Prepared) and self._is_prepared(sql):
                return super().execute_sql(sql.execution, params)
        except PeeweeException as error:
            cause = driver_error(error)
            # What has a context comes from a function that it had called: it was run.
            if not isinstance(cause, OUTDATED) or cause.diag.context:
                raise
            self._state.conn.prepared[sql] = False
        return super().execute_sql(sql, params)

    def _is_prepared(self, statement: Prepared) -> bool:
        """Whether it is, by now, on the thread's connection, and may be executed there."""
        state = self._state
        if state.closed or state.conn.get_transaction_status() or not state.conn.autocommit:
            return False
        prepared: dict[Prepared, bool] = state.conn.prepared
        if statement not in prepared:
            prepared[statement] = False
            ((pid,),) = super().execute_sql("SELECT pg_backend_pid()").fetchall()
            if pid == state.conn.get_backend_pid():  # a pooler tells a number of its own
                with suppress(ProgrammingError):  # plain SQL then works, or says why not
                    super().execute_sql(statement.preparation)
                    prepared[statement] = True
        return prepared[statement]

    def _connect_in_turn(self, *, reuse_if_open: bool) -> bool:
        """Connect as Peewee does, but behind those who wait already."""
        deadline = monotonic() + (self._wait_timeout or 0)
        turn = Event()
        try:
            while True:
                if not self._state.closed or self._is_first(turn):
                    try:
                        return bool(super(PooledDatabase, self).connect(reuse_if_open))
                    except MaxConnectionsExceeded:
                        pass
                if monotonic() >= deadline:
                    raise MaxConnectionsExceeded(
                        f"all {self._max_connections} connections were in use for "
                        f"{self._wait_timeout or 0} s"
                    )
                self._await_turn(turn, deadline)
        finally:
            with self._pool_lock:
                self.waiting.pop(turn, None)
                self._wake_first()

    def _is_first(self, turn: Event) -> bool:
        with self._pool_lock:
            return next(iter(self.waiting), turn) is turn

    def _await_turn(self, turn: Event, deadline: float) -> None:
        """Wait until the one in front is served, and a connection is free; the place is kept.

        A second is as long as Peewee's own waits, for what closes a connection without a word.
        """
        with self._pool_lock:
            self.waiting.setdefault(turn)
            turn.clear()
            self._wake_first()
        turn.wait(min(1, max(0, deadline - monotonic())))

    def _wake_first(self) -> None:
        """Wake who has waited longest, where a connection is free; with the pool locked."""
        is_free = self._connections or len(self._in_use) < (self._max_connections or inf)
        if self.waiting and is_free:
            next(iter(self.waiting)).set()

    def connection_context(self) -> Lease:
        return self.lease

    def forget(self) -> None:
        """Start anew in a forked process: the parent's threads, which may hold locks, are not here.

        The connections are the parent's, and stay open there.
        """
        self._lock = Lock()
        self._pool_lock = RLock()
        self._pool_available = Condition(self._pool_lock)
        self.waiting.clear()
        self.thread = local()
        self.dispose()

    def take_back(self, conn: PooledConnection) -> None:
        """Close a connection whose thread has ended; its slot is free again."""
        super()._close(conn, close_conn=True)
        with self._pool_lock:
            self._wake_first()

    def _take_idle(self) -> PooledConnection | None:
        """An idle connection that is fit for use; the ones that are not are closed."""
        while self._connections:
            with self._pool_lock:
                if not self._connections:
                    return None
                conn: PooledConnection = heappop(self._connections)[-1]  # the oldest first
                conn.checked_out = time()
                self._keep(conn)
                self._in_use[id(conn)] = conn
            # Looked at with the pool unlocked, so that nobody waits for a connection's answer.
            try:
                if not (self._is_closed(conn) or self._is_stale(conn.timestamp)):
                    return conn
            except BaseException:
                self.take_back(conn)
                raise
            self.take_back(conn)
        return None

    def _give_back(self, conn: PooledConnection) -> bool:
        """Put a connection among the idle ones; False for one that is not as it was taken."""
        if conn.get_transaction_status() or not conn.autocommit:
            return False
        with self._pool_lock:
            if not self._in_use.pop(id(conn), None):
                return False
            # Before another thread can have it, also where Ctrl-C comes in between.
            self._state.reset()
            self.thread.holder.connection = None
            conn.idle_since = monotonic()
            self._heap_counter += 1
            heappush(self._connections, (conn.timestamp, self._heap_counter, conn))
            self._wake_first()
        return True

    def _connect(self) -> PooledConnection:
        conn: PooledConnection = super()._connect()
        self._keep(conn)
        return conn

    def _keep(self, conn: PooledConnection) -> None:
        """Note that this thread has the connection; what it has left of an interrupted one goes."""
        try:
            holder = self.thread.holder
        except AttributeError:
            holder = self.thread.holder = Holder(self)
        if holder.connection is not None:
            self.take_back(holder.connection)
        holder.connection = conn

    def _close(self, conn: PooledConnection, close_conn: bool = False) -> None:  # noqa: FBT001, FBT002 # peewee's
        super()._close(conn, close_conn)
        self.thread.holder.connection = None
        with self._pool_lock:
            self._wake_first()

    def _can_reuse(self, conn: PooledConnection) -> bool:
        return conn.autocommit and bool(super()._can_reuse(conn))

    def _is_stale(self, timestamp: float) -> bool:
        return bool(self._stale_timeout) and bool(super()._is_stale(timestamp))

    def _is_closed(self, conn: PooledConnection) -> bool:
        if conn.has_ended():
            return True
        idle_seconds = monotonic() - conn.idle_since
        return idle_seconds > self.ping_after and bool(super()._is_closed(conn))


class Lease(ConnectionContext):
    """A connection of the pool for a block or a function; inside of another one, the same.

    It leaves open what was open before. It is no decorator for a coroutine, which would share its
    thread's connection with others, nor for a generator, which goes on after it has returned.
    """

    def __enter__(self) -> None:
        state = self.db._state  # noqa: SLF001 # as Peewee's own does
        was_closed = state.closed
        if was_closed:
            self.db.connect()
        state.ctx.append(was_closed)  # of the thread and the level, where self is shared

    def __exit__(self, *error: object) -> None:
        context = self.db._state.ctx  # noqa: SLF001 # as Peewee's own does
        if context and context.pop():  # empty where the block closed the database
            self.db.close()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if any(goes_on(function) for goes_on in GO_ON):
            raise TypeError(
                f"{function!r} goes on after it has returned, and has no connection then: put the "
                "database's work into a function of its own; a coroutine can await "
                "asyncio.to_thread() of that"
            )
        decorated: Callable[..., Any] = super().__call__(function)  # type: ignore[no-untyped-call]
        return decorated


class Holder:
    """Goes with its thread, and takes back the connection that the thread still has."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.process = os.getpid()
        self.connection: PooledConnection | None = None

    def __del__(self) -> None:
        # A forked process has copies of its parent's threads' connections, which are in use there.
        if self.connection is not None and self.process == os.getpid():
            self.pool.take_back(self.connection)


database = Pool(None)
os.register_at_fork(after_in_child=database.forget)


def configure(settings: Settings, pool: Pool = database) -> None:
    """Point the pool at the settings' database, leaving what it had; nothing is connected yet."""
    if not pool.deferred:
        pool.close_all()
    pool.connect_params.clear()  # Peewee's init() adds to what was there
    pool.ping_after = settings.pool_ping_after_seconds
    pool.init(
        settings.url.name,
        max_connections=settings.pool_max_connections,
        stale_timeout=settings.pool_stale_seconds,
        timeout=settings.pool_wait_seconds,
        **settings.libpq(),
    )


def dedicated(settings: Settings, purpose: str) -> PostgresqlDatabase:
    """One connection outside the pool, named `application/purpose` in pg_stat_activity.

    It waits for a lock no longer than a migration does.
    """
    name = f"{settings.application_name}/{purpose}"
    parameters = settings.libpq(application_name=name)
    parameters["options"] += f" -c lock_timeout={settings.migrate_lock_timeout_seconds}s"
    return PostgresqlDatabase(settings.url.name, **parameters)


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
        cause = driver_error(error)
        if not isinstance(cause, UndefinedTable):
            raise
        reason = cause.diag.message_primary
        raise NoTableError(
            f"{settings.url}: {reason}", "`invoke migrate-up` creates it."
        ) from error
