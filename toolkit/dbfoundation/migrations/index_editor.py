"""The SQL of the operations on a table's indexes; each statement is sent when its method is called.

An index on a table that may have rows is built CONCURRENTLY, which needs `atomic = False`. In a
transaction it is refused, also where the table has no row now: a file that passes in development
must pass in production.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import SQL, Entity, ModelIndex, NodeList

from dbfoundation.errors import MigrationError
from dbfoundation.migrations import derived_names
from dbfoundation.migrations.live_table import LiveTable, in_transaction
from dbfoundation.runtime.models import get_meta

if TYPE_CHECKING:
    from peewee import Model, Node, PostgresqlDatabase

    from dbfoundation.migrations.live_table import Index


class IndexEditor:
    """The statements on the indexes of a model's table; `is_new` if the file has created it."""

    def __init__(self, database: PostgresqlDatabase, model: type[Model], *, is_new: bool) -> None:
        self.database = database
        self.model = model
        self.meta: Any = get_meta(model)
        self.is_new = is_new
        self.live = LiveTable(database, self.meta.table_name, self.meta.schema)

    def send(self, *parts: str | Node) -> None:
        """Send one statement, composed of SQL and of Peewee's nodes."""
        nodes = [
            SQL(part) if isinstance(part, str) else part for part in parts if not _is_blank(part)
        ]
        context = self.model._schema._create_context()  # type: ignore[attr-defined] # noqa: SLF001
        self.database.execute_sql(*context.sql(NodeList(nodes)).query())

    def alter(self, *parts: str | Node) -> None:
        self.send("ALTER TABLE", self.meta.entity, *parts)

    def assert_can_index(self) -> None:
        """Raise MigrationError where an index would keep writers out while it is built."""
        if self.is_new or self.live.is_partitioned or not in_transaction(self.database):
            return
        raise MigrationError(
            f"an index on {self.meta.table_name}, which this file has not created, needs "
            "CONCURRENTLY; in a transaction it keeps writers out until it is built.\n"
            "Fix: set `atomic = False`, in a file that does nothing else; a new field gets "
            "index=False, unique=False in the file before"
        )

    def create_index(self, index: ModelIndex) -> None:
        """Create the index.

        Without a transaction, an earlier try of the file may have left it: an INVALID one is
        replaced, and a finished one stays.
        """
        node: Any = index.safe(_safe=False)
        if not self._is_online():
            self.send(node)
            return
        for left in self.live.indexes():
            if left.name == node._name[: derived_names.MAX_BYTES]:  # noqa: SLF001
                if not left.valid:
                    self.drop_index(left)
                elif _is_like(left, node):
                    node = index.safe(_safe=True)
        context = self.model._schema._create_context()  # type: ignore[attr-defined] # noqa: SLF001
        sql, values = context.sql(node).query()
        self.database.execute_sql(sql.replace(" INDEX ", " INDEX CONCURRENTLY ", 1), values)

    def drop_index(self, index: Index) -> None:
        if index.constraint:
            self.alter("DROP CONSTRAINT", Entity(index.constraint))
            return
        online = "CONCURRENTLY" if self._is_online() else ""
        self.send("DROP INDEX", online, escape(index.sql_name))

    def _is_online(self) -> bool:
        return not (self.live.is_partitioned or in_transaction(self.database))

    def find_indexes(self, columns: list[str]) -> list[Index]:
        """The indexes of exactly these columns, in this order, except a primary key's."""
        return [
            index for index in self.live.indexes() if index.columns == columns and not index.primary
        ]

    def find_index(self, columns: list[str], name: str | None) -> Index:
        """The one index of these columns, or of this name; an error lists those there are."""
        known = [index for index in self.live.indexes() if not index.primary]
        found = [
            index
            for index in known
            if (not columns or index.columns == columns) and name in (None, index.name)
        ]
        if len(found) == 1:
            return found[0]
        sought = name or f"of {', '.join(columns)}"
        problem = f"{len(found)} indexes {sought}" if found else f"no index {sought}"
        fix = "give one of them by name=" if found else "correct the fields, or the name"
        listed = ", ".join(map(_describe, found or known)) or "none"
        raise MigrationError(
            f"{self.meta.table_name} has {problem}.\nFix: {fix}; its indexes: {listed}"
        )


def field_index(model: type[Model], field: Any) -> ModelIndex | None:  # noqa: ANN401
    """The index that a field declares, under the name that the models give it."""
    if field.primary_key or not (field.index or field.unique):
        return None
    return ModelIndex(model, (field,), unique=field.unique, using=field.index_type)


def _is_like(index: Index, node: Any) -> bool:  # noqa: ANN401 # a ModelIndex
    """Whether the index is the wanted one; a predicate cannot be compared."""
    wanted = [getattr(part, "column_name", None) for part in node._expressions]  # noqa: SLF001
    method = (node._using or "btree").lower()  # noqa: SLF001
    shape = (wanted, bool(node._unique), method, node._where is None)  # noqa: SLF001
    return shape == (index.columns, index.unique, index.method, not index.partial)


def escape(text: str) -> str:
    return text.replace("%", "%%")


def _is_blank(part: str | Node) -> bool:
    return isinstance(part, str) and not part  # == of a Peewee node is an expression


def _describe(index: Index) -> str:
    return f"{index.name} ({', '.join(column or 'expression' for column in index.columns)})"
