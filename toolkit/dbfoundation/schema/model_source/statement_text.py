"""The statements for what a class cannot declare, which run after its table is created."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dbfoundation.schema.model_source import names
from dbfoundation.schema.model_source.column_text import (
    call,
    has_own_options,
    is_serial,
    literal,
    text,
)
from dbfoundation.schema.model_source.key_text import definition, end_of, is_in_table, renamed_key
from dbfoundation.schema.model_source.names import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbfoundation.schema.model_source.state import State
    from dbfoundation.schema.model_source.tables import Column, Constraint, Index, Table


def write_statements(state: State, table: Table) -> Iterator[str]:
    """The statements for what the class cannot declare, in the order of creation."""
    model = state.classes[table.oid]
    for column in table.columns:
        yield from _sequence(state, table, column)
    if table.unlogged:
        yield _statement(model, "ALTER TABLE", model, "SET UNLOGGED")
    if key := renamed_key(table):
        usual = quote(names.default_primary_key(table.name))
        rename = f"RENAME CONSTRAINT {usual} TO {quote(key.name)}"
        yield _statement(model, "ALTER TABLE", model, rename)
    for constraint in table.constraints:
        yield from _constraint(state, table, constraint)
    for index in table.indexes:
        yield _index(state, table, index)
    for constraint in table.constraints:
        yield from _key(state, table, constraint)
    for waiting in state.waiting.pop(table.oid, []):
        yield _add_key(state, state.classes[table.oid], *waiting)


def _sequence(state: State, table: Table, column: Column) -> Iterator[str]:
    """The statements that give a serial column's sequence its name and its options."""
    if not column.sequence or column.identity:
        return
    if not is_serial(column):
        state.leave_out(table, f"sequence {column.sequence}", "its column is no serial one")
        return
    model, usual = state.classes[table.oid], names.default_sequence(table.name, column.name)
    if not column.not_null:
        yield _statement(model, "ALTER TABLE", model, f"ALTER {quote(column.name)} DROP NOT NULL")
    if column.sequence != usual:
        rename = f"RENAME TO {quote(column.sequence)}"
        yield _statement(model, "ALTER SEQUENCE", _in_schema(model, usual), rename)
    if has_own_options(column):
        options = f"AS {column.sequence_type} {column.sequence_options}"
        yield _statement(model, "ALTER SEQUENCE", _in_schema(model, column.sequence), options)


def _index(state: State, table: Table, index: Index) -> str:
    """The statement for an index: of fields where these have all of it, and else of SQL."""
    model, attributes = state.classes[table.oid], state.attributes[table.oid]
    fields = _columns_of(index, table)
    if fields is None and table.schema == state.home:
        sql = f"{_create(index)} {quote(table.name)} {index.definition}"
        return call("", [f"{model}.add_index", f"SQL({text(sql)})"])
    if fields is None:
        return _statement(model, _create(index), model, index.definition)
    words = [f"{model}.{attributes[name]}" for name in fields]
    words += [f"name={literal(index.name)}"] + ["unique=True"] * index.unique
    return call("", [f"{model}.add_index", *words])


def _constraint(state: State, table: Table, constraint: Constraint) -> Iterator[str]:
    """The statements for what a field and Meta.constraints do not declare."""
    model = state.classes[table.oid]
    if constraint.storage:
        index = _in_schema(model, constraint.name)
        yield _statement(model, "ALTER INDEX", index, f"SET ({constraint.storage})")
    if constraint.type == "c" and not is_in_table(table, constraint):
        yield _statement(model, "ALTER TABLE", model, f"ADD {definition(constraint)}")


def _key(state: State, table: Table, key: Constraint) -> Iterator[str]:
    """The statement for a foreign key that no field declares; it may use a unique index."""
    if key.type != "f" or key in state.keys[table.oid].values():
        return
    if key.target not in state.tables:
        state.leave_out(table, f"constraint {key.name}", "it refers to a partition")
    elif key.target in state.written:
        yield _add_key(state, state.classes[table.oid], table, key)
    else:
        state.waiting.setdefault(key.target, []).append((table, key))


def _add_key(state: State, model: str, table: Table, key: Constraint) -> str:
    """The statement that adds a foreign key, where `model` is the later one of its classes."""
    columns, targets = (", ".join(map(quote, n)) for n in (key.columns, key.target_columns))
    head = f"ADD CONSTRAINT {quote(key.name)} FOREIGN KEY ({columns}) REFERENCES"
    own, target = state.classes[table.oid], state.classes[key.target]
    return _statement(model, "ALTER TABLE", own, head, target, f"({targets}){end_of(key)}")


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
