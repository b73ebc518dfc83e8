"""The tables that become classes: their Python names, and which of them are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbfoundation.schema.model_source import names
from dbfoundation.schema.model_source.imports import IMPORTS
from dbfoundation.schema.model_source.key_text import simple_keys

if TYPE_CHECKING:
    from dbfoundation.schema.model_source.tables import Constraint, Table


class State:
    """The state while the classes are written one after the other.

    `keys` and `attributes` are by the table's OID: the foreign keys that become a field, and the
    name of each field, by their column. `waiting` has the foreign keys to tables without a class
    yet, by the OID of those.
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

    def leave_out(self, table: Table, part: str, reason: str) -> None:
        self.left_out.append(f"{table.schema}.{table.name}, {part}: {reason}")

    def _keys(self, table: Table) -> dict[str, Constraint]:
        """The foreign keys that become a field."""
        keys = simple_keys(table)
        return {column: key for column, key in keys.items() if key.target in self.tables}
