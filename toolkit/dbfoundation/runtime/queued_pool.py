"""Check-out, wait and return: Peewee's pool, with turns in order and a limit for every wait.

It stores its connections as Peewee's pool does. Another thread waits for none of these: a new
connection is opened, and an idle one is looked at, while the pool is unlocked. Nothing here sends a
statement: a server that does not answer blocks no check-out and no return.
"""

from __future__ import annotations

import os
import weakref
from heapq import heappop, heappush
from math import inf
from threading import Condition, Event, Lock, RLock
from time import monotonic, time
from typing import Any

from peewee import __exception_wrapper__ as peewee_errors  # type: ignore[attr-defined] # no stub
from playhouse.pool import PoolConnection, PooledDatabase, PooledPostgresqlDatabase

from dbfoundation.errors import PoolTimeoutError
from dbfoundation.runtime.coroutines import current_task
from dbfoundation.runtime.pooled_connection import PooledConnection, ThreadSlot


class QueuedPool(PooledPostgresqlDatabase):  # type: ignore[misc] # playhouse has no types
    """Peewee's pool with a check-out and a return of its own.

    With Peewee's, and only another check of idle connections, a check-out and SELECT 1 takes 1.3
    times as long in one thread and 1.5 times in eight. In Peewee's own pool, which sends one more
    SELECT 1 with every lock held, it takes 1.9 and 3.2 times as long.
    """

    max_idle_seconds: float = inf
    _generation = 0

    def __init__(self, database: str | None, **options: Any) -> None:  # noqa: ANN401 # Peewee's
        self._waiting: list[Event] = []  # in the order of arrival
        self._opening: set[ThreadSlot] = set()  # each occupies a place
        super().__init__(database, **options)
        reset = weakref.WeakMethod(self._reset_after_fork)
        os.register_at_fork(after_in_child=lambda: (method := reset()) and method())

    def init(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 # Peewee's
        self._generation += 1
        super().init(*args, **{"connection_factory": PooledConnection} | kwargs)

    def is_closed(self) -> bool:
        """Whether the thread has no connection; none either after another thread has closed it."""
        state = self._state
        if not state.closed and state.conn.slot_id != id(state.slot):
            state.reset()
        return bool(state.closed)

    def connect(self, reuse_if_open: bool = False) -> bool:  # noqa: FBT001, FBT002 # Peewee's
        """Take an idle connection for the thread, or open one; wait when all are in use.

        Raises PoolTimeoutError after the limit of the wait, and another DatabaseError, such as
        UnavailableError, where no connection can be opened.
        """
        state = self._state
        if not state.closed and not self.is_closed():
            if not reuse_if_open:
                super().connect()  # Peewee's error
            state.slot.check_task()
            return False
        try:
            slot = state.slot
        except AttributeError:
            slot = state.slot = ThreadSlot(self)
        try:
            if slot.conn or self._opening:
                self._free(slot)  # Ctrl-C may have interrupted the last close()
            slot.task = current_task()
            state.conn = (None if self._waiting else self._take(slot)) or self._wait_for_turn(slot)
            state.closed = False  # everything else is as reset() left it
        except BaseException:
            self._free(slot)
            raise
        return True

    def close(self) -> bool:
        """Return the thread's connection, or close it where the next thread could not use it.

        When its server has become read-only, the idle connections are closed, too: the next ones
        lead to the server that the address asks for now.
        """
        state = self._state
        if self.is_closed() or state.transactions:
            return bool(super().close())  # False, or Peewee's error
        slot, conn = state.slot, state.conn
        slot.check_task()
        is_reusable = conn.is_reusable()
        state.reset()  # before another thread can take the connection, whatever Ctrl-C interrupts
        if not is_reusable and not conn.closed and conn.is_switched():
            self.close_idle()
        self._close(conn, close_conn=not is_reusable)
        slot.conn = None
        return True

    def _take(self, slot: ThreadSlot) -> PooledConnection | None:
        """Take an idle connection or open one; None when all are in use."""
        while True:
            now = time()
            with self._pool_lock:
                if self._connections:
                    opened, _, conn = heappop(self._connections)
                    slot.hold(conn)
                    self._in_use[id(conn)] = PoolConnection(opened, conn, now)
                elif self._has_place():
                    self._opening.add(slot)
                    conn = None
                else:
                    return None
            if conn is None:
                return self._open(slot)
            if self._is_usable(conn, now - opened):
                return conn  # type: ignore[no-any-return] # playhouse has no types
            self._close(conn, close_conn=True)

    def _has_place(self) -> bool:
        """Whether one more connection may be opened; the pool is locked."""
        return len(self._in_use) + len(self._opening) < (self._max_connections or inf)

    def _open(self, slot: ThreadSlot) -> PooledConnection:
        """Open a connection on the place that is reserved for it."""
        while True:
            generation, opened = self._generation, time()
            conn = self._new_connection()
            with self._pool_lock:
                if generation == self._generation:
                    slot.hold(conn)
                    self._in_use[id(conn)] = PoolConnection(opened, conn, opened)
                    self._opening.discard(slot)
                    return conn
            self._close_raw(conn)  # the address has changed meanwhile

    def _new_connection(self) -> PooledConnection:
        with peewee_errors:
            conn: PooledConnection = super(PooledDatabase, self)._connect()
        self._set_server_version(conn)
        return conn

    def _is_usable(self, conn: PooledConnection, age_seconds: float) -> bool:
        """Whether an idle connection is alive, not too old, and was not idle for too long.

        After a long idleness, a firewall may have dropped the connection without a sign of it.
        """
        return (
            age_seconds <= (self._stale_timeout or inf)
            and monotonic() - conn.idle_since <= self.max_idle_seconds
            and not conn.has_ended()
        )

    def _wait_for_turn(self, slot: ThreadSlot) -> PooledConnection:
        """Wait for a connection; the thread that has waited longest takes the next one.

        In Peewee's pool a thread that returns a connection can take it again before a waiting one,
        which fails after its timeout: tests/test_pool_threads.py shows it.
        """
        timeout = self._wait_timeout or 0
        deadline = monotonic() + timeout
        turn = Event()
        try:
            self._waiting.append(turn)
            while self._waiting[0] is not turn or not (conn := self._take(slot)):
                if monotonic() >= deadline:
                    raise PoolTimeoutError(
                        f"all {self._max_connections} connections were in use for {timeout} s",
                        "return each one sooner; or raise DB_POOL_MAX_CONNECTIONS, or "
                        "DB_POOL_WAIT_TIMEOUT.",
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
        if self._waiting:
            self._wake_first()

    def _free(self, slot: ThreadSlot) -> None:
        """Free the place that a slot occupies."""
        slot.discard()
        if slot in self._opening:
            self._opening.discard(slot)
            self._wake_first()

    def _reset_after_fork(self) -> None:
        """Start empty: the parent has the connections, and its threads may have held the locks."""
        self._lock = Lock()
        self._pool_lock = RLock()
        self._pool_available = Condition(self._pool_lock)
        self._waiting.clear()
        self._opening.clear()
        self.dispose()
