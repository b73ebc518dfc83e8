"""Definitions that differ in their spelling alone.

The server prints a definition from what it parsed, and at times parses its own text differently:
`state IN ('new')` on a varchar gets more casts in every dump and restore. So before two definitions
count as different, both are created again from their text, until the server prints the same text
again. Two defaults are also alike if they are constants of the same value, or the time of the
transaction.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbfoundation.schema.comparison import compare, key_of
from dbfoundation.schema.recreation import create_again, is_creatable

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from peewee import PostgresqlDatabase

    from dbfoundation.schema.catalog import SchemaObject
    from dbfoundation.schema.comparison import Difference, Key

# The details that can have an expression.
SPELLED = ("default", "generation", "definition", "partitioning")
PASSES = 4  # a text is usually the same after one
CHUNK = 500  # definitions in a transaction, whose locks need the server's memory


def compare_as_parsed(
    database: PostgresqlDatabase,
    left: Sequence[SchemaObject],
    right: Sequence[SchemaObject],
    path: Sequence[str],
) -> list[Difference]:
    """The differences of two schemas without those of spelling.

    Both were read on this database with this search_path. Where a definition's table, type or
    function is missing by now, the definition differs as its text does.
    """
    if not compare(left, right):
        return []
    return compare(adopt_spelling(database, left, right, path), right)


def adopt_spelling(
    database: PostgresqlDatabase,
    left: Sequence[SchemaObject],
    right: Sequence[SchemaObject],
    path: Sequence[str],
) -> list[SchemaObject]:
    """The left objects, spelled as the right ones are wherever the server parses both alike."""
    lefts, rights = ({key_of(thing): thing for thing in side} for side in (left, right))
    keys = {
        key for key in lefts.keys() & rights.keys() if _texts(lefts[key]) != _texts(rights[key])
    }
    if not keys:
        return [*left]
    parsed, parsed_right = (parse_again(database, side, keys, path) for side in (left, right))
    return [
        _spell(thing, parsed[key], parsed_right[key], rights[key])
        if (key := key_of(thing)) in parsed and key in parsed_right
        else thing
        for thing in left
    ]


def parse_again(
    database: PostgresqlDatabase,
    objects: Sequence[SchemaObject],
    keys: Collection[Key],
    path: Sequence[str],
) -> dict[Key, SchemaObject]:
    """The objects of these keys as the server prints them in the end.

    An object that cannot be created on its own is missing.
    """
    known = {key_of(thing): thing for thing in objects}
    chosen = sorted(key for key in known.keys() & keys if is_creatable(known[key]))
    parsed: dict[Key, SchemaObject] = {}
    for start in range(0, len(chosen), CHUNK):
        parsed |= _parse_again(database, known, chosen[start : start + CHUNK], path)
    return parsed


def _parse_again(
    database: PostgresqlDatabase,
    known: Mapping[Key, SchemaObject],
    keys: Collection[Key],
    path: Sequence[str],
) -> dict[Key, SchemaObject]:
    tables = {known[key].table or known[key].name for key in keys}
    known = {key: t for key, t in known.items() if (t.table or t.name) in tables}
    for _ in range(PASSES):
        printed = create_again(database, [*known.values()], keys, path)
        keys = {key for key in keys if key in printed}
        again = {key: _with_texts(known[key], printed[key]) for key in keys}
        if all(again[key] == known[key] for key in keys):
            break
        known = {**known, **again}
    return {key: known[key] for key in keys}


def _texts(thing: SchemaObject) -> Mapping[str, str | None]:
    return {name: thing.details.get(name) for name in SPELLED} | {"source": thing.source}


def _with_texts(thing: SchemaObject, other: SchemaObject) -> SchemaObject:
    """The object with the texts of another one."""
    details = {name: text for name, text in thing.details.items() if name not in SPELLED}
    details |= {name: text for name, text in other.details.items() if name in SPELLED}
    return replace(thing, details=details, source=other.source)


def _spell(
    thing: SchemaObject, parsed: SchemaObject, parsed_other: SchemaObject, other: SchemaObject
) -> SchemaObject:
    """The object with those texts of the other one that the server parses as the object's own."""
    is_same = {name: text == _texts(parsed_other)[name] for name, text in _texts(parsed).items()}
    mixed = {name: (other if is_same[name] else thing).details.get(name) for name in SPELLED}
    details = {name: text for name, text in thing.details.items() if name not in SPELLED}
    details |= {name: text for name, text in mixed.items() if text is not None}
    return replace(thing, details=details, source=(other if is_same["source"] else thing).source)
