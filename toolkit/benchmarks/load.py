"""Clients that repeat one operation on sessions, and the sample that they return."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from threading import Barrier
from time import perf_counter

from benchmarks.results import BenchError

SESSIONS = 1000
CHECK_OUT = "check-out, SELECT 1"
CASES = ("get", "set", "touch", CHECK_OUT)
DATA = {"cookie": {"originalMaxAge": 86_400_000, "path": "/"}, "user": 42, "cart": [1, 2, 3]}
RETURNED = {"get": DATA, CHECK_OUT: (1,)}


@dataclass(frozen=True)
class Sample:
    """Operations a second, and the number of different sessions: at least and at most."""

    rate: float
    least: int
    most: int

    @classmethod
    def of(cls, counts: list[int], seconds: float) -> Sample:
        """The sample of clients that each repeat an equal share of the sessions in a circle."""
        share = SESSIONS // len(counts)
        sessions = sum(min(count, share) for count in counts)
        return cls(sum(counts) / seconds, sessions, sessions)


Operations = dict[str, Callable[[str], object]]  # by case; each takes a session's id
Load = Callable[[str, int, float], Sample]  # takes a case, the number of clients, and seconds


def in_threads(operations: Operations) -> Load:
    """A load whose clients are threads of this process."""

    def load(case: str, clients: int, seconds: float) -> Sample:
        operation = operations[case]
        returned = operation("warm-0")
        if case in RETURNED and returned != RETURNED[case]:
            raise BenchError(f"returned {returned!r} instead of {RETURNED[case]!r}")
        started = 0.0

        def start() -> None:
            nonlocal started
            started = perf_counter()

        barrier = Barrier(clients, start)

        def client(number: int) -> int:
            share = range(number, SESSIONS, clients)
            repeat(operation, [f"warm-{n}" for n in share], seconds)  # opens the connection, too
            barrier.wait()
            return repeat(operation, [f"bench-{n}" for n in share], seconds)

        with ThreadPoolExecutor(clients) as executor:
            counts = list(executor.map(client, range(clients)))
            return Sample.of(counts, perf_counter() - started)

    return load


def repeat(operation: Callable[[str], object], sids: list[str], seconds: float) -> int:
    """Call an operation for some seconds, with one id after the other; returns the count."""
    until = perf_counter() + seconds
    circle = cycle(sids)
    count = 0
    while perf_counter() < until:
        operation(next(circle))
        count += 1
    return count
