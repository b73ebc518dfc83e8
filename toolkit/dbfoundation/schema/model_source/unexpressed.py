"""What no model declares: parts of tables, and objects that belong to no table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbfoundation.schema.catalog import one_line
from dbfoundation.schema.drift import UNDECLARABLE
from dbfoundation.schema.ignored import is_ignored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from dbfoundation.schema.catalog import SchemaObject

PARTS = ("trigger", "rule", "policy", "statistics")


def find_unexpressed(objects: Iterable[SchemaObject], tables: Collection[str]) -> Iterator[str]:
    """A line for each part of the tables that no model declares; their names have no quotes."""
    for thing in objects:
        if (thing.table or thing.name).replace('"', "") not in tables:
            continue
        if thing.kind in PARTS:
            yield thing.subject
        elif thing.details.get("parents", "").startswith("PARTITION OF"):
            yield f"the partition {thing.name}"
        for name in sorted(thing.details.keys() & UNDECLARABLE):
            yield one_line(f"{thing.subject}: {thing.details[name]}")


def find_other_objects(
    objects: Iterable[SchemaObject], models: Iterable[SchemaObject], ignored: Collection[str]
) -> list[str]:
    """A line for each object beside the tables, such as a view, that the models do not create."""
    declared = {thing.name for thing in models}
    return [
        thing.subject
        for thing in objects
        if not thing.table and thing.kind not in ("schema", "table")
        if thing.subject != "extension plpgsql"  # which every database has
        if thing.name not in declared and not is_ignored(thing, ignored)
    ]
