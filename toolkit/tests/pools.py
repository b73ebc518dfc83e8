"""Pools of two connections, and the ways in which tests look at them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier

from dbfoundation.runtime.pool import Pool
from tests.support import PROJECT, execute, until

TWO = 2


@contextmanager
def small_pool(settings, **changes):
    """A pool of two connections that waits for one second; closed at the end."""
    small = {"pool_max_connections": TWO, "pool_wait_seconds": 1}
    pool = Pool(PROJECT / ".env")
    pool.configure(replace(settings, **small | changes))
    try:
        yield pool
    finally:
        pool.close_all()


def backend(pool) -> int:
    """The server process of this thread's connection."""
    return pool.execute_sql("SELECT pg_backend_pid()").fetchone()[0]


def take_one(pool) -> int:
    """Take a connection and return it; returns its server process."""
    with pool.connection_context():
        return backend(pool)


def take_all(pool, places: int = TWO) -> set[int]:
    """Take every connection at once; raises PoolTimeoutError if a place is lost."""
    taken = Barrier(places)

    def take(_):
        with pool.connection_context():
            pid = backend(pool)
            taken.wait(10)
            return pid

    with ThreadPoolExecutor(places) as threads:
        return set(threads.map(take, range(places)))


def await_end(settings, *pids: int) -> None:
    """Wait until the server processes have ended."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
    until(lambda: execute(settings, query, list(pids)) == [(0,)])


def terminate(settings, pid: int) -> None:
    """End a server process, as a restart or an administrator does."""
    execute(settings, "SELECT pg_terminate_backend(%s)", pid)
    await_end(settings, pid)
