"""The tables that become classes: their Python names, and which of them are written."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING

from peewee import AutoField, Field

from dbfoundation.runtime.models import get_meta
from dbfoundation.schema.model_source import names
from dbfoundation.schema.model_source.column_text import key_field
from dbfoundation.schema.model_source.imports import IMPORTS
from dbfoundation.schema.model_source.key_text import primary_key, simple_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from peewee import Model

    from dbfoundation.schema.model_source.tables import Constraint, Table


class State:
    """The state while the classes are written one after the other.

    `tables` are those to write and those that have a model, by OID. `keys` and `attributes` are by
    the table's OID: the foreign keys that become a field, and the name of each field, by their
    column. `primary_keys` are the columns of the keys that a field declares; `counted` has the OIDs
    of those that are an AutoField. `waiting` has the foreign keys to tables without a class yet, by
    the OID of those.
    """

    def __init__(
        self,
        tables: Mapping[int, Table],
        modelled: Mapping[int, tuple[Table, type[Model]]],
        home: str,
        base: str,
        taken: Collection[str] = (),
    ) -> None:
        self.tables = {oid: table for oid, (table, _) in modelled.items()} | {**tables}
        self.home = home
        self.base = base
        self.left_out: list[str] = []
        self.written = {*modelled}
        self.waiting: dict[int, list[tuple[Table, Constraint]]] = {}
        taken = {*IMPORTS, *dir(builtins), base, *taken}
        self.classes = names.class_names(tables.values(), home, taken)
        self.attributes: dict[int, dict[str, str]] = {}
        self.primary_keys = {oid: primary_key(table) for oid, table in tables.items()}
        self.counted = {oid for oid, table in tables.items() if _counts(table)}
        for oid, (_, model) in modelled.items():
            self._add_model(oid, model)
        self.keys = {oid: self._keys(table) for oid, table in tables.items()}
        used = {*IMPORTS, *self.classes.values()}
        for oid, table in tables.items():
            self.attributes[oid] = names.attributes(table, self.keys[oid], used)

    def leave_out(self, table: Table, part: str, reason: str) -> None:
        self.left_out.append(f"{table.schema}.{table.name}, {part}: {reason}")

    def _add_model(self, oid: int, model: type[Model]) -> None:
        meta = get_meta(model)
        self.classes[oid] = model.__name__
        self.attributes[oid] = {name: field.name for name, field in meta.columns.items()}
        key = meta.primary_key
        self.primary_keys[oid] = key.column_name if isinstance(key, Field) else None
        if isinstance(key, AutoField):
            self.counted.add(oid)

    def _keys(self, table: Table) -> dict[str, Constraint]:
        """The foreign keys that become a field; a model may lack the column."""
        return {
            column: key
            for column, key in simple_keys(table).items()
            if key.target in self.tables
            and key.target_columns[0] in self.attributes.get(key.target, key.target_columns)
        }


def _counts(table: Table) -> bool:
    """Whether the primary key is one of Peewee's fields that count."""
    return any(
        key_field(column, table.name)
        for column in table.columns
        if column.name == primary_key(table)
    )
