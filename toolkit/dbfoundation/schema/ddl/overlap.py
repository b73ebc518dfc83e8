"""The columns and parts of the tables that both sides have, and what a change of one affects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbfoundation.schema.ddl.sides import column_name, is_foreign_key, mentions, target_of
from dbfoundation.schema.ddl.types import is_same_kind
from dbfoundation.schema.recreation import qualifier

if TYPE_CHECKING:
    from dbfoundation.schema.catalog import SchemaObject
    from dbfoundation.schema.ddl.sides import Side


class Overlap:
    """The tables of both sides."""

    def __init__(self, source: Side, target: Side) -> None:
        self.source = source
        self.target = target
        self.tables = [name for name in target.tables if name in source.tables]
        # The generated columns that have to be dropped and added again.
        self.replaced = {name: self._replaced_columns(name) for name in self.tables}
        # The names of the target's relations and constraints, without their schemas.
        self.taken = {
            *(part for name in target.tables for part in parts_of(target, name)),
            *(name.removeprefix(qualifier(name)) for name in [*target.tables, *target.sequences]),
        }

    def added(self, table: str) -> list[SchemaObject]:
        """The constraints and indexes that a kept table gets, new or again."""
        before, after = parts_of(self.source, table), parts_of(self.target, table)
        return [
            thing
            for name, thing in after.items()
            if before.get(name) != thing or self.is_affected(thing, table)
        ]

    def is_affected(self, thing: SchemaObject, table: str) -> bool:
        """Whether a part that stays as it is has to be dropped for a while."""
        names = self.replaced.get(table, set())
        if any(mentions(thing, name) for name in names):
            return True
        if thing.kind != "constraint" or not is_foreign_key(thing):
            return False
        return self.is_retyped(thing) or self._loses_key(thing)

    def may_stay_until_the_end(self, index: SchemaObject, table: str) -> bool:
        """Whether an index that the target does not have is in the way of no other change."""
        before, after = self.source.columns[table], self.target.columns[table]
        return (
            index.kind == "index"
            and index.name not in self.taken
            and not self.source.is_partitioned(table)
            and not any(
                mentions(index, column_name(column))
                for name, column in before.items()
                if after.get(name) != column
            )
        )

    def refers_to_new_key(self, constraint: SchemaObject) -> bool:
        """Whether a foreign key needs a constraint or index that its target does not have yet."""
        table = target_of(constraint)
        return table in self.tables and any(
            _is_key_for(constraint, thing) for thing in self.added(table)
        )

    def is_retyped(self, foreign_key: SchemaObject) -> bool:
        """Whether a column of a foreign key, on either side, gets a type of another kind."""
        return any(
            mentions(foreign_key, name)
            for table in (foreign_key.table or "", target_of(foreign_key))
            for name, (old, new) in self._retyped(table).items()
            if not is_same_kind(old, new)
        )

    def _loses_key(self, foreign_key: SchemaObject) -> bool:
        """Whether the columns that a foreign key refers to lose their key in between."""
        table = target_of(foreign_key)
        before, after = parts_of(self.source, table), parts_of(self.target, table)
        return any(
            _is_key_for(foreign_key, thing)
            for name, thing in before.items()
            if after.get(name) != thing
        )

    def _both_columns(self, table: str) -> list[tuple[SchemaObject, SchemaObject]]:
        before, after = self.source.columns[table], self.target.columns[table]
        return [(before[name], after[name]) for name in before if name in after]

    def _retyped(self, table: str) -> dict[str, tuple[str, str]]:
        """The columns of a kept table that get another type, with both."""
        types = {
            column_name(new): (old.details["type"], new.details["type"])
            for old, new in self._both_columns(table)
        }
        return {name: both for name, both in types.items() if both[0] != both[1]}

    def _replaced_columns(self, table: str) -> set[str]:
        """The generated columns, before or after, that have to be dropped and added again."""
        retyped = self._retyped(table)
        return {
            column_name(new)
            for old, new in self._both_columns(table)
            if "generation" in {**old.details, **new.details}
            and (old != new or any(mentions(new, name) for name in retyped))
        }


def parts_of(side: Side, table: str) -> dict[str, SchemaObject]:
    """The constraints and indexes of a table, by name."""
    return {**side.constraints[table], **side.indexes[table]}


def _is_key_for(foreign_key: SchemaObject, part: SchemaObject) -> bool:
    """Whether a part of the referred table is a key on the columns that a foreign key refers to."""
    listed = foreign_key.details["definition"].partition(" REFERENCES ")[2]
    referred = listed.removeprefix(target_of(foreign_key)).partition(")")[0] + ")"
    definition = part.details["definition"]
    return referred in definition and definition.startswith(
        ("PRIMARY KEY", "UNIQUE", "CREATE UNIQUE")
    )
