"""peewee-migrate's operations: each runs when it is called, and does the whole of what it says.

- An operation is checked first: an unknown field or index is an error that lists those there are.
- After it, the catalog shows what the field says, and `migrator.orm` has the model of that state.
- It works on every table of the database; table_models.py has the models.
- table_editor.py has the statements, and the online form of each.
- Nothing else is dropped, such as a view on a table, unless `cascade=True`.

Indexes and constraints are found in the catalog by their columns, whichever name they have.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from peewee import MetaField, Model, ModelIndex
from peewee_migrate import Migrator

from dbfoundation.errors import MigrationError
from dbfoundation.migrations import defaults
from dbfoundation.migrations.derived_names import index_prefix
from dbfoundation.migrations.field_change import FieldChange
from dbfoundation.migrations.live_table import similar
from dbfoundation.migrations.offline import OfflineDatabase
from dbfoundation.migrations.table_editor import TableEditor, field_index
from dbfoundation.migrations.table_models import ModelRegistry, placeholder, remove_field
from dbfoundation.runtime.models import get_meta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peewee import Field, Node, PostgresqlDatabase

    TModel = type[Model]


class StrictMigrator(Migrator):
    """The `migrator` parameter of the functions in a file.

    `replay` runs the applied files with another StrictMigrator, which sends nothing: its
    operations change its models only. It has no server, and looks tables up in the `catalog`.
    """

    def __init__(
        self,
        database: PostgresqlDatabase,
        replay: Callable[[StrictMigrator], None],
        catalog: PostgresqlDatabase | None = None,
    ) -> None:
        super().__init__(database)
        self.database = database
        self.replay = replay
        self.orm: ModelRegistry = ModelRegistry(database, self._load_models, catalog)
        self.new_models: set[TModel] = set()

    @property
    def is_fake(self) -> bool:
        return self.orm.is_fake

    def begin_file(self) -> None:
        """Forget which tables the file before has created."""
        self.new_models.clear()

    def __call__(self) -> None:
        """Do nothing: peewee-migrate's way to run the operations so far, which have run."""

    @contextmanager
    def fake(self) -> Iterator[StrictMigrator]:
        """Let the operations of the block change the models only."""
        before, self.orm.is_fake = self.orm.is_fake, True
        try:
            yield self
        finally:
            self.orm.is_fake = before

    def sql(self, sql: str, *params: object) -> None:
        """Send a statement."""
        if not self.is_fake:
            self.database.execute_sql(sql, params)

    def run(self, func: Callable[..., object], *args: object, **kwargs: object) -> None:
        """Call a function, which may send statements."""
        if not self.is_fake:
            func(*args, **kwargs)

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
        meta.set_table_name(new_name)
        if hasattr(meta, "reflected"):
            model.__name__ = ".".join(part for part in (meta.schema, new_name) if part)
        for index in meta.indexes:
            if isinstance(index, ModelIndex):
                index._table = meta.table  # type: ignore[attr-defined] # noqa: SLF001 # it keeps its table
        self.orm.add(model)
        return model

    # Fields

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
            _add_field(model, name, field)
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
            _forget(model, old)
            _add_field(model, name, fields[name])
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
        indexes = get_meta(model).indexes
        _forget(model, field)
        field.column_name = field.object_id_name = None
        _add_field(model, new_name, field)
        get_meta(model).indexes = [_with_renamed(index, old_name, new_name) for index in indexes]
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
        _forget(model, field)
        field.default = default
        _add_field(model, name, field)
        if defaults.is_callable(field):
            raise MigrationError(
                f"{get_meta(model).table_name}.{name}: the server cannot call this default.\n"
                'Fix: give a constant, or one of the server\'s: SQL("gen_random_uuid()")'
            )
        if not self.is_fake:
            node = None if default is None else defaults.to_sql(field, default)
            self._editor(model).set_default(field.column_name, node)
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
        meta = get_meta(model)
        fields = self._fields(model, columns)
        if not self.is_fake:
            editor = self._editor(model)
            editor.drop_index(editor.find_index([field.column_name for field in fields], name))
        if len(fields) == 1:
            fields[0].unique = fields[0].index = False
        meta.indexes = [index for index in meta.indexes if not _is_of(index, fields)]
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

    # Models

    def __get_model__(self, model: TModel | str) -> TModel:  # type: ignore[override] # its seam
        return self.orm.find(model) if isinstance(model, str) else self.orm.follow_catalog(model)

    def _editor(self, model: TModel) -> TableEditor:
        return TableEditor(self.database, model, is_new=model in self.new_models)

    def _fields(self, model: TModel, names: Any) -> list[Any]:  # noqa: ANN401 # an iterable
        """The fields of these names, or columns; raises MigrationError for an unknown one.

        The models of a replay do not have what SQL has added, so that they take any name.
        """
        meta = get_meta(model)
        if self.is_fake:
            for name in names:
                if name not in meta.combined:
                    placeholder(model, name)
        if unknown := [name for name in names if name not in meta.combined]:
            raise MigrationError(
                f"{meta.table_name} has no field {', '.join(unknown)}.\n"
                f"Fix: correct the name; its fields: {similar(unknown[0], list(meta.fields))}"
            )
        return [meta.combined[name] for name in names]

    def _load_models(self) -> None:
        """Add the models of the applied files; those that this run created replace them."""
        offline = StrictMigrator(OfflineDatabase(), self.replay, self.database)
        self.replay(offline)
        models = [model for model in offline.orm if not hasattr(get_meta(model), "reflected")]
        for model in models:
            model.bind(self.database)
        earlier = self.orm.__models__, self.orm.__tables__
        self.orm.__models__ = {model.__name__: model for model in models} | earlier[0]
        self.orm.__tables__ = {get_meta(model).table_name: model for model in models} | earlier[1]


def _add_field(model: TModel, name: str, field: Field) -> None:
    """Bind the field to the model; a key without a column, as of many to many, is refused."""
    if isinstance(field, MetaField):
        raise MigrationError(f"{name} is a {type(field).__name__}, which has no column")
    meta = get_meta(model)
    if field.primary_key:
        meta.set_primary_key(name, field)
    else:
        meta.add_field(name, field)


def _forget(model: TModel, field: Any) -> None:  # noqa: ANN401
    """Remove a field that another one replaces; the indexes of several fields stay."""
    meta = get_meta(model)
    indexes = meta.indexes
    remove_field(model, field)
    meta.indexes = indexes


def _with_renamed(index: Any, old: str, new: str) -> Any:  # noqa: ANN401
    if not isinstance(index, tuple | list):
        return index
    return tuple(new if name == old else name for name in index[0]), index[1]


def _is_of(index: Any, fields: list[Any]) -> bool:  # noqa: ANN401
    """Whether an entry of Meta.indexes is the index of these fields."""
    if isinstance(index, ModelIndex):
        parts = list(index._expressions)  # type: ignore[attr-defined] # noqa: SLF001
        return len(parts) == len(fields) and all(a is b for a, b in zip(parts, fields, strict=True))
    if not isinstance(index, tuple | list):
        return False
    names = [(field.name, field.column_name) for field in fields]
    return len(index[0]) == len(names) and all(
        part in pair for part, pair in zip(index[0], names, strict=True)
    )
