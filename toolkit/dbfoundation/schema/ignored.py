"""The names that a comparison ignores: those of tables, and of their parts, with patterns.

In a pattern, `*` and `?` match all characters except a dot. A name is as a difference prints it,
without its quotes; a part of a table has the table's name in front, as in `users.legacy`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from dbfoundation.schema.catalog import SchemaObject

# The parts of a table whose own name has no table in front.
PLAIN_NAMES = ("constraint", "index", "trigger", "rule", "policy")
PARTITION_OF = "PARTITION OF "


def matches(name: str, patterns: Iterable[str]) -> bool:
    """Whether a printed name, without its quotes, is one of the patterns."""
    name = name.replace('"', "")
    return any(
        name == pattern or (name.count(".") == pattern.count(".") and fnmatchcase(name, pattern))
        for pattern in patterns
    )


def is_ignored(thing: SchemaObject, patterns: Iterable[str]) -> bool:
    """Whether an object is ignored by its own name."""
    is_plain = thing.kind in PLAIN_NAMES
    return matches(f"{thing.table}.{thing.name}" if is_plain else thing.name, patterns)


def parent_of(thing: SchemaObject) -> str | None:
    """The partitioned table that a table is a partition of."""
    parents = thing.details.get("parents", "")
    return parents.removeprefix(PARTITION_OF) if parents.startswith(PARTITION_OF) else None


def without_ignored(
    objects: Sequence[SchemaObject], patterns: Collection[str]
) -> list[SchemaObject]:
    """The objects that are not ignored; those of an ignored table and of its partitions are."""
    tables = [thing for thing in objects if thing.kind in ("table", "view")]
    ignored: set[str] = set()
    found = {thing.name for thing in tables if matches(thing.name, patterns)}
    while found:
        ignored |= found
        found = {thing.name for thing in tables if parent_of(thing) in ignored} - ignored
    return [
        thing
        for thing in objects
        if thing.name not in ignored and thing.table not in ignored
        if not is_ignored(thing, patterns)
    ]
