"""What it costs to add rows to the audit trail, by each way there is.

Each way gets an open connection, and its rows ready-made in the form that its caller has them in:
details are a dict, which is made JSON within the time. psql, the limit, gets a file of text, and
starts and connects within its time, for it cannot do otherwise.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from psycopg2.extras import Json, execute_values

from benchmarks.programs import output_of
from benchmarks.results import OURS, BenchError, Figure, Results, Target, in_turn
from models import AuditLog
from models.audit_log import COPY
from models.base import database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.audit_entry import Entry
    from toolkit.settings import Settings

QUANTITY = "audit rows a second"
MANY = "many"
BATCH = 1000
VALUES = """
INSERT INTO audit_log (action, entity_type, entity_id, user_id, details) VALUES %s
"""
LIMIT = r"psql \copy"
TARGETS = [Target(Figure(QUANTITY, MANY), Figure(QUANTITY, MANY, LIMIT), 0.5, at_least=True)]


@dataclass(frozen=True)
class Way:
    """How so many rows are made ready, and how they are then added."""

    prepare: Callable[[int], Any]
    add: Callable[[Any], object]


class Rows:
    """The ways to add rows to the table."""

    def __init__(self, folder: Path, settings: Settings, programs: Path, results: Results) -> None:
        self.settings = settings
        self.programs = programs
        self.results = results
        self.file = folder / "rows.tsv"
        self.one_by_one = {OURS: Way(entries, record), "create": Way(columns, create)}
        self.many = {
            OURS: Way(entries, AuditLog.record_many),
            "insert_many": Way(columns, insert_many),
            "execute_values": Way(values, through_execute_values),
            LIMIT: Way(self._write, self._psql_copy),
        }

    def round(self, number: int, count: int, report: Callable[[str], None]) -> None:
        """Add so many rows in each way, and a fiftieth of that one by one."""
        for case, ways, rows in (
            ("one by one", self.one_by_one, count // 50),
            (MANY, self.many, count),
        ):
            for tool, way in in_turn(list(ways.items()), number):
                what = f"audit rows {case}, {tool}"
                report(what)
                self.results.add(QUANTITY, case, tool, rows / _seconds(what, way, rows))

    def _write(self, count: int) -> Path:
        with self.file.open("w") as file:
            for action, *ids, details in map(_row, range(count)):
                file.write("\t".join((action, *ids, json.dumps(details))) + "\n")
        return self.file

    def _psql_copy(self, file: Path) -> None:
        url = self.settings.url
        command = rf"\{COPY.replace('STDIN', repr(str(file)))}"
        output_of(
            LIMIT,
            [self.programs / "psql", "-qX", url.render(with_password=False), "-c", command],
            env=os.environ | {"PGPASSWORD": url.password},
        )


def _seconds(what: str, way: Way, count: int) -> float:
    rows = way.prepare(count)
    with database.connection_context():
        database.execute_sql("TRUNCATE audit_log")
        started = perf_counter()
        way.add(rows)
        seconds = perf_counter() - started
        if (found := AuditLog.select().count()) != count:
            raise BenchError(f"{what}: {found} came, not {count}")
    return seconds


def _row(n: int) -> tuple[str, str, str, str, dict[str, Any]]:
    details = {"ip": "192.0.2.1", "path": f"/items/{n}", "n": n}
    return "item.view", "item", f"{n % 1000}", f"{n % 100}", details


def entries(count: int) -> list[Entry]:
    return [
        {"action": action, "entity": (kind, key), "user_id": user, "details": details}
        for action, kind, key, user, details in map(_row, range(count))
    ]


def columns(count: int) -> list[dict[str, Any]]:
    names = ("action", "entity_type", "entity_id", "user_id", "details")
    return [dict(zip(names, _row(n), strict=True)) for n in range(count)]


def values(count: int) -> list[tuple[object, ...]]:
    return [(*ids, Json(details)) for *ids, details in map(_row, range(count))]


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


def through_execute_values(rows: list[tuple[object, ...]]) -> None:
    with database.atomic():
        execute_values(database.cursor(), VALUES, rows, page_size=BATCH)
