"""peewee-migrate's operations: each runs when it is called, and does the whole of what it says.

- An operation is checked first: an unknown field or index is an error that lists those there are.
- After it, the catalog shows what the field says, and `migrator.orm` has the model of that state.
- It works on every table of the database; table_models.py has the models.
- table_editor.py has the statements, and the online form of each.
- Nothing else is dropped, such as a view on a table, unless `cascade=True`.

Indexes and constraints are found in the catalog by their columns, whichever name they have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import Model, ModelIndex

from dbfoundation.migrations.derived_names import index_prefix
from dbfoundation.migrations.field_operations import FieldOperations
from dbfoundation.migrations.model_changes import forget_index, rename_table
from dbfoundation.runtime.models import get_meta

if TYPE_CHECKING:
    from peewee import Node

    TModel = type[Model]


class StrictMigrator(FieldOperations):
    """The `migrator` parameter of the functions in a file."""

    # Tables

    def create_model(self, model: Any) -> Any:  # noqa: ANN401 # a model in, the same model out
        """Create the table, its indexes and sequences; an error if it exists."""
        meta = get_meta(model)
        meta.set_database(self.database)
        self.orm.add(model)
        self.new_models.add(model)
        if not self.is_fake:
            model.create_table(safe=False)
            for field in self._deferred_keys(model):
                field.model._schema.create_foreign_key(field)  # noqa: SLF001 # Peewee documents it
        return model

    def _deferred_keys(self, model: TModel) -> list[Any]:
        """The foreign keys that were declared before their table, and whose tables exist now."""
        meta, models = get_meta(model), self.orm.__models__.values()
        keys = {field: None for field in (*meta.refs, *meta.backrefs) if field.deferred}
        return [key for key in keys if key.model in models and key.rel_model in models]

    def remove_model(self, model: TModel | str, *, cascade: bool = False) -> None:
        """Drop the table."""
        model = self.__get_model__(model)
        if not self.is_fake:
            editor = self._editor(model)
            editor.send("DROP TABLE", editor.meta.entity, "CASCADE" if cascade else "")
        self.new_models.discard(model)
        self.orm.remove(model)

    def rename_table(self, model: TModel | str, new_name: str) -> TModel:
        """Rename the table, and the constraints and sequences that are named after it."""
        model = self.__get_model__(model)
        meta = get_meta(model)
        self.orm.remove(model)
        if not self.is_fake:
            prefix = index_prefix(model) if meta.legacy_table_names else new_name
            self._editor(model).rename_table(new_name, prefix)
        rename_table(model, new_name)
        self.orm.add(model)
        return model

    # Indexes and constraints

    def add_index(
        self,
        model: TModel | str,
        *columns: str,
        unique: bool = False,
        **options: Any,  # noqa: ANN401 # ModelIndex's: name, where, using, nulls_distinct
    ) -> TModel:
        """Create an index of some fields, under the name that the models give it."""
        model = self.__get_model__(model)
        fields = self._fields(model, columns)
        index = ModelIndex(model, fields, unique=unique, **options)
        if not self.is_fake:
            editor = self._editor(model)
            editor.assert_can_index()
            editor.create_index(index)
        if len(fields) == 1 and not options:
            fields[0].unique, fields[0].index = unique, not unique
        else:
            get_meta(model).indexes.append(index if options else (columns, unique))
        return model

    def drop_index(self, model: TModel | str, *columns: str, name: str | None = None) -> TModel:
        """Drop the index of some fields, in their order; `name` if there are several."""
        model = self.__get_model__(model)
        fields = self._fields(model, columns)
        if not self.is_fake:
            editor = self._editor(model)
            editor.drop_index(editor.find_index([field.column_name for field in fields], name))
        forget_index(model, fields)
        return model

    def add_constraint(self, model: TModel | str, name: str, constraint: str | Node) -> TModel:
        """Add a constraint under a name, such as "CHECK (price > 0)"."""
        model = self.__get_model__(model)
        if not self.is_fake:
            self._editor(model).add_constraint(name, constraint)
        return model

    def drop_constraints(self, model: TModel | str, *names: str) -> TModel:
        """Drop constraints by their names."""
        model = self.__get_model__(model)
        if not self.is_fake:
            editor = self._editor(model)
            editor.assert_constraints(names)
            for name in names:
                editor.drop_constraint(name)
        return model
