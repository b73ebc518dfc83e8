"""The cost of the pool's checks: that a connection is in UTC, and that a query has a context.

Each is measured beside the same pool without it, in one thread. A check-out and a return send
nothing to the server, so that their time is that of Python alone.
"""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import psycopg2

from benchmarks.results import OURS, rotate
from dbfoundation import Pool
from dbfoundation.runtime.pooled_connection import PooledConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.results import Results
    from dbfoundation.server.processes import Report
    from dbfoundation.settings import Settings

QUANTITY = "ns a call, in one thread"
NEW_CONNECTION = "new connection"
CHECK_OUT = "check-out and return"
CURSOR = "cursor of an open connection"
NO_UTC_CHECK = "without the UTC check"
AUTOCONNECT = "with autoconnect"
DRIVER = "psycopg2"
CALLS_A_CONNECTION = 200  # a new connection takes a thousand times as long as a check-out


class UncheckedConnection(PooledConnection):
    """A connection whose time zone nobody looks at."""

    def is_utc(self) -> bool:
        return True


class AutoconnectPool(Pool):
    """A pool that opens a connection for a query without a context, as Peewee does by default."""

    def connection(self) -> PooledConnection:
        if self.is_closed():
            self.connect()
        return self._state.conn  # type: ignore[no-any-return] # playhouse has no types


class Checks:
    """The pools, each with one connection."""

    def __init__(self, settings: Settings, results: Results) -> None:
        self.results = results
        ours, autoconnect = Pool(Path()), AutoconnectPool(Path())
        unchecked = Pool(Path())
        self.pools = [ours, autoconnect, unchecked]
        parameters = settings.connect_kwargs()
        ours.configure(settings)
        autoconnect.configure(settings)
        unchecked.init(
            settings.url.name, **parameters | {"connection_factory": UncheckedConnection}
        )
        for pool in self.pools:
            pool.connect()
        self.cases: dict[str, dict[str, Callable[[], object]]] = {
            NEW_CONNECTION: {
                OURS: lambda: renew(ours),
                NO_UTC_CHECK: lambda: renew(unchecked),
                DRIVER: lambda: psycopg2.connect(**parameters).close(),
            },
            CURSOR: {OURS: ours.cursor, AUTOCONNECT: autoconnect.cursor},
            CHECK_OUT: {
                OURS: lambda: check_out(ours),
                NO_UTC_CHECK: lambda: check_out(unchecked),
            },
        }

    def round(self, number: int, calls: int, report: Report) -> None:
        """Call each function, `calls` times or, for a new connection, a fraction of that."""
        for case, functions in self.cases.items():
            report(case)
            count = calls // CALLS_A_CONNECTION if case == NEW_CONNECTION else calls
            for tool, function in rotate(list(functions.items()), number):
                self.results.add(QUANTITY, case, tool, nanoseconds(function, count))

    def close(self) -> None:
        for pool in self.pools:
            pool.close_all()


def renew(pool: Pool) -> None:
    """Close the pool's connection, and open another one."""
    pool.manual_close()
    pool.connect()


def check_out(pool: Pool) -> None:
    pool.close()
    pool.connect()


def nanoseconds(function: Callable[[], object], count: int) -> float:
    """The time of a call, after one to warm up."""
    function()
    started = perf_counter()
    for _ in range(count):
        function()
    return (perf_counter() - started) / count * 1e9
