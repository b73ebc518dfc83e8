"""A foreign key as a field declares it, and as the catalog has it, in one form to compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbfoundation.migrations.live_table import find
from dbfoundation.runtime.models import get_meta

if TYPE_CHECKING:
    from peewee import PostgresqlDatabase

    from dbfoundation.migrations.live_table import Constraint

ACTIONS = {
    None: "a",
    "NO ACTION": "a",
    "RESTRICT": "r",
    "CASCADE": "c",
    "SET NULL": "n",
    "SET DEFAULT": "d",
}


def declared_parts(database: PostgresqlDatabase, field: Any) -> tuple[object, ...]:  # noqa: ANN401
    """The table, column and actions of a ForeignKeyField."""
    meta = get_meta(field.rel_model)
    target = find(database, meta.table_name, meta.schema)
    deferrable = (field.deferrable or "NOT DEFERRABLE").upper()
    return (
        target and target[0],
        field.rel_field.column_name,
        ACTIONS.get(field.on_delete and field.on_delete.upper()),
        ACTIONS.get(field.on_update and field.on_update.upper()),
        not deferrable.startswith("NOT"),
        "INITIALLY DEFERRED" in deferrable,
    )


def live_parts(key: Constraint) -> tuple[object, ...]:
    """The same of a constraint."""
    return (
        key.target,
        key.target_column,
        key.on_delete,
        key.on_update,
        key.deferrable,
        key.deferred,
    )
