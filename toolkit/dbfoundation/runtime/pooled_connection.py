"""A connection of the pool, and the slot by which a thread has it."""

from __future__ import annotations

import os
from time import monotonic
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import extensions

if TYPE_CHECKING:
    from dbfoundation.runtime.pool import Pool
    from dbfoundation.runtime.prepared import Prepared


class PooledConnection(extensions.connection):
    """A connection, its slot, the time of its last return, and the statements prepared on it."""

    __slots__ = ("idle_since", "prepared", "process", "read_only", "slot_id")

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 # psycopg2's
        super().__init__(*args)
        self.prepared: dict[Prepared, bool] = {}  # False for a statement that runs as plain SQL
        self.process = os.getpid()
        self.slot_id: int | None = None  # None while the connection is idle
        self.idle_since = monotonic()
        self.read_only = self.get_parameter_status("default_transaction_read_only")

    def is_switched(self) -> bool:
        """Whether the session has become read-only, or writable, since the connection began.

        PostgreSQL 14 and later report that with the answer to a statement.
        """
        return self.get_parameter_status("default_transaction_read_only") != self.read_only

    def has_ended(self) -> bool:
        """Whether the server has closed this idle connection.

        Reads the messages that have arrived, and waits for nothing.
        """
        notices: list[str] = []
        self.notices = notices
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

    __slots__ = ("conn", "pool")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.conn: PooledConnection | None = None

    def hold(self, conn: PooledConnection) -> None:
        self.conn = conn
        conn.slot_id = id(self)

    def discard(self) -> None:
        """Close the connection, unless it has been returned."""
        conn = self.conn
        # A forked process has copies of its parent's slots, whose connections are in use there.
        if conn and conn.slot_id == id(self) and conn.process == os.getpid():
            self.pool._close(conn, close_conn=True)  # noqa: SLF001 # a part of the pool

    __del__ = discard
