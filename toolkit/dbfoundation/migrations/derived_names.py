"""The names that Peewee and the server derive from a table and its columns, and their renaming.

An index is named as the models name it: after the class and the columns, or after the table where
the class has `legacy_table_names = False` or is not known. The server names what has no name in
the DDL after the table and the columns. A rename of either leaves the old names; a new table of the
same models would have new ones. So a name that follows the rule follows the rename, and a name of
another form stays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peewee import _truncate_constraint_name  # type: ignore[attr-defined] # not in the stubs

from dbfoundation.runtime.models import get_meta

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peewee import Model

    from dbfoundation.migrations.live_table import Constraint, LiveTable

SUFFIXES = {"p": "pkey", "u": "key", "x": "excl", "f": "fkey", "c": "check"}
MAX_BYTES = 63  # the server shortens longer names by rules of its own


@dataclass(frozen=True)
class Derived:
    """An object of a table: what it is, its name, its name in SQL, and what names it."""

    kind: str
    name: str
    sql_name: str
    suffix: str
    columns: list[str]


def derived_objects(live: LiveTable) -> list[Derived]:
    """The constraints, indexes and sequences that may have a derived name."""
    return [
        *(
            Derived("CONSTRAINT", c.name, c.name, SUFFIXES[c.kind], _naming_columns(c))
            for c in live.constraints()
        ),
        *(
            Derived("INDEX", index.name, index.sql_name, "", [c for c in index.columns if c])
            for index in live.indexes()
            if not index.constraint
        ),
        *(Derived("SEQUENCE", s.name, s.sql_name, "seq", [s.column]) for s in live.sequences()),
    ]


def _naming_columns(constraint: Constraint) -> list[str]:
    """The columns in a constraint's name: a primary key and a CHECK on several have no column."""
    is_named_after_table = constraint.kind == "p" or (
        constraint.kind == "c" and len(constraint.columns) != 1
    )
    return [] if is_named_after_table else constraint.columns


def renames(
    objects: Sequence[Derived],
    before: tuple[str, str],
    after: tuple[str, str],
    column: Sequence[str],
) -> Iterator[tuple[Derived, str]]:
    """The objects whose name follows the rule, with their name after a rename.

    `before` and `after` are the table's name and the prefix of its indexes; `column` is a column's
    old and new name.
    """
    for thing in objects:
        columns = [column[1] if column and c == column[0] else c for c in thing.columns]
        old, new = _name(thing, before, thing.columns), _name(thing, after, columns)
        if thing.name == old and new not in (None, old):
            yield thing, new


def _name(thing: Derived, prefixes: tuple[str, str], columns: Sequence[str]) -> str | None:
    table, index_prefix = prefixes
    if thing.kind == "INDEX":
        return index_name(index_prefix, columns)
    name = "_".join([table, *columns, thing.suffix])
    return name if len(name.encode()) <= MAX_BYTES else None


def index_prefix(model: type[Model]) -> str:
    """The word that begins the names of a model's indexes."""
    meta: Any = get_meta(model)
    prefix: str = meta.name if meta.legacy_table_names else meta.table_name
    return prefix


def index_name(prefix: str, columns: Sequence[str]) -> str:
    """The name that Peewee gives the index of some columns, as the server keeps it."""
    name = _truncate_constraint_name("_".join([prefix, re.sub(r"[^\w]+", "", "_".join(columns))]))
    return str(name).encode()[:MAX_BYTES].decode(errors="ignore")
