"""The speed of a session's get, set and touch, and of a bare check-out, with 1 and 8 clients."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg2.extras import Json

from benchmarks import peers, pools
from benchmarks.load import CASES, CHECK_OUT, DATA, SESSIONS, Sample, in_threads
from benchmarks.programs import output_of
from benchmarks.results import OURS, BenchError, Figure, Results, Target, rotate
from dbfoundation.runtime.sessions import DAY_SECONDS
from models import database

if TYPE_CHECKING:
    from dbfoundation.server.processes import Report
    from dbfoundation.settings import Settings

QUANTITY = "operations a second"
CLIENTS = (1, 8)
STOCK = "stock pool"
THREADED = "ThreadedConnectionPool"
CHECKED = "ThreadedConnectionPool, checked"
KEPT_OPEN = "psycopg2, kept open"
NODE = peers.NODE_STORE
PGBENCH = "pgbench"
TARGETS = [
    *(
        Target(Figure(QUANTITY, case), Figure(QUANTITY, case, NODE), 1.2, at_least=True)
        for case in ("get, 8 clients", "set, 8 clients", "touch, 8 clients")
    ),
    Target(
        Figure(QUANTITY, f"{CHECK_OUT}, 8 clients"),
        Figure(QUANTITY, f"{CHECK_OUT}, 8 clients", THREADED),
        1,
        at_least=True,
    ),
]
# The clients warm up on other sessions, whose writes COUNT_WRITTEN leaves out.
FILL = """
INSERT INTO sessions (sid, sess, expire)
SELECT kind || '-' || n, %s, now() AT TIME ZONE 'UTC' + interval '1 hour'
FROM unnest(ARRAY['bench', 'warm']) AS kind, generate_series(0, %s) AS n
"""
COUNT_WRITTEN = """
SELECT count(*) FROM sessions
WHERE starts_with(sid, 'bench') AND expire > now() AT TIME ZONE 'UTC' + interval '2 hours'
"""


class Sessions:
    """The load of each tool, on one table of sessions; the clients are in one process."""

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
        operations = {
            OURS: pools.ours(),
            STOCK: pools.stock(settings),
            THREADED: pools.threaded(settings),
            CHECKED: pools.checked(settings),
            KEPT_OPEN: pools.kept_open(settings),
        }
        loads = {tool: in_threads(own) for tool, own in operations.items()}
        loads |= {NODE: self._node, PGBENCH: self._pgbench}
        self.loads = {tool: load for tool, load in loads.items() if tool in installed}

    def round(self, number: int, seconds: float, report: Report) -> None:
        """Run each case with each number of clients, in each tool for some seconds."""
        for case in CASES:
            for clients in CLIENTS:
                name = f"{case}, {clients} client{'s' if clients > 1 else ''}"
                report(name)
                for tool, load in rotate(list(self.loads.items()), number):
                    self._fill()
                    try:
                        sample = load(case, clients, seconds)
                        self._check(case, sample)
                    except BenchError as error:
                        raise BenchError(f"{tool}, {name}: {error}") from error
                    self.results.add(QUANTITY, name, tool, sample.rate)

    def _fill(self) -> None:
        with database.connection_context():
            database.execute_sql("TRUNCATE sessions")
            database.execute_sql(FILL, (Json(DATA), SESSIONS - 1))

    def _check(self, case: str, sample: Sample) -> None:
        """Raise BenchError unless the load has written the sessions that it reports."""
        least, most = (sample.least, sample.most) if case in ("set", "touch") else (0, 0)
        with database.connection_context():
            ((written,),) = database.execute_sql(COUNT_WRITTEN).fetchall()
        if not least <= written <= most:
            raise BenchError(f"{written} sessions were written instead of {least} to {most}")

    def _node(self, case: str, clients: int, seconds: float) -> Sample:
        """The session store of Node services, on its own pool of connections."""
        url = self.settings.url
        environment = {
            "NODE_PATH": str(peers.NODE / "node_modules"),
            "PGHOST": url.host,
            "PGPORT": f"{url.port}",
            "PGDATABASE": url.name,
            "PGUSER": url.user,
            "PGPASSWORD": url.password,
            "PGOPTIONS": "-c TimeZone=UTC",
        }
        script = Path(__file__).with_suffix(".cjs")
        load = {
            "name": case,
            "clients": clients,
            "seconds": seconds,
            "sessions": SESSIONS,
            "data": DATA,
            "connections": pools.SIZE,
        }
        output = output_of("node", ["node", script, json.dumps(load)], env=os.environ | environment)
        return Sample.of(**json.loads(output))

    def _pgbench(self, case: str, clients: int, seconds: float) -> Sample:
        """The limit: the same SQL, prepared, without Python."""
        script = self.folder / "operation.sql"
        script.write_text(_pgbench_script(case))
        # -T takes whole seconds only.
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
        # More than half of the random ids are different: a thousand draws of a thousand give 632.
        return Sample(float(rate), max(1, min(int(count), SESSIONS) // 2), SESSIONS)


def _pgbench_script(case: str) -> str:
    """A random session's id, and the statement of a case."""
    sid, data = "'bench-' || :n", f"'{json.dumps(DATA)}'"
    statement = {
        "get": pools.STATEMENTS.get % sid,
        "set": pools.STATEMENTS.set % (sid, data, DAY_SECONDS),
        "touch": pools.STATEMENTS.touch % (DAY_SECONDS, sid),
        CHECK_OUT: "SELECT 1",
    }[case]
    return f"\\set n random(0, {SESSIONS - 1})\n{' '.join(statement.split())};\n"
