"""The speed of adding rows to the audit trail, with each API.

Each API gets an open connection, and its rows in the form that a caller has: `details` is a dict,
which is serialized within the measured time. psql, the limit, gets a file in COPY's text format;
its start and its connection count, because psql cannot run without them.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from psycopg2.extras import Json, execute_values

from benchmarks.programs import output_of
from benchmarks.results import OURS, BenchError, Figure, Results, Target, rotate
from models import AuditLog, database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dbfoundation.runtime.audit_entry import Entry
    from dbfoundation.server.processes import Report
    from dbfoundation.settings import Settings

QUANTITY = "audit rows a second"
MANY = "many"
BATCH = 1000
COLUMNS = ("action", "entity_type", "entity_id", "user_id", "details")
INSERT = f"INSERT INTO audit_log ({', '.join(COLUMNS)}) VALUES %s"  # noqa: S608 # the columns are constants
LIMIT = r"psql \copy"
TARGETS = [Target(Figure(QUANTITY, MANY), Figure(QUANTITY, MANY, LIMIT), 0.5, at_least=True)]


@dataclass(frozen=True)
class Inserter:
    """Two functions: `prepare` makes a number of rows, and `insert` adds them."""

    prepare: Callable[[int], Any]
    insert: Callable[[Any], object]


class Rows:
    """The inserters of the table audit_log, by the names of their columns in the report."""

    def __init__(self, folder: Path, settings: Settings, programs: Path, results: Results) -> None:
        self.settings = settings
        self.programs = programs
        self.results = results
        self.file = folder / "rows.tsv"
        self.one_by_one = {OURS: Inserter(entries, record), "create": Inserter(dicts, create)}
        self.many = {
            OURS: Inserter(entries, AuditLog.record_many),
            "insert_many": Inserter(dicts, insert_many),
            "execute_values": Inserter(tuples, insert_with_execute_values),
            LIMIT: Inserter(self._write, self._psql_copy),
        }

    def round(self, number: int, count: int, report: Report) -> None:
        """Add `count` rows with each API, and a fiftieth of them one by one."""
        for case, inserters, rows in (
            ("one by one", self.one_by_one, count // 50),
            (MANY, self.many, count),
        ):
            for tool, inserter in rotate(list(inserters.items()), number):
                name = f"audit rows {case}, {tool}"
                report(name)
                self.results.add(QUANTITY, case, tool, rows / _measure(name, inserter, rows))

    def _write(self, count: int) -> Path:
        with self.file.open("w") as file:
            for *texts, details in map(_row, range(count)):
                file.write("\t".join((*texts, json.dumps(details))) + "\n")
        return self.file

    def _psql_copy(self, file: Path) -> None:
        url = self.settings.url
        command = rf"\COPY audit_log ({', '.join(COLUMNS)}) FROM {str(file)!r}"
        output_of(
            LIMIT,
            [self.programs / "psql", "-qX", url.render(with_password=False), "-c", command],
            env=os.environ | {"PGPASSWORD": url.password},
        )


def _measure(name: str, inserter: Inserter, count: int) -> float:
    """Add rows to the empty table; returns the seconds."""
    rows = inserter.prepare(count)
    with database.connection_context():
        database.execute_sql("TRUNCATE audit_log")
        started = perf_counter()
        inserter.insert(rows)
        seconds = perf_counter() - started
        if (added := AuditLog.select().count()) != count:
            raise BenchError(f"{name}: the table has {added} rows instead of {count}")
    return seconds


def _row(n: int) -> tuple[str, str, str, str, dict[str, Any]]:
    """The values of a row, in the order of COLUMNS."""
    details = {"ip": "192.0.2.1", "path": f"/items/{n}", "n": n}
    return "item.view", "item", f"{n % 1000}", f"{n % 100}", details


def entries(count: int) -> list[Entry]:
    return [
        {"action": action, "entity": (kind, key), "user_id": user, "details": details}
        for action, kind, key, user, details in map(_row, range(count))
    ]


def dicts(count: int) -> list[dict[str, Any]]:
    return [dict(zip(COLUMNS, _row(n), strict=True)) for n in range(count)]


def tuples(count: int) -> list[tuple[object, ...]]:
    return [(*texts, Json(details)) for *texts, details in map(_row, range(count))]


def record(rows: list[Entry]) -> None:
    for row in rows:
        AuditLog.record(**row)


def create(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        AuditLog.create(**row)


def insert_many(rows: list[dict[str, Any]]) -> None:
    with database.atomic():
        for first in range(0, len(rows), BATCH):
            AuditLog.insert_many(rows[first : first + BATCH]).execute()


def insert_with_execute_values(rows: list[tuple[object, ...]]) -> None:
    with database.atomic():
        execute_values(database.cursor(), INSERT, rows, page_size=BATCH)
