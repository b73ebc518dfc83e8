"""The SQL of the operations on one table; each statement is sent when its method is called.

On a table that may have rows, which is every table that the file has not created, the online form
is the default:

- NOT NULL follows a CHECK that is validated without blocking writers;
- a CHECK and a foreign key are added NOT VALID, and validated by a second statement;
- an index needs CONCURRENTLY, as index_editor.py explains.

In a file with `atomic = False`, each statement is its own transaction, so that each lock is short.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from peewee import SQL, Entity, ForeignKeyField, IntegrityError, NodeList

from dbfoundation.errors import MigrationError
from dbfoundation.migrations import derived_names
from dbfoundation.migrations.defaults import has_own_default, server_default
from dbfoundation.migrations.field_shape import definition
from dbfoundation.migrations.index_editor import IndexEditor, escape
from dbfoundation.migrations.live_table import in_transaction, similar

if TYPE_CHECKING:
    from peewee import Node

VALIDATED_LATER = ("CHECK", "FOREIGN KEY")
BUILDS_INDEX = ("UNIQUE", "PRIMARY KEY")
CHECK = re.compile(r'(CONSTRAINT\s+("[^"]+"|\w+)\s+)?CHECK\b', re.IGNORECASE)


class TableEditor(IndexEditor):
    """The statements that change the table of a model; `is_new` if the file has created it."""

    # Columns

    def add_column(self, field: Any) -> None:  # noqa: ANN401 # a field
        """Add the column; a constraint that the server would check row by row follows it.

        In a column's definition, a foreign key is not checked while the column is NULL everywhere.
        """
        if field.sequence:
            self.model._schema.create_sequence(field)  # type: ignore[attr-defined] # noqa: SLF001
        later = [] if self.is_new else self._checks(field)
        inline: list[Node] = []
        if isinstance(field, ForeignKeyField):
            has_value = server_default(field) is not None or has_own_default(field)
            inline, key = _references(field), field.foreign_key_constraint()
            if has_value and not self.is_new:
                inline, later = [], [*later, key]
        parts = definition(self.database, field).nodes
        kept = [part for part in parts if not any(part is check for check in later)]
        self.alter("ADD COLUMN", *kept, *inline)
        for constraint in later:
            self.add_declared_constraint(constraint)

    def _checks(self, field: Any) -> list[Node]:  # noqa: ANN401
        return [node for node in field.constraints or () if CHECK.match(self._text(node))]

    def _text(self, node: Node) -> str:
        text: str = self.database.get_sql_context().sql(node).query()[0]
        return text.strip()

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
                self.send(f"ALTER {thing.kind} {escape(thing.sql_name)} RENAME TO", Entity(name))

    # NOT NULL and DEFAULT

    def set_not_null(self, column: str) -> None:
        """Refuse NULL from now on; a row that has one is an error.

        The server takes a validated CHECK for its proof, and so does not read the table while it
        keeps everybody out. The constraint of an earlier, failed try is replaced.
        """
        if self.is_new:
            self.alter("ALTER COLUMN", Entity(column), "SET NOT NULL")
            return
        name = f"set_not_null_{column}"
        proof = Entity(name)
        is_set = NodeList((Entity(column), SQL("IS NOT NULL")), parens=True)
        replace = NodeList((SQL("DROP CONSTRAINT IF EXISTS "), proof, SQL(", ")), glue="")
        self.alter(replace, "ADD CONSTRAINT", proof, "CHECK", is_set, "NOT VALID")
        try:
            self._validate(name)
        except IntegrityError as error:
            raise MigrationError(
                f"{self.meta.table_name}.{column} is NULL in some row.\n"
                "Fix: UPDATE those rows first"
            ) from error
        self.alter("ALTER COLUMN", Entity(column), "SET NOT NULL")
        self.alter("DROP CONSTRAINT", proof)

    def drop_not_null(self, column: str) -> None:
        self.alter("ALTER COLUMN", Entity(column), "DROP NOT NULL")

    def set_default(self, column: str, default: Node | None) -> None:
        """Set the server's DEFAULT, or drop it; no row is touched."""
        change = ("SET DEFAULT", default) if default is not None else ("DROP DEFAULT",)
        self.alter("ALTER COLUMN", Entity(column), *change)

    # Constraints

    def add_constraint(self, name: str, constraint: str | Node) -> None:
        node = SQL(constraint) if isinstance(constraint, str) else constraint
        text = self._text(node).upper()
        if text.startswith(BUILDS_INDEX) and "USING INDEX" not in text and not self.is_new:
            raise MigrationError(
                f"the constraint {name} would keep everybody out of {self.meta.table_name}, which "
                "this file has not created, while its index is built.\n"
                f"Fix: set `atomic = False`, add_index(..., unique=True, name={name!r}), and then "
                f"give this constraint as '{text.split('(')[0].strip()} USING INDEX {name}'"
            )
        at_once = not text.startswith(VALIDATED_LATER) or text.endswith("NOT VALID")
        if at_once or not self._validates_later():
            self.alter("ADD CONSTRAINT", Entity(name), node)
            return
        self.alter("ADD CONSTRAINT", Entity(name), node, "NOT VALID")
        self._validate(name)

    def add_declared_constraint(self, constraint: str | Node) -> None:
        """Add a CHECK or a foreign key, which has a name in its SQL or gets one by the server."""
        if not self._validates_later():
            self.alter("ADD", constraint)
            return
        before = {constraint.oid for constraint in self.live.constraints()}
        self.alter("ADD", constraint, "NOT VALID")
        [added] = [c for c in self.live.constraints() if c.oid not in before]
        self._validate(added.name)

    def _validate(self, name: str) -> None:
        """Validate a constraint; without a transaction, one that is violated is dropped again."""
        try:
            self.alter("VALIDATE CONSTRAINT", Entity(name))
        except IntegrityError:
            if not in_transaction(self.database):
                self.drop_constraint(name)
            raise

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


def _references(field: ForeignKeyField[Any]) -> list[Node]:
    """The constraint of a foreign key in its column's definition."""
    nodes: list[Node] = list(field.foreign_key_constraint().nodes)
    texts = [node.sql if isinstance(node, SQL) else "" for node in nodes]
    start = texts.index("FOREIGN KEY")  # the column follows
    return nodes[:start] + nodes[start + 2 :]
