"""The text of a table's class, and of the statements for what the class cannot declare."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from peewee import Model

from beds import names
from beds.column_text import clause, field_start, has_own_options, is_serial, text
from beds.key_text import actions, definition, end_of, is_in_table, primary_key, simple_keys
from beds.names import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from beds.tables import Column, Constraint, Index, Table


class Writer:
    """Writes a class for one table after the other.

    A foreign key to a table without a class yet waits for that class.
    """

    def __init__(self, tables: dict[int, Table], home: str, header: str) -> None:
        self.tables = tables
        self.home = home
        self.left_out: list[str] = []
        self.written: set[int] = set()
        self.waiting: dict[int, list[tuple[Table, Constraint]]] = {}
        self.classes = names.class_names(tables.values(), home, re.findall(r"\w+", header))
        self.keys = {oid: self._keys(table) for oid, table in tables.items()}
        self.attributes = {
            oid: names.attributes(table, self.keys[oid]) for oid, table in tables.items()
        }

    def write(self, table: Table) -> str:
        """The class of a table, with the statements that follow it."""
        name = self.classes[table.oid]
        attributes = self.attributes[table.oid]
        fields = [
            f"    {attributes[column.name]} = {self._field(table, column)}"
            for column in table.columns
        ]
        self.written.add(table.oid)
        meta = [*self._meta(table)]
        statements = [f"{name}._meta.indexes.append({sql})" for sql in self._statements(table)]
        gap = [""] * 2 if statements else []
        return "\n".join([f"class {name}(Model):", *fields, "", *meta, *gap, *statements])

    def _keys(self, table: Table) -> dict[str, Constraint]:
        """The foreign keys that become a field."""
        keys = simple_keys(table)
        return {column: key for column, key in keys.items() if key.target in self.tables}

    def _field(self, table: Table, column: Column) -> str:
        options = "".join(f"{option}, " for option in self._options(table, column))
        key = self.keys[table.oid].get(column.name)
        if key is None:
            return f"{field_start(column)}{options}".removesuffix(", ") + ")"
        if key.target not in self.written:
            self.waiting.setdefault(key.target, []).append((table, key))
            return f"{field_start(column)}{options}".removesuffix(", ") + ")"
        words = ", ".join(self._reference(table, column, key))
        return f"ForeignKey({words}, {options}".removesuffix(", ") + ")"

    def _reference(self, table: Table, column: Column, key: Constraint) -> Iterator[str]:
        """The options of a foreign key's field that are its own."""
        yield repr(column.type)
        yield self.classes[key.target]
        yield f"field={self.attributes[key.target][key.target_columns[0]]!r}"
        yield f"constraint_name={key.name!r}"
        yield from actions(key)
        attributes = self.attributes[table.oid]
        name = attributes[column.name]
        # The second attribute has the value itself.
        usual = f"{name}_id" if name == column.name else column.name
        if usual in attributes.values() or hasattr(Model, usual):
            yield f"object_id_name={f'{usual}_value'!r}"

    def _options(self, table: Table, column: Column) -> Iterator[str]:
        is_key = column.name in self.keys[table.oid]
        if self.attributes[table.oid][column.name] != column.name or (
            is_key and not column.name.endswith("_id")
        ):
            yield f"column_name={column.name!r}"
        if not column.not_null:
            yield "null=True"
        elif primary_key(table) == column.name:
            yield "primary_key=True"
        if column.collation:
            yield f"collation={column.collation!r}"
        if sql := clause(column):
            yield f"constraints=[SQL({text(sql)})]"

    def _meta(self, table: Table) -> Iterator[str]:
        yield "    class Meta:"
        if table.schema != self.home:
            yield f"        schema = {table.schema!r}"
        yield f"        table_name = {table.name!r}"
        if primary_key(table) is None:
            yield "        primary_key = False"
        if constraints := [c for c in table.constraints if is_in_table(table, c)]:
            yield "        constraints = ["
            yield from (f"            SQL({text(definition(c))})," for c in constraints)
            yield "        ]"
        if dependencies := self._dependencies(table):
            yield f"        depends_on = [{', '.join(dependencies)}]"
        if settings := tuple(self._settings(table)):
            yield f"        table_settings = {settings!r}"

    def _dependencies(self, table: Table) -> list[str]:
        """The classes before this one that its settings and its statements mention."""
        keys = [key.target for key in table.constraints if key.target in self.written]
        waiting = [other.oid for other, _ in self.waiting.get(table.oid, [])]
        oids = {*table.parents, *keys, *waiting} - {table.oid}
        return sorted(self.classes[oid] for oid in oids)

    def _settings(self, table: Table) -> Iterator[str]:
        parents = [self.tables[oid] for oid in table.parents]
        if any(parent.schema != self.home for parent in parents):
            self._leave_out(table, "INHERITS", "its parent is in another schema")
        elif parents:
            yield f"INHERITS ({', '.join(quote(parent.name) for parent in parents)})"
        if table.partitioning:
            yield f"PARTITION BY {table.partitioning}"
        if table.storage:
            yield f"WITH ({table.storage})"

    def _statements(self, table: Table) -> Iterator[str]:
        """The statements for what the class cannot declare, in the order of creation."""
        model = self.classes[table.oid]
        for column in table.columns:
            yield from self._sequence(table, column)
        if table.unlogged:
            yield _statement("ALTER TABLE", model, "SET UNLOGGED")
        for constraint in table.constraints:
            yield from self._constraint(table, constraint)
        for index in table.indexes:
            yield _statement(_create(index), model, index.definition)
        for waiting in self.waiting.pop(table.oid, []):
            yield self._add_key(*waiting)

    def _sequence(self, table: Table, column: Column) -> Iterator[str]:
        """The statements that give a serial column's sequence its name and its options."""
        if not column.sequence or column.identity:
            return
        if not is_serial(column):
            self._leave_out(table, f"sequence {column.sequence}", "its column is no serial one")
            return
        model, usual = self.classes[table.oid], names.default_sequence(table.name, column.name)
        if not column.not_null:
            yield _statement("ALTER TABLE", model, f"ALTER {quote(column.name)} DROP NOT NULL")
        if column.sequence != usual:
            rename = f"RENAME TO {quote(column.sequence)}"
            yield _statement("ALTER SEQUENCE", _in_schema(model, usual), rename)
        if has_own_options(column):
            options = f"AS {column.sequence_type} {column.sequence_options}"
            yield _statement("ALTER SEQUENCE", _in_schema(model, column.sequence), options)

    def _constraint(self, table: Table, constraint: Constraint) -> Iterator[str]:
        """The statements for what a field and Meta.constraints do not declare."""
        model = self.classes[table.oid]
        if constraint.storage:
            index = _in_schema(model, constraint.name)
            yield _statement("ALTER INDEX", index, f"SET ({constraint.storage})")
        if constraint.type == "c" and not is_in_table(table, constraint):
            yield _statement("ALTER TABLE", model, f"ADD {definition(constraint)}")
        if constraint.type != "f" or constraint in self.keys[table.oid].values():
            return
        if constraint.target not in self.tables:
            self._leave_out(table, f"constraint {constraint.name}", "it refers to a partition")
        elif constraint.target in self.written:
            yield self._add_key(table, constraint)
        else:
            self.waiting.setdefault(constraint.target, []).append((table, constraint))

    def _add_key(self, table: Table, key: Constraint) -> str:
        """The statement that adds a foreign key, where both classes are there."""
        columns, targets = (", ".join(map(quote, n)) for n in (key.columns, key.target_columns))
        head = f"ADD CONSTRAINT {quote(key.name)} FOREIGN KEY ({columns}) REFERENCES"
        own, target = self.classes[table.oid], self.classes[key.target]
        return _statement("ALTER TABLE", own, head, target, f"({targets}){end_of(key)}")

    def _leave_out(self, table: Table, part: str, reason: str) -> None:
        self.left_out.append(f"{table.schema}.{table.name}, {part}: {reason}")


def _create(index: Index) -> str:
    return f"CREATE {'UNIQUE ' * index.unique}INDEX {quote(index.name)} ON"


def _in_schema(model: str, name: str) -> str:
    return f"InSchemaOf({model}, {name!r})"


def _statement(*parts: str) -> str:
    """A statement as a node of Peewee's: SQL at the even places, models and nodes at the odd."""
    nodes = [part if n % 2 else f"SQL({text(part)})" for n, part in enumerate(parts)]
    return f"NodeList(({', '.join(nodes)}))"
