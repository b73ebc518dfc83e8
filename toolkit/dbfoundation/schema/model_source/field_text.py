"""The field of a column: Peewee's own for a key or a reference, and its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peewee import Model

from dbfoundation.schema.model_source import names
from dbfoundation.schema.model_source.column_text import (
    clause,
    is_serial,
    key_field,
    literal,
    plain_field,
    text,
)
from dbfoundation.schema.model_source.key_text import actions, primary_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbfoundation.schema.model_source.state import State
    from dbfoundation.schema.model_source.tables import Column, Constraint, Table


def write_field(state: State, table: Table, column: Column) -> list[str]:
    """The field's class, and its arguments."""
    key, options = state.keys[table.oid].get(column.name), _options(state, table, column)
    if key and key.target in state.written:
        start = _reference_field(state, table, column, key)
        return [*start, *_reference(state, table, column, key), *options]
    if key:
        state.waiting.setdefault(key.target, []).append((table, key))
    is_key = primary_key(table) == column.name
    start = (key_field(column, table.name) if is_key else None) or plain_field(column)
    return [*start, *options]


def _reference_field(state: State, table: Table, column: Column, key: Constraint) -> list[str]:
    """A foreign key's field and its model; Peewee's own field where that has the column's type."""
    target = state.tables[key.target]
    model = '"self"' if target is table else state.classes[key.target]
    (other,) = (it for it in target.columns if it.name == key.target_columns[0])
    is_plain = other.type == column.type and (
        not is_serial(other)
        or (state.primary_keys[key.target] == other.name and key.target in state.counted)
    )
    if is_plain:
        return ["ForeignKeyField", model]
    return ["TypedForeignKeyField", literal(column.type), model]


def _reference(state: State, table: Table, column: Column, key: Constraint) -> Iterator[str]:
    """The options of a foreign key's field that are its own."""
    if key.target_columns[0] != state.primary_keys[key.target]:
        yield f"field={literal(state.attributes[key.target][key.target_columns[0]])}"
    if key.name != names.default_foreign_key(table.name, column.name):
        yield f"constraint_name={literal(key.name)}"
    yield from actions(key)
    yield "index=False"
    yield 'backref="+"'
    attributes = state.attributes[table.oid]
    name = attributes[column.name]
    # The second attribute has the value itself.
    usual = f"{name}_id" if name == column.name else column.name
    if usual in attributes.values() or hasattr(Model, usual):
        yield f"object_id_name={literal(f'{usual}_value')}"


def _options(state: State, table: Table, column: Column) -> Iterator[str]:
    key = state.keys[table.oid].get(column.name)
    is_key = key is not None and key.target in state.written
    name = state.attributes[table.oid][column.name]
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
    if sql := clause(column, table.name):
        yield f"constraints=[SQL({text(sql)})]"
