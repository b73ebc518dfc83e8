"""The connections of the tests that commit, kept from one test to the next.

A new connection would take more than half of the time of such a test. To the next test, a kept one
is as new: DISCARD ALL resets its session. One that is in a transaction or in use is closed.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psycopg2

from dbfoundation.runtime.pooled_connection import PooledConnection


class KeptConnection(PooledConnection):
    """A connection that `keeper` has after the pool has closed it."""

    __slots__ = ("keeper",)

    def __init__(self, keeper: list[KeptConnection], *arguments: Any) -> None:  # noqa: ANN401 # psycopg2's
        super().__init__(*arguments)
        self.keeper = keeper

    def close(self) -> None:
        is_returned = self.slot_id is None  # otherwise a thread may still use it
        if is_returned and self.is_reusable():
            with suppress(psycopg2.Error), self.cursor() as cursor:
                cursor.execute("DISCARD ALL")
                self.prepared.clear()
                self.notifies.clear()
                self.keeper.append(self)
                return
        self.disconnect()

    def disconnect(self) -> None:
        super().close()


class KeptConnections:
    """The kept connections: `open` is the connection factory of the tests that commit."""

    def __init__(self) -> None:
        self.kept: list[KeptConnection] = []

    def open(self, *arguments: Any) -> KeptConnection:  # noqa: ANN401 # psycopg2's
        while self.kept:
            connection = self.kept.pop()
            if not connection.has_ended():
                return connection
        return KeptConnection(self.kept, *arguments)

    def close(self) -> None:
        for connection in self.kept:
            connection.disconnect()
