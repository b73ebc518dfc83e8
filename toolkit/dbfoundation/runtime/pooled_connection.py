"""A connection of the pool, and the slot by which a thread has it."""

from __future__ import annotations

import os
from ctypes import PyDLL, Structure, byref, c_int, c_short
from select import POLLIN
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from dbfoundation.errors import ConnectionContextError
from dbfoundation.runtime.coroutines import current_task
from dbfoundation.runtime.time_zone import UTCConnection

if TYPE_CHECKING:
    from dbfoundation.runtime.prepared import Prepared
    from dbfoundation.runtime.queued_pool import QueuedPool

# A PyDLL keeps Python's lock during the call, which does not wait. select.poll() releases it: among
# eight busy threads, each release costs a check-out a turn.
poll = PyDLL(None).poll


class PollFD(Structure):
    """The struct of poll(2)."""

    _fields_ = (("fd", c_int), ("events", c_short), ("revents", c_short))


class PooledConnection(UTCConnection):
    """A connection, its slot, the time of its last return, and the statements prepared on it."""

    __slots__ = ("idle_since", "poll_fd", "prepared", "process", "read_only", "slot_id")

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 # psycopg2's
        super().__init__(*args)
        self.prepared: dict[Prepared, bool] = {}  # False for a statement that runs as plain SQL
        self.process = os.getpid()
        self.slot_id: int | None = None  # None while the connection is idle
        self.idle_since = monotonic()
        self.poll_fd = byref(PollFD(self.fileno(), POLLIN))
        self.read_only = self.get_parameter_status("default_transaction_read_only")

    def is_switched(self) -> bool:
        """Whether the session has become read-only, or writable, since the connection began.

        PostgreSQL 14 and later report that with the answer to a statement.
        """
        return self.get_parameter_status("default_transaction_read_only") != self.read_only

    def is_reusable(self) -> bool:
        """Whether the next thread finds the connection as a new one.

        Sends nothing: a connection in a transaction is not rolled back, which could wait for a
        silent server, but closed.
        """
        return (
            self.autocommit
            and self.get_transaction_status() == TRANSACTION_STATUS_IDLE
            and self.is_utc()
            and not self.is_switched()
        )

    def has_ended(self) -> bool:
        """Whether the server has closed this idle connection.

        Reads the messages that have arrived, and waits for nothing.
        """
        notices: list[str] = []
        self.notices = notices  # the next block has its own
        if not self.closed and not poll(self.poll_fd, 1, 0):
            return False
        count = -1
        try:
            while count != len(self.notifies):  # notifications may precede the server's farewell
                count = len(self.notifies)
                self.poll()
        except psycopg2.Error:
            return True
        return bool(notices)


class ThreadSlot:
    """A thread-local value that closes the connection of a thread which ends without returning it.

    Otherwise each such thread would occupy a place in the pool for ever, with the locks of an open
    transaction: tests/test_pool_threads.py shows it.
    """

    __slots__ = ("conn", "pool", "task")

    def __init__(self, pool: QueuedPool) -> None:
        self.pool = pool
        self.conn: PooledConnection | None = None
        self.task: Any = None  # the coroutine's task that uses the connection

    def hold(self, conn: PooledConnection) -> None:
        self.conn = conn
        conn.slot_id = id(self)

    def check_task(self) -> None:
        """Raise ConnectionContextError where the connection is that of another coroutine.

        It belongs to the task that opened the context, or that first uses it, until that has ended.
        """
        task = current_task()
        if task is self.task:
            return
        if self.task and not self.task.done():
            raise ConnectionContextError(
                "two coroutines use the connection of their thread at once",
                "put the database's work into a function with a connection_context() of its own, "
                "and await asyncio.to_thread() of it.",
            )
        self.task = task

    def discard(self) -> None:
        """Close the connection, unless it has been returned."""
        conn = self.conn
        # A forked process has copies of its parent's slots, whose connections are in use there.
        if conn and conn.slot_id == id(self) and conn.process == os.getpid():
            self.pool._close(conn, close_conn=True)  # noqa: SLF001 # a part of the pool

    __del__ = discard
