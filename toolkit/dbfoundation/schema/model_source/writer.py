"""The text of a table's class, and of the statements for what the class cannot declare."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from peewee import Model

from dbfoundation.schema.model_source import names
from dbfoundation.schema.model_source.column_text import (
    call,
    clause,
    field_start,
    has_own_options,
    is_serial,
    key_field,
    literal,
    text,
)
from dbfoundation.schema.model_source.key_text import (
    actions,
    composite_key,
    definition,
    end_of,
    is_in_table,
    primary_key,
    simple_keys,
)
from dbfoundation.schema.model_source.names import quote

IMPORTS = {
    **dict.fromkeys(
        (
            *(
                "SQL",
                "AutoField",
                "BigAutoField",
                "BigIntegerField",
                "BooleanField",
                "CharField",
                "CompositeKey",
            ),
            *("DateField", "DateTimeField", "DecimalField", "DoubleField", "FloatField"),
            *("ForeignKeyField", "IdentityField", "IntegerField", "Model", "NodeList"),
            *("SmallIntegerField", "TextField", "TimeField", "UUIDField"),
        ),
        "peewee",
    ),
    **dict.fromkeys(("BinaryJSONField", "DateTimeTZField"), "playhouse.postgres_ext"),
    **dict.fromkeys(
        ("InSchemaOf", "Timestamp6Field", "TypedField", "TypedForeignKeyField"), "dbfoundation"
    ),
}

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbfoundation.schema.model_source.tables import Column, Constraint, Index, Table


class Writer:
    """Writes a class for one table after the other.

    A foreign key to a table without a class yet waits for that class.
    """

    def __init__(self, tables: dict[int, Table], home: str, base: str) -> None:
        self.tables = tables
        self.home = home
        self.base = base
        self.left_out: list[str] = []
        self.written: set[int] = set()
        self.waiting: dict[int, list[tuple[Table, Constraint]]] = {}
        self.classes = names.class_names(tables.values(), home, {*IMPORTS, base})
        self.keys = {oid: self._keys(table) for oid, table in tables.items()}
        self.attributes = {
            oid: names.attributes(table, self.keys[oid]) for oid, table in tables.items()
        }

    def write(self, table: Table) -> str:
        """The class of a table, with the statements that follow it."""
        name = self.classes[table.oid]
        attributes = self.attributes[table.oid]
        self.written.add(table.oid)  # its fields may refer to itself
        fields = [
            call(f"    {attributes[column.name]} = ", self._field(table, column))
            for column in table.columns
        ]
        meta = [*self._meta(table)]
        statements = [*self._statements(table)]
        gap = [""] * 2 if statements else []
        start = [
            f"class {name}({self.base}):",
            f'    """The table {_in_docstring(table.name)}."""',
            "",
        ]
        return "\n".join([*start, *fields, "", *meta, *gap, *statements])

    def _keys(self, table: Table) -> dict[str, Constraint]:
        """The foreign keys that become a field."""
        keys = simple_keys(table)
        return {column: key for column, key in keys.items() if key.target in self.tables}

    def _field(self, table: Table, column: Column) -> list[str]:
        """The field's class, and its arguments."""
        key, options = self.keys[table.oid].get(column.name), [*self._options(table, column)]
        if key and key.target not in self.written:
            self.waiting.setdefault(key.target, []).append((table, key))
        elif key:
            start = self._reference_start(table, column, key)
            options = [*self._reference(table, column, key), *options]
            return [*_class_and_first(start), *options]
        is_key = primary_key(table) == column.name
        start = (key_field(column, table.name) if is_key else None) or field_start(column)
        return [*_class_and_first(start), *options]

    def _reference_start(self, table: Table, column: Column, key: Constraint) -> str:
        """The start of a foreign key's field, of Peewee's own where that has the column's type."""
        target = self.tables[key.target]
        model = '"self"' if target is table else self.classes[key.target]
        (other,) = (it for it in target.columns if it.name == key.target_columns[0])
        is_plain = other.type == column.type and (
            not is_serial(other) or (primary_key(target) == other.name and self._is_auto(target))
        )
        if is_plain:
            return f"ForeignKeyField({model}, "
        return f"TypedForeignKeyField({literal(column.type)}, {model}, "

    def _is_auto(self, table: Table) -> bool:
        """Whether the primary key is one of Peewee's fields that count."""
        return any(
            key_field(column, table.name)
            for column in table.columns
            if column.name == primary_key(table)
        )

    def _reference(self, table: Table, column: Column, key: Constraint) -> Iterator[str]:
        """The options of a foreign key's field that are its own."""
        if key.target_columns[0] != primary_key(self.tables[key.target]):
            yield f"field={literal(self.attributes[key.target][key.target_columns[0]])}"
        if key.name != names.default_foreign_key(table.name, column.name):
            yield f"constraint_name={literal(key.name)}"
        yield from actions(key)
        yield "index=False"
        yield 'backref="+"'
        attributes = self.attributes[table.oid]
        name = attributes[column.name]
        # The second attribute has the value itself.
        usual = f"{name}_id" if name == column.name else column.name
        if usual in attributes.values() or hasattr(Model, usual):
            yield f"object_id_name={literal(f'{usual}_value')}"

    def _options(self, table: Table, column: Column) -> Iterator[str]:
        key = self.keys[table.oid].get(column.name)
        is_key = key is not None and key.target in self.written
        name = self.attributes[table.oid][column.name]
        usual = f"{name}_id" if is_key and not name.endswith("_id") else name
        if column.name != usual:
            yield f"column_name={literal(column.name)}"
        is_primary = primary_key(table) == column.name
        if is_primary and key_field(column, table.name) and not is_key:
            return
        if not column.not_null:
            yield "null=True"
        elif is_primary:
            yield "primary_key=True"
        if column.collation:
            yield f"collation={literal(column.collation)}"
        if sql := clause(column):
            yield f"constraints=[SQL({text(sql)})]"

    def _meta(self, table: Table) -> Iterator[str]:
        yield "    class Meta:"
        if table.schema != self.home:
            yield f"        schema = {literal(table.schema)}"
        yield f"        table_name = {literal(table.name)}"
        composite = composite_key(table)
        if composite:
            names_ = ", ".join(literal(self.attributes[table.oid][name]) for name in composite)
            yield f"        primary_key = CompositeKey({names_})"
        elif primary_key(table) is None:
            yield "        primary_key = False"
        constraints = [
            constraint
            for constraint in table.constraints
            if is_in_table(table, constraint) and not (composite and constraint.type == "p")
        ]
        if constraints:
            yield "        constraints = ["
            yield from (f"            SQL({text(definition(c))})," for c in constraints)
            yield "        ]"
        if dependencies := self._dependencies(table):
            yield f"        depends_on = [{', '.join(dependencies)}]"
        if settings := tuple(self._settings(table)):
            yield f"        table_settings = {settings!r}"

    def _dependencies(self, table: Table) -> list[str]:
        """The classes before this one that its settings and its statements mention."""
        fields = self.keys[table.oid].values()
        keys = [
            key.target
            for key in table.constraints
            if key.target in self.written and key not in fields
        ]
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
            yield _statement(model, "ALTER TABLE", model, "SET UNLOGGED")
        for constraint in table.constraints:
            yield from self._constraint(table, constraint)
        for index in table.indexes:
            yield self._index(table, index)
        for constraint in table.constraints:
            yield from self._key(table, constraint)
        for waiting in self.waiting.pop(table.oid, []):
            yield self._add_key(self.classes[table.oid], *waiting)

    def _index(self, table: Table, index: Index) -> str:
        """The statement for an index: of fields where these have all of it, and else of SQL."""
        model, attributes = self.classes[table.oid], self.attributes[table.oid]
        fields = _columns_of(index, table)
        if fields is None and table.schema == self.home:
            sql = f"{_create(index)} {quote(table.name)} {index.definition}"
            return call("", [f"{model}.add_index", f"SQL({text(sql)})"])
        if fields is None:
            return _statement(model, _create(index), model, index.definition)
        words = [f"{model}.{attributes[name]}" for name in fields]
        words += [f"name={literal(index.name)}"] + ["unique=True"] * index.unique
        return call("", [f"{model}.add_index", *words])

    def _sequence(self, table: Table, column: Column) -> Iterator[str]:
        """The statements that give a serial column's sequence its name and its options."""
        if not column.sequence or column.identity:
            return
        if not is_serial(column):
            self._leave_out(table, f"sequence {column.sequence}", "its column is no serial one")
            return
        model, usual = self.classes[table.oid], names.default_sequence(table.name, column.name)
        if not column.not_null:
            yield _statement(
                model, "ALTER TABLE", model, f"ALTER {quote(column.name)} DROP NOT NULL"
            )
        if column.sequence != usual:
            rename = f"RENAME TO {quote(column.sequence)}"
            yield _statement(model, "ALTER SEQUENCE", _in_schema(model, usual), rename)
        if has_own_options(column):
            options = f"AS {column.sequence_type} {column.sequence_options}"
            yield _statement(model, "ALTER SEQUENCE", _in_schema(model, column.sequence), options)

    def _constraint(self, table: Table, constraint: Constraint) -> Iterator[str]:
        """The statements for what a field and Meta.constraints do not declare."""
        model = self.classes[table.oid]
        if constraint.storage:
            index = _in_schema(model, constraint.name)
            yield _statement(model, "ALTER INDEX", index, f"SET ({constraint.storage})")
        if constraint.type == "c" and not is_in_table(table, constraint):
            yield _statement(model, "ALTER TABLE", model, f"ADD {definition(constraint)}")

    def _key(self, table: Table, key: Constraint) -> Iterator[str]:
        """The statement for a foreign key that no field declares; it may use a unique index."""
        if key.type != "f" or key in self.keys[table.oid].values():
            return
        if key.target not in self.tables:
            self._leave_out(table, f"constraint {key.name}", "it refers to a partition")
        elif key.target in self.written:
            yield self._add_key(self.classes[table.oid], table, key)
        else:
            self.waiting.setdefault(key.target, []).append((table, key))

    def _add_key(self, model: str, table: Table, key: Constraint) -> str:
        """The statement that adds a foreign key, where `model` is the later one of its classes."""
        columns, targets = (", ".join(map(quote, n)) for n in (key.columns, key.target_columns))
        head = f"ADD CONSTRAINT {quote(key.name)} FOREIGN KEY ({columns}) REFERENCES"
        own, target = self.classes[table.oid], self.classes[key.target]
        return _statement(model, "ALTER TABLE", own, head, target, f"({targets}){end_of(key)}")

    def _leave_out(self, table: Table, part: str, reason: str) -> None:
        self.left_out.append(f"{table.schema}.{table.name}, {part}: {reason}")


def _class_and_first(start: str) -> list[str]:
    """The class of a field, and its first arguments if it has some."""
    name, _, arguments = start.removesuffix(", ").partition("(")
    return [name, arguments] if arguments else [name]


def _create(index: Index) -> str:
    return f"CREATE {'UNIQUE ' * index.unique}INDEX {quote(index.name)} ON"


def _in_schema(model: str, name: str) -> str:
    return f"InSchemaOf({model}, {name!r})"


def _statement(model: str, *parts: str) -> str:
    """A statement as a node of Peewee's: SQL at the even places, models and nodes at the odd.

    `model` is the class after whose creation it runs.
    """
    nodes = [part if n % 2 else f"SQL({text(part)})" for n, part in enumerate(parts)]
    return call("", [f"{model}._meta.indexes.append", f"NodeList(({', '.join(nodes)}))"])


def _columns_of(index: Index, table: Table) -> list[str] | None:
    """The columns of an index that has nothing else; None for any other one.

    Peewee makes a GIN index of a jsonb field, whatever the index says.
    """
    found = re.fullmatch(r"USING btree \(([^()]+)\)", index.definition)
    known = {
        name: column.name
        for column in table.columns
        if column.type != "jsonb"
        for name in (column.name, quote(column.name))
    }
    listed = found[1].split(", ") if found else [""]
    return [known[name] for name in listed] if all(name in known for name in listed) else None


def _in_docstring(name: str) -> str:
    """A name that ends no docstring and escapes nothing."""
    return name.replace("\\", "/").replace('"', "'").replace("\n", " ")
