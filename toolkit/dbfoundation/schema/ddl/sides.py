"""The objects of one schema, by their tables."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from dbfoundation.schema.recreation import qualifier

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbfoundation.schema.catalog import SchemaObject

    Named = dict[str, SchemaObject]


class Side:
    """One schema: tables and sequences by name, and the parts of each table by theirs.

    `sequences_of` has the sequences of each column.
    """

    def __init__(self, objects: Iterable[SchemaObject]) -> None:
        self.tables: Named = {}
        self.sequences: Named = {}
        self.columns: defaultdict[str, Named] = defaultdict(dict)
        self.constraints: defaultdict[str, Named] = defaultdict(dict)
        self.indexes: defaultdict[str, Named] = defaultdict(dict)
        self.sequences_of: defaultdict[str, list[SchemaObject]] = defaultdict(list)
        for thing in objects:
            if thing.kind in ("table", "sequence"):
                getattr(self, f"{thing.kind}s")[thing.name] = thing
            elif thing.table:
                parts = {
                    "column": self.columns,
                    "constraint": self.constraints,
                    "index": self.indexes,
                }[thing.kind]
                parts[thing.table][thing.name] = thing
        for thing in self.sequences.values():
            self.sequences_of[_owner(thing)].append(thing)

    def owner_of(self, sequence: SchemaObject) -> SchemaObject | None:
        """The column that a sequence belongs to."""
        return self.columns[sequence.table or ""].get(_owner(sequence))

    def is_partitioned(self, table: str) -> bool:
        return "partitioning" in self.tables[table].details


def _owner(sequence: SchemaObject) -> str:
    """The column that a sequence belongs to; empty where it belongs to none."""
    return sequence.details.get("owner", "").removeprefix("OWNED BY ")


def column_name(thing: SchemaObject) -> str:
    """The name of a column without its table's, as SQL writes it."""
    return thing.name.removeprefix(f"{thing.table}.")


def plain(name: str) -> str:
    """A printed name without its schema and its quotes."""
    local = name.removeprefix(qualifier(name))
    return local[1:-1].replace('""', '"') if local.startswith('"') else local


def quote(name: str) -> str:
    """A name as SQL writes it."""
    if re.fullmatch("[a-z_][a-z0-9_]*", name):
        return name
    return '"{}"'.format(name.replace('"', '""'))


def is_foreign_key(thing: SchemaObject) -> bool:
    return thing.details["definition"].startswith("FOREIGN KEY")


def target_of(thing: SchemaObject) -> str:
    """The table that a foreign key refers to."""
    found = re.search(r" REFERENCES (.+?)\(", thing.details["definition"])
    return found[1] if found else ""


def mentions(thing: SchemaObject, name: str) -> bool:
    """Whether the text of an object has this name as a word."""
    text = " ".join(thing.details.values())
    return bool(re.search(rf'(?<![\w"]){re.escape(name)}(?![\w"])', text))
