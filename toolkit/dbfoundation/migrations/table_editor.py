"""The SQL of the operations on one table; each statement is sent when its method is called.

On a table that may have rows, which is every table that the file has not created, the online form
is the default:

- NOT NULL follows a CHECK that is validated without blocking writers;
- a CHECK and a foreign key are added NOT VALID, and validated by a second statement;
- an index needs CONCURRENTLY, and so a file with `atomic = False`; in a transaction it is refused.

In a file with `atomic = False`, each statement is its own transaction, so that each lock is short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import SQL, Entity, ForeignKeyField, ModelIndex, NodeList

from dbfoundation.errors import MigrationError
from dbfoundation.migrations import derived_names
from dbfoundation.migrations.field_shape import definition
from dbfoundation.migrations.live_table import LiveTable, in_transaction, similar
from dbfoundation.runtime.models import get_meta

if TYPE_CHECKING:
    from peewee import Model, Node, PostgresqlDatabase

    from dbfoundation.migrations.live_table import Index

VALIDATED_LATER = ("CHECK", "FOREIGN KEY")
BUILDS_INDEX = ("UNIQUE", "PRIMARY KEY")


class TableEditor:
    """The statements that change the table of a model; `is_new` if the file has created it."""

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

    # Columns

    def add_column(self, field: Any) -> None:  # noqa: ANN401 # a field
        if field.sequence:
            self.model._schema.create_sequence(field)  # type: ignore[attr-defined] # noqa: SLF001
        self.alter("ADD COLUMN", definition(self.database, field), *_references(field))

    def drop_column(self, name: str, *, cascade: bool) -> None:
        self.alter("DROP COLUMN", Entity(name), "CASCADE" if cascade else "")

    def rename_column(self, name: str, new_name: str) -> None:
        """Rename the column, and what is named after it."""
        objects = derived_names.derived_objects(self.live)
        self.alter("RENAME COLUMN", Entity(name), "TO", Entity(new_name))
        names = (self.meta.table_name, derived_names.index_prefix(self.model))
        self._rename_objects(objects, names, names, (name, new_name))

    def rename_table(self, new_name: str, new_index_prefix: str) -> None:
        """Rename the table, and what is named after it."""
        objects = derived_names.derived_objects(self.live)
        before = (self.meta.table_name, derived_names.index_prefix(self.model))
        self.alter("RENAME TO", Entity(new_name))
        self.meta.set_table_name(new_name)
        self._rename_objects(objects, before, (new_name, new_index_prefix), ())

    def _rename_objects(
        self,
        objects: list[derived_names.Derived],
        before: tuple[str, str],
        after: tuple[str, str],
        column: tuple[str, ...],
    ) -> None:
        for thing, name in derived_names.renames(objects, before, after, column):
            if thing.kind == "CONSTRAINT":
                self.alter("RENAME CONSTRAINT", Entity(thing.name), "TO", Entity(name))
            else:
                self.send(f"ALTER {thing.kind} {_escape(thing.sql_name)} RENAME TO", Entity(name))

    # NOT NULL and DEFAULT

    def set_not_null(self, column: str) -> None:
        """Refuse NULL from now on; a row that has one is an error.

        The server takes a validated CHECK for its proof, and so does not read the table while it
        keeps everybody out. The constraint of an earlier, failed try is replaced.
        """
        if self.is_new:
            self.alter("ALTER COLUMN", Entity(column), "SET NOT NULL")
            return
        proof = Entity(f"set_not_null_{column}")
        check = NodeList((SQL("CHECK ("), Entity(column), SQL("IS NOT NULL)")))
        self.alter(
            "DROP CONSTRAINT IF EXISTS", proof, ", ADD CONSTRAINT", proof, check, "NOT VALID"
        )
        self.alter("VALIDATE CONSTRAINT", proof)
        self.alter("ALTER COLUMN", Entity(column), "SET NOT NULL")
        self.alter("DROP CONSTRAINT", proof)

    def drop_not_null(self, column: str) -> None:
        self.alter("ALTER COLUMN", Entity(column), "DROP NOT NULL")

    def set_default(self, column: str, default: Node | None) -> None:
        """Set the server's DEFAULT, or drop it; no row is touched."""
        change = ("SET DEFAULT", default) if default is not None else ("DROP DEFAULT",)
        self.alter("ALTER COLUMN", Entity(column), *change)

    # Indexes

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
        self.send(f"DROP INDEX {online} {_escape(index.sql_name)}")

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
        raise MigrationError(
            f"{self.meta.table_name} has {len(found) or 'no'} index{'es' * (len(found) > 1)} "
            f"{sought}.\nFix: name one with name=; its indexes: "
            + (", ".join(map(_describe, found or known)) or "none")
        )

    # Constraints

    def add_constraint(self, name: str, constraint: str | Node) -> None:
        node = SQL(constraint) if isinstance(constraint, str) else constraint
        text = self.database.get_sql_context().sql(node).query()[0].strip().upper()
        if text.startswith(BUILDS_INDEX) and "USING INDEX" not in text:
            self.assert_can_index()
        at_once = not text.startswith(VALIDATED_LATER) or text.endswith("NOT VALID")
        if at_once or not self._validates_later():
            self.alter("ADD CONSTRAINT", Entity(name), node)
            return
        self.alter("ADD CONSTRAINT", Entity(name), node, "NOT VALID")
        self.alter("VALIDATE CONSTRAINT", Entity(name))

    def add_unnamed_constraint(self, constraint: str | Node) -> None:
        """Add a CHECK or a foreign key, which the server names."""
        if not self._validates_later():
            self.alter("ADD", constraint)
            return
        before = {constraint.oid for constraint in self.live.constraints()}
        self.alter("ADD", constraint, "NOT VALID")
        [added] = [c for c in self.live.constraints() if c.oid not in before]
        self.alter("VALIDATE CONSTRAINT", Entity(added.name))

    def _validates_later(self) -> bool:
        """A partitioned table takes no foreign key that is NOT VALID."""
        return not (self.is_new or self.live.is_partitioned)

    def drop_constraint(self, name: str) -> None:
        self.alter("DROP CONSTRAINT", Entity(name))

    def assert_constraints(self, names: tuple[str, ...]) -> None:
        known = [constraint.name for constraint in self.live.constraints()]
        for name in names:
            if name not in known:
                raise MigrationError(
                    f"{self.meta.table_name} has no constraint {name}.\n"
                    f"Fix: correct the name; its constraints: {similar(name, known)}"
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


def _references(field: Any) -> list[Node]:  # noqa: ANN401
    """The constraint of a foreign key in a column's definition.

    In this form the server need not read the table for a column that is NULL in every row.
    """
    if not isinstance(field, ForeignKeyField):
        return []
    nodes: list[Node] = list(field.foreign_key_constraint().nodes)
    texts = [node.sql if isinstance(node, SQL) else "" for node in nodes]
    start = texts.index("FOREIGN KEY")  # the column follows
    return nodes[:start] + nodes[start + 2 :]


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _is_blank(part: str | Node) -> bool:
    return isinstance(part, str) and not part  # == of a Peewee node is an expression


def _describe(index: Index) -> str:
    return f"{index.name} ({', '.join(column or 'expression' for column in index.columns)})"
