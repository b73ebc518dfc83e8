"""What a session's get, set and touch cost, and a bare check-out, with 1 and 8 clients."""

from __future__ import annotations

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from threading import Barrier, local
from time import perf_counter
from typing import TYPE_CHECKING, Any

import psycopg2
from peewee import fn
from playhouse.pool import PooledPostgresqlDatabase
from psycopg2.extras import Json
from psycopg2.pool import ThreadedConnectionPool

from benchmarks import peers
from benchmarks.programs import output_of
from benchmarks.results import OURS, BenchError, Figure, Results, Target, in_turn
from models import Session, SessionStore
from models.base import database
from models.session import DAY_SECONDS, GET, SET, TOUCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from psycopg2.extensions import connection

    from toolkit.settings import Settings

    Operations = dict[str, Callable[[str], object]]  # by case; each takes a session's id
    Way = Callable[[str, int, float], "Sample"]  # of a case, so many clients, and seconds

QUANTITY = "operations a second"
CHECK_OUT = "check-out, SELECT 1"
CASES = ("get", "set", "touch", CHECK_OUT)
CLIENTS = (1, 8)
POOL_SIZE = 10
SESSIONS = 1000
DATA = {"cookie": {"originalMaxAge": 86_400_000, "path": "/"}, "user": 42, "cart": [1, 2, 3]}
RETURNED = {"get": DATA, CHECK_OUT: (1,)}
STOCK = "stock pool"
THREADED = "ThreadedConnectionPool"
KEPT_OPEN = "psycopg2, kept open"
NODE = "connect-pg-simple"
PGBENCH = "pgbench"
TARGETS = [
    *(
        Target(Figure(QUANTITY, case), Figure(QUANTITY, case, NODE), 1, at_least=True)
        for case in ("get, 8 clients", "set, 8 clients", "touch, 8 clients")
    ),
    Target(
        Figure(QUANTITY, f"{CHECK_OUT}, 8 clients"),
        Figure(QUANTITY, f"{CHECK_OUT}, 8 clients", THREADED),
        0.9,
        at_least=True,
    ),
]
# What is done to warm up is done to other sessions, so that it is not counted.
FILL = """
INSERT INTO sessions (sid, sess, expire)
SELECT kind || '-' || n, %s, now() AT TIME ZONE 'UTC' + interval '1 hour'
FROM unnest(ARRAY['bench', 'warm']) AS kind, generate_series(0, %s) AS n
"""
WRITTEN = """
SELECT count(*) FROM sessions
WHERE starts_with(sid, 'bench') AND expire > now() AT TIME ZONE 'UTC' + interval '2 hours'
"""


@dataclass(frozen=True)
class Sample:
    """Operations a second, and how many sessions they named, at least and at most."""

    rate: float
    least: int
    most: int

    @classmethod
    def of(cls, counts: list[int], seconds: float) -> Sample:
        """What clients did who went through an equal share of the sessions each, in a circle."""
        share = SESSIONS // len(counts)
        named = sum(min(count, share) for count in counts)
        return cls(sum(counts) / seconds, named, named)


class Sessions:
    """Clients of one process each, on one table of sessions."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        programs: Path,
        installed: peers.Peers,
        results: Results,
    ) -> None:
        self.settings = settings
        self.programs = programs
        self.folder = folder
        self.results = results
        in_threads = {
            OURS: ours(),
            STOCK: stock(settings),
            THREADED: threaded(settings),
            KEPT_OPEN: kept_open(settings),
        }
        ways = {tool: threads(operations) for tool, operations in in_threads.items()}
        ways |= {NODE: self._node, PGBENCH: self._pgbench}
        self.ways = {tool: way for tool, way in ways.items() if tool in installed}

    def round(self, number: int, seconds: float, report: Callable[[str], None]) -> None:
        """Let every way work for so long at each operation, with one client and with many."""
        for case in CASES:
            for clients in CLIENTS:
                name = f"{case}, {clients} client{'s' if clients > 1 else ''}"
                report(name)
                for tool, way in in_turn(list(self.ways.items()), number):
                    self._fill()
                    try:
                        sample = way(case, clients, seconds)
                        self._check(case, sample)
                    except BenchError as error:
                        raise BenchError(f"{tool}, {name}: {error}") from error
                    self.results.add(QUANTITY, name, tool, sample.rate)

    def _fill(self) -> None:
        with database.connection_context():
            database.execute_sql("TRUNCATE sessions")
            database.execute_sql(FILL, (Json(DATA), SESSIONS - 1))

    def _check(self, case: str, sample: Sample) -> None:
        least, most = (sample.least, sample.most) if case in ("set", "touch") else (0, 0)
        with database.connection_context():
            ((written,),) = database.execute_sql(WRITTEN).fetchall()
        if not least <= written <= most:
            raise BenchError(f"{written} sessions were written, where {least} or more were named")

    def _node(self, case: str, clients: int, seconds: float) -> Sample:
        """The store that Node services have, on its pool of ten."""
        url = self.settings.url
        libpq = {
            "NODE_PATH": str(peers.NODE / "node_modules"),
            "PGHOST": url.host,
            "PGPORT": f"{url.port}",
            "PGDATABASE": url.name,
            "PGUSER": url.user,
            "PGPASSWORD": url.password,
            "PGOPTIONS": "-c TimeZone=UTC",
        }
        script = Path(__file__).with_suffix(".cjs")
        task = {
            "name": case,
            "clients": clients,
            "seconds": seconds,
            "sessions": SESSIONS,
            "data": DATA,
        }
        output = output_of("node", ["node", script, json.dumps(task)], env=os.environ | libpq)
        return Sample.of(**json.loads(output))

    def _pgbench(self, case: str, clients: int, seconds: float) -> Sample:
        """The same SQL, prepared, without a driver in Python: the limit."""
        sid = "'bench-' || :n"
        data = f"'{json.dumps(DATA)}'"
        statement = {
            "get": GET % sid,
            "set": SET % (sid, data, DAY_SECONDS),
            "touch": TOUCH % (DAY_SECONDS, sid),
            CHECK_OUT: "SELECT 1",
        }[case]
        script = self.folder / "operation.sql"
        script.write_text(f"\\set n random(0, {SESSIONS - 1})\n{' '.join(statement.split())};\n")
        # It takes whole seconds alone.
        length = ["-T", f"{seconds:.0f}"] if seconds >= 1 else ["-t", f"{SESSIONS // clients}"]
        url = self.settings.url
        command = [str(self.programs / "pgbench"), "-n", "-M", "prepared"]
        command += ["-h", url.host, "-p", f"{url.port}", "-U", url.user]
        command += [*length, "-c", f"{clients}"]
        command += ["-j", f"{min(clients, os.cpu_count() or 1)}", "-f", str(script), url.name]
        output = output_of("pgbench", command, env=os.environ | {"PGPASSWORD": url.password})
        [rate] = re.findall(r"^tps = ([0-9.]+)", output, re.MULTILINE)
        [count] = re.findall(
            r"^number of transactions actually processed: ([0-9]+)", output, re.MULTILINE
        )
        # Of so many random ids more than half differ: of a thousand among a thousand, 632.
        return Sample(float(rate), max(1, min(int(count), SESSIONS) // 2), SESSIONS)


def threads(operations: Operations) -> Way:
    """A way whose clients are threads of this process."""

    def way(case: str, clients: int, seconds: float) -> Sample:
        operation = operations[case]
        returned = operation("warm-0")
        if case in RETURNED and returned != RETURNED[case]:
            raise BenchError(f"returned {returned!r}, not {RETURNED[case]!r}")
        started = 0.0

        def start() -> None:
            nonlocal started
            started = perf_counter()

        barrier = Barrier(clients, start)

        def client(number: int) -> int:
            own = range(number, SESSIONS, clients)
            repeat(operation, [f"warm-{n}" for n in own], seconds)  # connects as well
            barrier.wait()
            return repeat(operation, [f"bench-{n}" for n in own], seconds)

        with ThreadPoolExecutor(clients) as executor:
            counts = list(executor.map(client, range(clients)))
            return Sample.of(counts, perf_counter() - started)

    return way


def repeat(operation: Callable[[str], object], sids: list[str], seconds: float) -> int:
    """Call an operation for so long, with one id after the other; returns how many times."""
    until = perf_counter() + seconds
    circle = cycle(sids)
    count = 0
    while perf_counter() < until:
        operation(next(circle))
        count += 1
    return count


def ours() -> Operations:
    store = SessionStore()

    def check_out(_: str) -> object:
        with database.connection_context():
            return database.execute_sql("SELECT 1").fetchone()

    return {
        "get": store.get,
        "set": lambda sid: store.set(sid, DATA),
        "touch": store.touch,
        CHECK_OUT: check_out,
    }


def stock(settings: Settings) -> Operations:
    """Peewee's pool, with Peewee's queries."""
    pool = PooledPostgresqlDatabase(
        settings.url.name, max_connections=POOL_SIZE, timeout=5, **settings.libpq()
    )
    live = Session.expire >= fn.timezone("UTC", fn.statement_timestamp())

    def tomorrow() -> datetime:
        return datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)

    def read(sid: str) -> object:
        found = list(Session.select(Session.sess).where(Session.sid == sid, live).execute(pool))
        return found[0].sess

    def upsert(sid: str) -> None:
        insert = Session.insert(sid=sid, sess=DATA, expire=tomorrow())
        insert.on_conflict(
            conflict_target=[Session.sid], preserve=[Session.sess, Session.expire]
        ).execute(pool)

    operations: Operations = {
        "get": read,
        "set": upsert,
        "touch": lambda sid: (
            Session.update(expire=tomorrow()).where(Session.sid == sid, live).execute(pool)
        ),
        CHECK_OUT: lambda _: pool.execute_sql("SELECT 1").fetchone(),
    }
    return {case: pool.connection_context()(operation) for case, operation in operations.items()}


def threaded(settings: Settings) -> Operations:
    """psycopg2's pool in autocommit, with our SQL."""
    pool = ThreadedConnectionPool(POOL_SIZE, POOL_SIZE, **settings.libpq())
    for each in [pool.getconn() for _ in range(POOL_SIZE)]:
        each.autocommit = True
        pool.putconn(each)

    @contextmanager
    def checked_out() -> Iterator[connection]:
        taken = pool.getconn()
        try:
            yield taken
        finally:
            pool.putconn(taken)

    return plain(checked_out)


def kept_open(settings: Settings) -> Operations:
    """psycopg2 without a pool, a connection a thread, with our SQL: no check-out at all."""
    thread = local()

    @contextmanager
    def own() -> Iterator[connection]:
        if not hasattr(thread, "connection"):
            thread.connection = psycopg2.connect(**settings.libpq())
            thread.connection.autocommit = True
        yield thread.connection

    return plain(own)


def plain(checked_out: Callable[[], AbstractContextManager[connection]]) -> Operations:
    """Our SQL through psycopg2's cursors."""

    def execute(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with checked_out() as session, session.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    return {
        "get": lambda sid: execute(GET, sid)[0][0],
        "set": lambda sid: execute(SET, sid, json.dumps(DATA), DAY_SECONDS),
        "touch": lambda sid: execute(TOUCH, DAY_SECONDS, sid),
        CHECK_OUT: lambda _: execute("SELECT 1")[0],
    }
