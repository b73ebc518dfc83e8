"""The operations on fields: after each, the column is what its field says.

An operation is checked first, and an unknown field is an error that lists those there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dbfoundation.errors import MigrationError
from dbfoundation.migrations import defaults
from dbfoundation.migrations.base_migrator import BaseMigrator
from dbfoundation.migrations.field_change import FieldChange
from dbfoundation.migrations.index_editor import field_index
from dbfoundation.migrations.model_changes import add_field, remove_field, rename_field, set_aside
from dbfoundation.runtime.models import get_meta

if TYPE_CHECKING:
    from peewee import Model

    TModel = type[Model]


class FieldOperations(BaseMigrator):
    """Add, change, remove and rename fields."""

    def add_fields(
        self,
        model: TModel | str,
        *,
        allow_not_null: bool = False,
        **fields: Any,  # noqa: ANN401
    ) -> TModel:
        """Add columns; a constant default is the server's as well.

        With `allow_not_null`, a field without a default may be NOT NULL, if the table is empty.
        """
        model = self.__get_model__(model)
        meta = get_meta(model)
        editor = None if self.is_fake else self._editor(model)
        for name, field in fields.items():
            if name in meta.fields and not self.is_fake:
                raise MigrationError(
                    f"{meta.table_name} has a field {name} already.\n"
                    "Fix: use change_fields(); or drop the column, if a failed try has left it"
                )
            add_field(model, name, field)
            if editor and not (editor.is_new or allow_not_null):
                defaults.assert_can_add(meta.table_name, name, field)
            if editor and field_index(model, field):
                editor.assert_can_index()
        if editor:
            for field in fields.values():
                editor.add_column(field)
            for field in fields.values():
                if index := field_index(model, field):
                    editor.create_index(index)
        return model

    def change_fields(self, model: TModel | str, **fields: Any) -> TModel:  # noqa: ANN401
        """Make each column what its new field says."""
        model = self.__get_model__(model)
        editor = None if self.is_fake else self._editor(model)
        changes = []
        for name, old in zip(fields, self._fields(model, fields), strict=True):
            column = old.column_name
            set_aside(model, old)
            add_field(model, name, fields[name])
            if editor:
                changes.append(FieldChange(editor, column, old, fields[name]))
        for change in changes:
            change.apply()
        return model

    def remove_fields(  # type: ignore[override] # an unknown parameter is an error
        self,
        model: TModel | str,
        *names: str,
        cascade: bool = False,
    ) -> TModel:
        """Drop columns, and with them their indexes and constraints."""
        model = self.__get_model__(model)
        editor = None if self.is_fake else self._editor(model)
        for field in self._fields(model, names):
            if editor:
                editor.drop_column(field.column_name, cascade=cascade)
            remove_field(model, field)
        return model

    def rename_field(self, model: TModel | str, old_name: str, new_name: str) -> TModel:
        """Rename a column, and the indexes, constraints and sequences that are named after it."""
        model = self.__get_model__(model)
        [field] = self._fields(model, [old_name])
        column = field.column_name
        rename_field(model, field, new_name)
        if not self.is_fake and column != field.column_name:
            self._editor(model).rename_column(column, field.column_name)
        return model

    def add_not_null(self, model: TModel | str, *names: str) -> TModel:
        """Refuse NULL; a row that has one is an error."""
        return self._set_null(model, names, null=False)

    def drop_not_null(self, model: TModel | str, *names: str) -> TModel:
        """Accept NULL."""
        return self._set_null(model, names, null=True)

    def _set_null(self, model: TModel | str, names: tuple[str, ...], *, null: bool) -> TModel:
        model = self.__get_model__(model)
        editor = None if self.is_fake else self._editor(model)
        for field in self._fields(model, names):
            field.null = null
            if editor:
                change = editor.drop_not_null if null else editor.set_not_null
                change(field.column_name)
        return model

    def add_default(self, model: TModel | str, name: str, default: Any) -> TModel:  # noqa: ANN401
        """Set the server's DEFAULT, for rows to come; None drops it."""
        model = self.__get_model__(model)
        [field] = self._fields(model, [name])
        set_aside(model, field)
        field.default = default
        add_field(model, name, field)
        if not self.is_fake:
            defaults.assert_can_set(get_meta(model).table_name, name, field)
            node = None if default is None else defaults.to_sql(field, default)
            self._editor(model).set_default(field.column_name, node)
        return model
