"""change_fields: a column becomes what its new field says, or the change is refused as a whole.

Each part is compared with the catalog, and a part that agrees is left alone. So no table is
rewritten for a type that it has, and a file with `atomic = False` goes on where it failed.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from peewee import SQL, Entity, ForeignKeyField, NodeList, PeeweeException

from dbfoundation.errors import MigrationError
from dbfoundation.migrations.defaults import server_default
from dbfoundation.migrations.field_shape import shape_of
from dbfoundation.migrations.foreign_keys import declared_parts, live_parts
from dbfoundation.migrations.index_editor import escape, field_index
from dbfoundation.runtime.models import get_meta
from dbfoundation.runtime.server_errors import server_message, sqlstate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import Node

    from dbfoundation.migrations.live_table import Column, Constraint, Index
    from dbfoundation.migrations.table_editor import TableEditor

ANOTHER_WAY = "Fix: add another field, copy the values with an UPDATE, and remove this one"
FIXES = {
    "42846": ANOTHER_WAY,  # cannot cast
    "42804": ANOTHER_WAY,  # no cast of this kind
    "0A000": "Fix: drop in this file what uses the column, and create it again after the change",
}


class FieldChange:
    """The change of one column from `old`, the field until now, to `new`.

    Both are bound to the model, and `column` is the name in the database before the change. To
    create this object is to check the change; apply() sends the statements.
    """

    def __init__(self, editor: TableEditor, column: str, old: Any, new: Any) -> None:  # noqa: ANN401
        self.editor = editor
        self.old = old
        self.new = new
        self.live: Column = editor.live.columns[column]
        self._read(column)
        self.shape = shape_of(editor.live, column, new)
        self.old_checks = self._declared_checks()
        self._assert_possible()

    @property
    def name(self) -> str:
        column: str = self.new.column_name
        return column

    def apply(self) -> None:
        """Send the statements; what prevents the new type is dropped first."""
        if self.live.name != self.name:
            self.editor.rename_column(self.live.name, self.name)
            self._read(self.name)
        if not self._keeps_index():
            for index in self.indexes:
                self.editor.drop_index(index)
        self._drop_constraints()
        self._change_column()
        self._change_null()
        self._add_constraints()
        if not self._keeps_index() and (wanted := field_index(self.editor.model, self.new)):
            self.editor.create_index(wanted)

    def _read(self, column: str) -> None:
        """Read the column's index and foreign keys, which a rename renames."""
        self.indexes = self._own_indexes(column)
        self.foreign_keys = [
            constraint
            for constraint in self.editor.live.constraints()
            if constraint.kind == "f" and constraint.columns == [column]
        ]

    # Refusals

    def _assert_possible(self) -> None:
        wanted, name = self.shape.column, f"{self.editor.meta.table_name}.{self.live.name}"
        is_key = any(i.primary and self.live.name in i.columns for i in self.editor.live.indexes())
        if bool(self.new.primary_key) is not is_key and not get_meta(self.new.model).composite_key:
            raise MigrationError(
                f"{name}: change_fields cannot make or unmake a primary key.\nFix: use SQL"
            )
        if self._is_generated_differently() or (self.live.generated or "") != (
            wanted.generated or ""
        ):
            raise MigrationError(
                f"{name}: the server cannot change how a column is generated.\n{ANOTHER_WAY}"
            )
        if _others(self.new) != _others(self.old):
            raise MigrationError(
                f"{name}: change_fields takes no UNIQUE among the constraints.\n"
                "Fix: use unique=True"
            )
        if not self._keeps_index() and field_index(self.editor.model, self.new):
            self.editor.assert_can_index()

    def _is_generated_differently(self) -> bool:
        """Whether one of the two numbers its rows, and the other does not, or otherwise."""
        if self.live.identity or self.shape.column.identity:
            return self.live.identity != self.shape.column.identity
        return bool(self.new.auto_increment) and "nextval(" not in (self.live.default or "")

    # Parts

    def _change_column(self) -> None:
        """Change type, collation and DEFAULT in one statement, so that the table is read once."""
        changes = self._changes()
        if changes:
            with _explain_refusal():
                self.editor.alter(NodeList([NodeList(change) for change in changes], glue=", "))
        if self.new.auto_increment and self.live.type != self.shape.column.type:
            for sequence in self.editor.live.sequences():
                if sequence.column == self.name and not self.live.identity:
                    self.editor.send(
                        f"ALTER SEQUENCE {sequence.sql_name} AS {self.shape.column.type}"
                    )

    def _changes(self) -> list[list[Node]]:
        wanted, alter = self.shape.column, [SQL("ALTER COLUMN"), Entity(self.name)]
        changes: list[list[Node]] = []
        retyped = (self.live.type, self.live.collation) != (wanted.type, wanted.collation)
        redefault = not self.new.auto_increment and (self.live.default != wanted.default or retyped)
        if redefault and self.live.default is not None:
            changes.append([*alter, SQL("DROP DEFAULT")])
        if retyped:
            collate = f" COLLATE {wanted.collation}" if wanted.collation else ""
            changes.append([*alter, SQL(f"TYPE {wanted.type}{collate}"), *self._using()])
        if redefault and wanted.default is not None:
            default = server_default(self.new) or SQL(escape(wanted.default))
            changes.append([*alter, SQL("SET DEFAULT"), default])
        return changes

    def _using(self) -> list[Node]:
        """The cast between two types.

        It names the type without its length, so that a value which is too long is an error, as an
        explicit cast to varchar(5) would shorten it.
        """
        wanted = self.shape.column
        if self.live.base_type == wanted.base_type:
            return []
        cast = NodeList((Entity(self.name), SQL(f"::{wanted.base_type}")), glue="")
        return [SQL("USING"), cast]

    def _change_null(self) -> None:
        if self.shape.column.not_null and not self.live.not_null:
            self.editor.set_not_null(self.name)
        if self.live.not_null and not self.shape.column.not_null:
            self.editor.drop_not_null(self.name)

    def _own_indexes(self, column: str) -> list[Index]:
        """The indexes that the field until now declares: those of exactly its column.

        A table that SQL created has the index of the new field perhaps, under a name of its own.
        """
        found = [index for index in self.editor.find_indexes([column]) if not index.partial]
        if self.old.index or self.old.unique:
            return found
        is_reflected = hasattr(self.editor.meta, "reflected")
        return [
            index for index in found if is_reflected and [_shape(index)] == self._wanted_shapes()
        ]

    def _wanted_shapes(self) -> list[tuple[bool, str]]:
        if field_index(self.editor.model, self.new) is None:
            return []
        return [(bool(self.new.unique), str(self.new.index_type or "btree").lower())]

    def _keeps_index(self) -> bool:
        return [_shape(index) for index in self.indexes if index.valid] == self._wanted_shapes()

    def _drop_constraints(self) -> None:
        gone = {
            c.name
            for c in self.editor.live.constraints()
            if c.oid in self.old_checks and c.definition not in self.shape.checks
        }
        if not self._keeps_foreign_key():
            gone |= {constraint.name for constraint in self._own_foreign_keys()}
        for name in sorted(gone):
            self.editor.drop_constraint(name)

    def _declared_checks(self) -> set[int]:
        """The OIDs of the checks that the field until now declares."""
        if not self.old.constraints:
            return set()
        checks = shape_of(self.editor.live, self.live.name, self.old).checks
        return {c.oid for c in self.editor.live.constraints() if c.definition in checks}

    def _own_foreign_keys(self) -> list[Constraint]:
        """Those that the fields declare; one of SQL stays, unless the new field is one as well."""
        declared = isinstance(self.old, ForeignKeyField) or isinstance(self.new, ForeignKeyField)
        return self.foreign_keys if declared else []

    def _keeps_foreign_key(self) -> bool:
        if not isinstance(self.new, ForeignKeyField):
            return not self._own_foreign_keys()
        return [live_parts(key) for key in self.foreign_keys] == [
            declared_parts(self.editor.database, self.new)
        ]

    def _add_constraints(self) -> None:
        existing = {c.definition for c in self.editor.live.constraints()}
        for definition, sql in self.shape.checks.items():
            if definition not in existing:
                self.editor.add_declared_constraint(escape(sql))
        if isinstance(self.new, ForeignKeyField) and not self._keeps_foreign_key():
            self.editor.add_declared_constraint(self.new.foreign_key_constraint())
        elif isinstance(self.new, ForeignKeyField):
            self._rename_foreign_key(self.foreign_keys[0].name)

    def _rename_foreign_key(self, name: str) -> None:
        """Give the key the name that the new field declares, or no longer declares."""
        wanted = self.new.constraint_name
        if wanted is None and name == getattr(self.old, "constraint_name", None):
            wanted = f"{self.editor.meta.table_name}_{self.name}_fkey"
        if wanted not in (None, name):
            self.editor.alter("RENAME CONSTRAINT", Entity(name), "TO", Entity(wanted))


@contextmanager
def _explain_refusal() -> Iterator[None]:
    """Add a fix to the server's refusal of a type."""
    try:
        yield
    except PeeweeException as error:
        if (fix := FIXES.get(sqlstate(error) or "")) is None:
            raise
        raise MigrationError(f"{server_message(error)}\n{fix}") from error


def _shape(index: Index) -> tuple[bool, str]:
    return index.unique, index.method


def _others(field: Any) -> frozenset[str]:  # noqa: ANN401
    return frozenset(
        text for c in field.constraints or () if "UNIQUE" in (text := getattr(c, "sql", "").upper())
    )
