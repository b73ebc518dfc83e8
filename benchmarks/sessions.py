"""What a session's get, set and touch cost, and a bare check-out, with 1 and 8 clients."""

from __future__ import annotations

import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, local
from time import perf_counter
from typing import TYPE_CHECKING, Any

import psycopg2
from peewee import fn
from playhouse.pool import PooledPostgresqlDatabase
from psycopg2.extras import Json
from psycopg2.pool import ThreadedConnectionPool

from benchmarks import peers as peer_folders
from benchmarks.results import OURS, BenchError, Figure, Results, Target
from models import Session, SessionStore
from models.base import database
from models.session import DAY_SECONDS, GET, SET, TOUCH
from toolkit.process import last_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from psycopg2.extensions import connection

    from benchmarks.peers import Peers
    from toolkit.settings import Settings

    Operations = dict[str, Callable[[str], object]]  # by case; each takes a session's id
    Way = Callable[[str, int, int], float]  # case, clients, operations to operations a second

QUANTITY = "operations a second"
CHECK_OUT = "check-out, SELECT 1"
CASES = ("get", "set", "touch", CHECK_OUT)
CLIENTS = (1, 8)
POOL_SIZE = 10
SESSIONS = 1000
DATA = {"cookie": {"originalMaxAge": 86_400_000, "path": "/"}, "user": 42, "cart": [1, 2, 3]}
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
FILL = """
INSERT INTO sessions (sid, sess, expire)
SELECT 'bench-' || n, %s, now() AT TIME ZONE 'UTC' + interval '1 hour'
FROM generate_series(0, %s) AS n
"""
WRITTEN = """
SELECT count(*) FROM sessions WHERE expire > now() AT TIME ZONE 'UTC' + interval '2 hours'
"""


class Sessions:
    """Clients of one process each, on one table of sessions."""

    def __init__(
        self, folder: Path, settings: Settings, programs: Path, peers: Peers, results: Results
    ) -> None:
        self.settings = settings
        self.programs = programs
        self.folder = folder
        self.results = results
        ways = {
            OURS: threads(ours()),
            STOCK: threads(stock(settings)),
            THREADED: threads(threaded(settings)),
            KEPT_OPEN: threads(kept_open(settings)),
            NODE: self._node,
            PGBENCH: self._pgbench,
        }
        self.ways = {tool: way for tool, way in ways.items() if tool in peers}

    def round(self, operations: int, report: Callable[[str], None]) -> None:
        for case in CASES:
            for clients in CLIENTS:
                report(f"{case}, {clients} clients")
                for tool, way in self.ways.items():
                    name = f"{case}, {clients} client{'s' if clients > 1 else ''}"
                    self._fill()
                    self.results.add(QUANTITY, name, tool, way(case, clients, operations))
                    self._check(case, tool)

    def _fill(self) -> None:
        with database.connection_context():
            database.execute_sql("TRUNCATE sessions")
            database.execute_sql(FILL, (Json(DATA), SESSIONS - 1))

    def _check(self, case: str, tool: str) -> None:
        with database.connection_context():
            ((written,),) = database.execute_sql(WRITTEN).fetchall()
        if bool(written) is not (case in ("set", "touch")):
            raise BenchError(f"{case}, {tool}: {written} sessions were written")

    def _node(self, case: str, clients: int, operations: int) -> float:
        """Operations a second of the store that Node services have, on its pool of ten."""
        url = self.settings.url
        libpq = {
            "NODE_PATH": str(peer_folders.NODE / "node_modules"),
            "PGHOST": url.host,
            "PGPORT": f"{url.port}",
            "PGDATABASE": url.name,
            "PGUSER": url.user,
            "PGPASSWORD": url.password,
            "PGOPTIONS": "-c TimeZone=UTC",
        }
        script = Path(__file__).with_suffix(".cjs")
        words = [case, clients, operations // clients, SESSIONS, json.dumps(DATA)]
        return float(self._output(["node", str(script), *map(str, words)], libpq))

    def _pgbench(self, case: str, clients: int, operations: int) -> float:
        """Operations a second of the same SQL without a driver in Python: the limit."""
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
        url = self.settings.url
        command = [str(self.programs / "pgbench"), "-n", "-h", url.host, "-p", f"{url.port}"]
        command += [
            "-U",
            url.user,
            "-c",
            f"{clients}",
            "-j",
            f"{min(clients, os.cpu_count() or 1)}",
        ]
        command += ["-t", f"{operations // clients}", "-f", str(script), url.name]
        output = self._output(command, {"PGPASSWORD": url.password})
        [tps] = re.findall(r"^tps = ([0-9.]+)", output, re.MULTILINE)
        return float(tps)

    def _output(self, command: list[str], own: dict[str, str]) -> str:
        done = subprocess.run(
            command, env=os.environ | own, check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise BenchError(f"{Path(command[0]).name}: {last_lines(done.stderr)}")
        return done.stdout


def threads(operations: Operations) -> Way:
    """Operations a second that threads of this process reach together."""

    def way(case: str, clients: int, count: int) -> float:
        operation = operations[case]
        barrier = Barrier(clients + 1)

        def client(number: int) -> None:
            operation("bench-0")  # connects
            barrier.wait()
            for n in range(count // clients):
                operation(f"bench-{(n * clients + number) % SESSIONS}")

        with ThreadPoolExecutor(clients) as executor:
            running = [executor.submit(client, number) for number in range(clients)]
            barrier.wait()
            started = perf_counter()
            for future in running:
                future.result()
            return count / (perf_counter() - started)

    return way


def ours() -> Operations:
    store = SessionStore()

    def check_out(_: str) -> None:
        with database.connection_context():
            database.execute_sql("SELECT 1").fetchone()

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

    def upsert(sid: str) -> None:
        insert = Session.insert(sid=sid, sess=DATA, expire=tomorrow())
        insert.on_conflict(
            conflict_target=[Session.sid], preserve=[Session.sess, Session.expire]
        ).execute(pool)

    operations: Operations = {
        "get": lambda sid: list(
            Session.select(Session.sess).where(Session.sid == sid, live).execute(pool)
        ),
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
        "get": lambda sid: execute(GET, sid),
        "set": lambda sid: execute(SET, sid, json.dumps(DATA), DAY_SECONDS),
        "touch": lambda sid: execute(TOUCH, DAY_SECONDS, sid),
        CHECK_OUT: lambda _: execute("SELECT 1"),
    }
