"""What it costs to add rows to the audit trail, by each way there is."""

from __future__ import annotations

import json
import os
import subprocess
from contextlib import closing
from time import perf_counter
from typing import TYPE_CHECKING

import psycopg2
from psycopg2.extras import execute_values

from benchmarks.results import OURS, BenchError, Figure, Results, Target
from models import AuditLog
from models.audit_log import COPY
from models.base import database

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from models.audit_entry import Entry
    from toolkit.settings import Settings

    Ways = dict[str, Callable[[int], object]]  # by tool; each adds so many rows

QUANTITY = "audit rows a second"
MANY = "many"
BATCH = 1000
VALUES = """
INSERT INTO audit_log (action, entity_type, entity_id, user_id, details) VALUES %s
"""
COLUMNS = ("action", "entity_type", "entity_id", "user_id", "details")
LIMIT = r"psql \copy"
TARGETS = [Target(Figure(QUANTITY, MANY), Figure(QUANTITY, MANY, LIMIT), 0.5, at_least=True)]


class Rows:
    """The ways to add rows to the table."""

    def __init__(self, folder: Path, settings: Settings, programs: Path, results: Results) -> None:
        self.settings = settings
        self.programs = programs
        self.results = results
        self.file = folder / "rows.tsv"

    def round(self, count: int, report: Callable[[str], None]) -> None:
        """Add so many rows in each way, and a fiftieth of that one by one."""
        with self.file.open("w") as file:
            file.writelines("\t".join(_row(n)) + "\n" for n in range(count))
        one_by_one: Ways = {
            OURS: lambda count: [AuditLog.record(**_entry(n)) for n in range(count)],
            "create": self._create,
        }
        many: Ways = {
            OURS: lambda count: AuditLog.record_many(map(_entry, range(count))),
            "insert_many": self._insert_many,
            "execute_values": self._execute_values,
            LIMIT: self._psql_copy,
        }
        for case, ways, rows in (("one by one", one_by_one, count // 50), (MANY, many, count)):
            for tool, way in ways.items():
                report(f"audit rows {case}, {tool}")
                self.results.add(QUANTITY, case, tool, rows / self._seconds(way, rows))

    def _seconds(self, way: Callable[[int], object], count: int) -> float:
        with database.connection_context():
            database.execute_sql("TRUNCATE audit_log")
            started = perf_counter()
            way(count)
            seconds = perf_counter() - started
            if (found := AuditLog.select().count()) != count:
                raise BenchError(f"audit rows: {found} came, not {count}")
        return seconds

    def _create(self, count: int) -> None:
        for row in map(_dict, range(count)):
            AuditLog.create(**row)

    def _insert_many(self, count: int) -> None:
        with database.atomic():
            for first in range(0, count, BATCH):
                AuditLog.insert_many(list(map(_dict, range(first, first + BATCH)))).execute()

    def _execute_values(self, count: int) -> None:
        with (
            closing(psycopg2.connect(**self.settings.libpq())) as connection,
            connection,
            connection.cursor() as cursor,
        ):
            execute_values(cursor, VALUES, map(_row, range(count)), page_size=BATCH)

    def _psql_copy(self, _: int) -> None:
        url = self.settings.url
        subprocess.run(
            [
                str(self.programs / "psql"),
                "-qX",
                url.render(with_password=False),
                "-c",
                rf"\{COPY.replace('STDIN', repr(str(self.file)))}",
            ],
            env=os.environ | {"PGPASSWORD": url.password},
            check=True,
        )


def _entry(n: int) -> Entry:
    details = {"ip": "192.0.2.1", "path": f"/items/{n}", "n": n}
    return {
        "action": "item.view",
        "entity": ("item", n % 1000),
        "user_id": n % 100,
        "details": details,
    }


def _row(n: int) -> tuple[str, ...]:
    entry = _entry(n)
    return (
        entry["action"],
        "item",
        f"{n % 1000}",
        f"{n % 100}",
        json.dumps(entry["details"]),
    )


def _dict(n: int) -> dict[str, object]:
    return dict(zip(COLUMNS, (*_row(n)[:-1], _entry(n)["details"]), strict=True))
