"""The parts of tables that no model declares, and that a comparison of models leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbfoundation.schema.catalog import one_line, read
from dbfoundation.schema.drift import UNDECLARABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from peewee import PostgresqlDatabase

PARTS = ("trigger", "rule", "policy", "statistics")


def find_unexpressed(database: PostgresqlDatabase, tables: Collection[str]) -> list[str]:
    """A line for each such part of the tables, whose names have no quotes."""
    return [*_find(database, tables)]


def _find(database: PostgresqlDatabase, tables: Collection[str]) -> Iterator[str]:
    for thing in read(database):
        if (thing.table or thing.name).replace('"', "") not in tables:
            continue
        if thing.kind in PARTS:
            yield thing.subject
        elif thing.details.get("parents", "").startswith("PARTITION OF"):
            yield f"the partition {thing.name}"
        for name in sorted(thing.details.keys() & UNDECLARABLE):
            yield one_line(f"{thing.subject}: {thing.details[name]}")
