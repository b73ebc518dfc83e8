"""The text of a table's class, and of the statements for what the class cannot declare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbfoundation.schema.model_source.column_text import call
from dbfoundation.schema.model_source.field_text import write_field
from dbfoundation.schema.model_source.meta_text import write_meta
from dbfoundation.schema.model_source.statement_text import write_statements

if TYPE_CHECKING:
    from dbfoundation.schema.model_source.state import State
    from dbfoundation.schema.model_source.tables import Table


def write_class(state: State, table: Table) -> str:
    """The class of a table, with the statements that follow it."""
    attributes = state.attributes[table.oid]
    state.written.add(table.oid)  # its fields may refer to itself
    fields = [
        call(f"    {attributes[column.name]} = ", write_field(state, table, column))
        for column in table.columns
    ]
    meta = [*write_meta(state, table)]
    statements = [*write_statements(state, table)]
    gap = [""] * 2 if statements else []
    start = [
        f"class {state.classes[table.oid]}({state.base}):",
        f'    """The table {_in_docstring(table.name)}."""',
        "",
    ]
    return "\n".join([*start, *fields, "", *meta, *gap, *statements])


def _in_docstring(name: str) -> str:
    """A name that ends no docstring and escapes nothing."""
    return name.replace("\\", "/").replace('"', "'").replace("\n", " ")
