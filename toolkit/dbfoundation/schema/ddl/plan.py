"""The changes from one schema to another, in an order that works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbfoundation.schema.ddl import columns, parts, sequences, tables
from dbfoundation.schema.ddl.change import Change, Phase
from dbfoundation.schema.ddl.overlap import Overlap, parts_of
from dbfoundation.schema.ddl.sides import Side, column_name, is_foreign_key, target_of
from dbfoundation.schema.recreation import qualifier
from dbfoundation.schema.renames import rename_statement

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from dbfoundation.schema.catalog import SchemaObject
    from dbfoundation.schema.ddl.facts import Facts


def plan(
    source: Iterable[SchemaObject],
    target: Iterable[SchemaObject],
    renamed: Sequence[tuple[SchemaObject, SchemaObject]],
    facts: Facts,
) -> list[Change]:
    """The changes from the source to the target; a difference that has no statement is left out.

    `renamed` has the indexes, constraints and sequences that differ in their name alone.
    """
    changes = [*Planner(Side(source), Side(target), facts).changes()]
    for thing, other in renamed:
        rename, back = rename_statement(thing, other), rename_statement(other, thing)
        changes.append(Change(Phase.RENAME, rename, (back,)))
    return sorted(changes, key=lambda change: change.phase)


class Planner:
    """Compares two sides, table by table."""

    def __init__(self, source: Side, target: Side, facts: Facts) -> None:
        self.source = source
        self.target = target
        self.facts = facts
        self.new = [name for name in target.tables if name not in source.tables]
        self.gone = [name for name in source.tables if name not in target.tables]
        self.overlap = Overlap(source, target)

    def changes(self) -> Iterator[Change]:
        yield from self._schemas()
        yield from self._new_tables()
        for name in self.overlap.tables:
            yield from tables.changes(self.source.tables[name], self.target.tables[name])
            yield from self._columns(name)
        yield from self._parts()
        yield from self._sequences()
        yield from self._dropped_tables()

    def _schemas(self) -> Iterator[Change]:
        names = {qualifier(name)[:-1] for name in self.new} - {""}
        for name in sorted(names - {*self.facts.schemas}):
            yield Change(Phase.CREATE_SCHEMA, f"CREATE SCHEMA {name}", (f"DROP SCHEMA {name}",))

    def _new_tables(self) -> Iterator[Change]:
        created: set[str] = {*self.overlap.tables}
        for name in _ordered(self.new, self.target):
            created.add(name)
            constraints = self.target.constraints[name].values()
            later = {t.name for t in constraints if self._is_later(t, created)}
            statement = tables.create(self.target.tables[name], self.target, later)
            yield Change(Phase.CREATE_TABLE, statement, (f"DROP TABLE {name}",))
            for thing in constraints:
                if thing.name in later:
                    yield parts.add(thing, self._later_phase(thing))
            for index in self.target.indexes[name].values():
                yield parts.add(index)

    def _is_later(self, constraint: SchemaObject, created: Collection[str]) -> bool:
        """Whether a new table gets a constraint only after its creation."""
        if constraint.details["definition"].endswith(parts.NO_SCAN):
            return True
        if not is_foreign_key(constraint):
            return False
        table = target_of(constraint)
        return (
            table not in created
            or self.overlap.refers_to_new_key(constraint)
            or self.overlap.is_retyped(constraint)
        )

    def _later_phase(self, constraint: SchemaObject) -> Phase:
        if not is_foreign_key(constraint):
            return Phase.ADD_PART
        is_online = self.overlap.refers_to_new_key(constraint)
        return Phase.ONLINE_FOREIGN_KEY if is_online else Phase.ADD_FOREIGN_KEY

    def _parts(self) -> Iterator[Change]:
        """The constraints and indexes of the kept tables."""
        for table in self.overlap.tables:
            before, after = parts_of(self.source, table), parts_of(self.target, table)
            is_partitioned = self.target.is_partitioned(table)
            for name, thing in before.items():
                if self.overlap.may_stay_until_the_end(thing, table):
                    yield parts.drop_index_online(thing)
                elif after.get(name) != thing or self.overlap.is_affected(thing, table):
                    yield parts.drop(thing)
            for thing in self.overlap.added(table):
                yield from parts.add_online(thing, is_partitioned=is_partitioned)

    def _columns(self, table: str) -> Iterator[Change]:
        before, after = self.source.columns[table], self.target.columns[table]
        for name, column in before.items():
            if name not in after:
                yield columns.drop(column, self.source)
            elif column_name(column) in self.overlap.replaced[table]:
                yield from self._replace(column, after[name])
            elif column != after[name]:
                yield from columns.change(
                    column, after[name], self.source, self.target, self.facts.casts
                )
        for name, column in after.items():
            if name not in before:
                yield from columns.add(column, self.target, self.facts.constants.get(name))

    def _replace(self, before: SchemaObject, after: SchemaObject) -> Iterator[Change]:
        """Drop a generated column and add it again, or let it keep its values as a plain one."""
        dropped = columns.drop(before, self.source)
        if columns.may_stay(before, after):
            stayed, change = columns.stop_generating(before, dropped)
            yield change
            yield from columns.change(stayed, after, self.source, self.target, self.facts.casts)
            return
        yield Change(Phase.DROP_GENERATED, dropped.sql, dropped.undo, lost=dropped.lost)
        for change in columns.add(after, self.target, self.facts.constants.get(after.name)):
            phase = Phase.ADD_GENERATED if change.phase == Phase.ADD_COLUMN else change.phase
            yield Change(phase, change.sql, change.undo, change.note, change.lost, change.todo)

    def _sequences(self) -> Iterator[Change]:
        """The sequences, except those that come and go with their columns."""
        before, after = self.source.sequences, self.target.sequences
        for name, sequence in after.items():
            if self._changes_with_column(sequence):
                continue
            if name in before:
                yield from sequences.changes(before[name], sequence)
            elif not self._is_created_with_column(sequence, self.target, self.source):
                yield from sequences.add(sequence, self._kept_owner(sequence))
        for name, sequence in before.items():
            if name in after or self._changes_with_column(sequence):
                continue
            if not self._is_created_with_column(sequence, self.source, self.target):
                yield from sequences.remove(sequence)

    def _kept_owner(self, sequence: SchemaObject) -> SchemaObject | None:
        """The column of both sides that a sequence of the target belongs to."""
        column = self.target.owner_of(sequence)
        if column and column.name in self.source.columns[column.table or ""]:
            return column
        return None

    def _changes_with_column(self, sequence: SchemaObject) -> bool:
        """Whether a column of both sides has this sequence, and an identity on one side only."""
        column = self.target.owner_of(sequence) or self.source.owner_of(sequence)
        if not column:
            return False
        both = [
            side.columns[column.table or ""].get(column.name) for side in (self.source, self.target)
        ]
        has_identity = [bool(one and "identity" in one.details) for one in both]
        return None not in both and has_identity[0] != has_identity[1]

    def _is_created_with_column(self, sequence: SchemaObject, side: Side, other: Side) -> bool:
        """Whether the declaration of a column that only one side has creates the sequence."""
        column = side.owner_of(sequence)
        if not column or column.name in other.columns[column.table or ""]:
            return False
        return "identity" in column.details or sequences.serial_of(column, side) is not None

    def _dropped_tables(self) -> Iterator[Change]:
        dropped: set[str] = set()
        for name in reversed(_ordered(self.gone, self.source)):
            constraints = self.source.constraints[name].values()
            first = {
                thing.name
                for thing in constraints
                if is_foreign_key(thing)
                and (target_of(thing) in dropped or self.overlap.is_affected(thing, name))
            }
            dropped.add(name)
            restored = [tables.create(self.source.tables[name], self.source, first)]
            restored += [parts.add_statement(index) for index in self.source.indexes[name].values()]
            yield from (parts.drop(thing) for thing in constraints if thing.name in first)
            is_early = bool(self.overlap.taken & {*parts_of(self.source, name)})
            yield Change(
                Phase.DROP_TABLE_EARLY if is_early else Phase.DROP_TABLE,
                f"DROP TABLE {name}",
                tuple(restored),
                lost=f"the rows of {name}",
            )


def _ordered(names: Iterable[str], side: Side) -> list[str]:
    """The tables, each after those that it refers to; a circle is broken somewhere."""
    order: list[str] = []
    chosen, seen = {*names}, set[str]()

    def visit(name: str) -> None:
        if name in seen or name not in chosen:
            return
        seen.add(name)
        for constraint in side.constraints[name].values():
            if is_foreign_key(constraint):
                visit(target_of(constraint))
        order.append(name)

    for name in sorted(chosen):
        visit(name)
    return order
