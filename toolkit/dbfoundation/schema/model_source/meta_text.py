"""The class Meta of a table: its name, its keys and its constraints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbfoundation.schema.model_source.column_text import literal, text
from dbfoundation.schema.model_source.key_text import (
    composite_key,
    definition,
    is_in_table,
    primary_key,
)
from dbfoundation.schema.model_source.names import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbfoundation.schema.model_source.state import State
    from dbfoundation.schema.model_source.tables import Table


def write_meta(state: State, table: Table) -> Iterator[str]:
    yield "    class Meta:"
    if table.schema != state.home:
        yield f"        schema = {literal(table.schema)}"
    yield f"        table_name = {literal(table.name)}"
    composite = composite_key(table)
    if composite:
        listed = ", ".join(literal(state.attributes[table.oid][name]) for name in composite)
        yield f"        primary_key = CompositeKey({listed})"
    elif primary_key(table) is None:
        yield "        primary_key = False"
    if constraints := [it for it in table.constraints if is_in_table(table, it)]:
        yield "        constraints = ("
        yield from (f"            SQL({text(definition(c))})," for c in constraints)
        yield "        )"
    if dependencies := _dependencies(state, table):
        yield f"        depends_on = ({', '.join(dependencies)}{',' * (len(dependencies) == 1)})"
    if settings := tuple(_settings(state, table)):
        yield f"        table_settings = {settings!r}"


def _dependencies(state: State, table: Table) -> list[str]:
    """The classes before this one that its settings and its statements mention."""
    fields = state.keys[table.oid].values()
    keys = [
        key.target for key in table.constraints if key.target in state.written and key not in fields
    ]
    waiting = [other.oid for other, _ in state.waiting.get(table.oid, [])]
    oids = {*table.parents, *keys, *waiting} - {table.oid}
    return sorted(state.classes[oid] for oid in oids)


def _settings(state: State, table: Table) -> Iterator[str]:
    parents = [state.tables[oid] for oid in table.parents]
    if any(parent.schema != state.home for parent in parents):
        state.leave_out(table, "INHERITS", "its parent is in another schema")
    elif parents:
        yield f"INHERITS ({', '.join(quote(parent.name) for parent in parents)})"
    if table.partitioning:
        yield f"PARTITION BY {table.partitioning}"
    if table.storage:
        yield f"WITH ({table.storage})"
