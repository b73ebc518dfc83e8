"""Whole tables, and the properties of a table itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dbfoundation.schema.ddl import columns, parts
from dbfoundation.schema.ddl.change import Change, Phase

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from dbfoundation.schema.catalog import SchemaObject
    from dbfoundation.schema.ddl.sides import Side

OPTION = re.compile(r"([\w.]+)=([^,)]*)")
CLAUSES = ("partitioning", "access method", "storage")  # in the order of the grammar


def create(table: SchemaObject, side: Side, later: Collection[str]) -> str:
    """The statement for a table with its columns, and its constraints except those of `later`."""
    name, details = table.name, table.details
    lines = [columns.declaration(column, side) for column in side.columns[name].values()]
    lines += [
        f"CONSTRAINT {constraint.name} {parts.clause(constraint)}"
        for constraint in side.constraints[name].values()
        if constraint.name not in later
    ]
    body = ",\n".join(f"    {line}" for line in lines)
    unlogged = "UNLOGGED " if "persistence" in details else ""
    parents = details.get("parents", "").replace("INHERITS ", "INHERITS (") or None
    after = [parents and f"{parents})", *(details.get(clause) for clause in CLAUSES)]
    end = "".join(f" {clause}" for clause in after if clause)
    return (
        f"CREATE {unlogged}TABLE {name} (\n{body}\n){end}"
        if lines
        else (f"CREATE {unlogged}TABLE {name} (){end}")
    )


def changes(before: SchemaObject, after: SchemaObject) -> Iterator[Change]:
    """The changes of the properties of a table that both sides have."""
    name = after.name
    persistence = [thing.details.get("persistence", "LOGGED") for thing in (before, after)]
    if persistence[0] != persistence[1]:
        yield Change(
            Phase.CHANGE_TABLE,
            f"ALTER TABLE {name} SET {persistence[1]}",
            (f"ALTER TABLE {name} SET {persistence[0]}",),
            note="This rewrites the table.",
        )
    options = [_options(thing) for thing in (before, after)]
    if options[0] != options[1]:
        set_to, set_back = (_set_options(name, *pair) for pair in (options, options[::-1]))
        yield Change(Phase.CHANGE_TABLE, set_to, (set_back,))


def _options(table: SchemaObject) -> dict[str, str]:
    """The storage options of a table, and of its TOAST table."""
    own = OPTION.findall(table.details.get("storage", ""))
    toast = OPTION.findall(table.details.get("toast storage", ""))
    return {**dict(own), **{f"toast.{name}": value for name, value in toast}}


def _set_options(name: str, before: dict[str, str], after: dict[str, str]) -> str:
    """The statement that replaces the storage options of a table."""
    gone = ", ".join(sorted(before.keys() - after.keys()))
    wanted = ", ".join(f"{key} = {value}" for key, value in after.items())
    actions = [f"RESET ({gone})"] if gone else []
    actions += [f"SET ({wanted})"] if wanted else []
    return f"ALTER TABLE {name} {', '.join(actions)}"
