"""The Python names of generated models, and the names that the server chooses itself."""

from __future__ import annotations

import re
from keyword import iskeyword
from typing import TYPE_CHECKING

from peewee import Model

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from dbfoundation.schema.model_source.tables import Table

LONGEST = 63  # bytes of a name
OWN = ("_meta", "_schema", "DoesNotExist", "Meta")  # Peewee gives them to each class


def class_names(tables: Iterable[Table], home: str, taken: Collection[str]) -> dict[int, str]:
    """A class name for each table, with the schema's name where that is not the home schema."""
    names: dict[int, str] = {}
    for table in tables:
        words = table.name if table.schema == home else f"{table.schema}_{table.name}"
        name = "".join(word[:1].upper() + word[1:] for word in re.split(r"\W|_", words))
        names[table.oid] = _unused(_identifier(name), {*names.values(), *taken})
    return names


def attributes(
    table: Table, references: Collection[str], globals_: Collection[str]
) -> dict[str, str]:
    """An attribute for each column; a reference's loses its `_id` where the rest is unused.

    In the class, an attribute would hide the one of `globals_` that has its name.
    """
    names: dict[str, str] = {}
    columns = [column.name for column in table.columns]
    for column in columns:
        short = column.removesuffix("_id") if column in references else column
        name = _identifier(short if short not in columns else column)
        # A reference has a second attribute, its name and `_id`.
        names[column] = _unused(name, {*names.values(), *columns} - {column} | {*globals_})
    return names


def default_sequence(table: str, column: str) -> str:
    """The name that the server gives to the sequence of a serial column."""
    words = [table, column]
    while len("_".join([*words, "seq"]).encode()) > LONGEST:
        longer = 0 if len(words[0].encode()) > len(words[1].encode()) else 1
        words[longer] = words[longer].encode()[:-1].decode(errors="ignore")
    return "_".join([*words, "seq"])


def default_primary_key(table: str) -> str:
    """The name that the server gives to a primary key."""
    return table.encode()[: LONGEST - len("_pkey")].decode(errors="ignore") + "_pkey"


def default_foreign_key(table: str, column: str) -> str | None:
    """The name that the server gives to a foreign key; None for one that it shortens."""
    name = f"{table}_{column}_fkey"
    return name if len(name.encode()) <= LONGEST else None


def quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _identifier(name: str) -> str:
    name = re.sub(r"\W", "_", name) or "_"
    name = f"_{name}" if name[0].isdigit() else name
    # A double underscore at the start is a private name of the class.
    name = re.sub(r"^__+", "_", name)
    return f"{name}_" if iskeyword(name) or name in OWN or hasattr(Model, name) else name


def _unused(name: str, used: Collection[str]) -> str:
    while name in used:
        name += "_"
    return name
