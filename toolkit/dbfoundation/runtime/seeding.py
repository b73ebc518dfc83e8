"""Development data: rows that are inserted once, in any number of runs and processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peewee import Database, Model

# One seeding at a time in a database; the number only has to differ from those of other locks.
LOCK = 0x5EED


@dataclass(frozen=True)
class Row:
    """A row that has to exist: the values that identify it, and its other values."""

    model: type[Model]
    key: dict[str, Any]
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Seeded:
    """The number of inserted rows, and of rows that existed."""

    inserted: int
    unchanged: int


def insert_missing(database: Database, rows: Iterable[Row]) -> Seeded:
    """Insert each row whose key is not in its table, all of them or none."""
    with database.atomic():
        database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        is_new = [row.model.get_or_create(**row.key, defaults=row.values)[1] for row in rows]
    return Seeded(inserted=sum(is_new), unchanged=len(is_new) - sum(is_new))
