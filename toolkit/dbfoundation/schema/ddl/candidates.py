"""Columns and tables that disappear while a similar one appears: a renaming, or two changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbfoundation.schema.ddl.sides import Side, column_name, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbfoundation.schema.drift import Sides

ALIKE = 0.5  # the part of a table's columns that another one must have


@dataclass(frozen=True)
class Candidate:
    """Something that disappears, and the similar ones that appear; names without quotes."""

    kind: str
    old: str
    new: tuple[str, ...]

    def describe(self) -> str:
        """The question, and the flag for each answer."""
        names = " or ".join(name.rpartition(".")[2] for name in self.new)
        answers = [f"--rename {self.old}={name.rpartition('.')[2]}" for name in self.new]
        return (
            f"the {self.kind} {self.old} disappears, and {names} appears. Is that a renaming, "
            f"which keeps the data ({' or '.join(answers)}), or is it dropped with its data "
            f"(--drop {self.old})?"
        )


def find_candidates(sides: Sides) -> Iterator[Candidate]:
    """The changes that may be a renaming."""
    before, after = Side(sides.live), Side(sides.wanted)
    gone = [name for name in before.tables if name not in after.tables]
    new = [name for name in after.tables if name not in before.tables]
    for table in gone:
        names = {column_name(column) for column in before.columns[table].values()}
        alike = [
            other
            for other in new
            if len(names & {column_name(column) for column in after.columns[other].values()})
            > ALIKE * len(names)
        ]
        if alike:
            yield Candidate("table", _bare(table), tuple(map(_bare, alike)))
    for table in before.tables.keys() & after.tables.keys():
        yield from _columns(before, after, table)


def gone_names(sides: Sides) -> set[str]:
    """The tables and the columns that disappear."""
    before, after = Side(sides.live), Side(sides.wanted)
    columns = (
        f"{_bare(table)}.{plain(column_name(column))}"
        for table in before.tables.keys() & after.tables.keys()
        for name, column in before.columns[table].items()
        if name not in after.columns[table]
    )
    return {*columns, *map(_bare, before.tables.keys() - after.tables.keys())}


def _columns(before: Side, after: Side, table: str) -> Iterator[Candidate]:
    old, new = before.columns[table], after.columns[table]
    appearing = [column for name, column in new.items() if name not in old]
    for name, column in old.items():
        if name in new:
            continue
        alike = [
            other
            for other in appearing
            if _base(other.details["type"]) == _base(column.details["type"])
        ]
        if alike:
            names = tuple(f"{_bare(table)}.{plain(column_name(other))}" for other in alike)
            yield Candidate("column", f"{_bare(table)}.{plain(column_name(column))}", names)


def _base(data_type: str) -> str:
    """The type without its length; text is one with a limit, too."""
    name = data_type.partition("(")[0]
    return "text" if name in ("character varying", "character") else name


def _bare(table: str) -> str:
    """A table's name without quotes, with its schema."""
    return table.replace('"', "")
