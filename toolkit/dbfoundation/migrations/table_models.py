"""The models of `migrator.orm`: of this run's files, of the applied files, and of the catalog.

The applied files are run without a server, once, when a name is not known: they have the classes,
whose names the indexes have, and fields that convert values. A table that no file has created by
create_model gets a model of its columns in the catalog; its class is not known, so that its indexes
are named after the table. A model whose table SQL has changed gets the columns of the catalog.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import peewee as pw
from peewee_migrate.migrator import ORM
from playhouse import postgres_ext as ext

from dbfoundation.migrations.derived_names import index_name
from dbfoundation.migrations.live_table import LiveTable, find
from dbfoundation.migrations.model_changes import remove_field
from dbfoundation.runtime.models import get_meta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dbfoundation.migrations.live_table import Column, Index

    TModel = type[pw.Model]

FIELDS: dict[str, Callable[..., Any]] = {
    "smallint": pw.SmallIntegerField,
    "integer": pw.IntegerField,
    "bigint": pw.BigIntegerField,
    "real": pw.FloatField,
    "double precision": pw.DoubleField,
    "boolean": pw.BooleanField,
    "text": pw.TextField,
    "character varying": partial(pw.CharField, max_length=None),
    "numeric": pw.DecimalField,
    "date": pw.DateField,
    "time without time zone": pw.TimeField,
    "timestamp without time zone": pw.DateTimeField,
    "timestamp with time zone": ext.DateTimeTZField,
    "interval": ext.IntervalField,
    "bytea": pw.BlobField,
    "uuid": pw.UUIDField,
    "json": ext.JSONField,
    "jsonb": ext.BinaryJSONField,
}
# With the number of their sizes.
SIZED: dict[str, tuple[Callable[..., Any], int]] = {
    "character varying": (pw.CharField, 1),
    "bpchar": (pw.FixedCharField, 1),
    "numeric": (pw.DecimalField, 2),
}
COUNTERS = {"integer": pw.AutoField, "bigint": pw.BigAutoField}


class ModelRegistry(ORM):
    """The models by name and by table; `load` adds those of the applied files.

    While `is_fake`, the models need not agree with the `catalog`, and a table that is not there
    gets a model with a key only.
    """

    def __init__(
        self,
        database: pw.PostgresqlDatabase,
        load: Callable[[], None],
        catalog: pw.PostgresqlDatabase | None,
    ) -> None:
        super().__init__()
        self.database = database
        self.load = load
        self.catalog = catalog or database
        self.is_fake = self.loaded = catalog is not None

    def find(self, name: str) -> TModel:
        """The model of this name or table; raises MigrationError when there is neither."""
        model = self.known(name)
        if model is None:
            self.load_all()
            model = self.known(name)
        return self.reflect(name) if model is None else self.follow_catalog(model)

    def reflect(self, name: str) -> TModel:
        """A new model for a table of the catalog, `table` or `schema.table`."""
        schema, _, table = name.rpartition(".")
        is_there = find(self.catalog, table, schema or None) is not None
        model = _new_model(self.database, name, has_key=not is_there)
        if is_there or not self.is_fake:
            _add_columns(model, LiveTable(self.catalog, table, schema or None))
        self.add(model)
        return model

    def follow_catalog(self, model: TModel) -> TModel:
        """Remove the fields whose columns are gone, and add those of new columns."""
        if self.is_fake:
            return model
        meta = get_meta(model)
        live = LiveTable(self.catalog, meta.table_name, meta.schema)
        for name, field in list(meta.columns.items()):
            if name not in live.columns:
                remove_field(model, field)
        _add_columns(model, live)
        return model

    def add(self, model: TModel) -> None:
        """Add a model; one of another schema, without a class, has the qualified name only."""
        super().add(model)
        if "." in model.__name__:
            del self.__tables__[get_meta(model).table_name]

    def remove(self, model: TModel) -> None:
        """Remove a model; another one of the same name stays."""
        for models in (self.__models__, self.__tables__):
            for name in [name for name, other in models.items() if other is model]:
                del models[name]

    def known(self, name: str) -> TModel | None:
        model: TModel | None = self.__models__.get(name) or self.__tables__.get(name)
        return model

    def load_all(self) -> None:
        if not self.loaded:
            self.loaded = True
            self.load()

    def __getattr__(self, name: str) -> TModel:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.find(name)

    def __getitem__(self, name: str) -> TModel:
        return self.find(name)

    def __iter__(self) -> Iterator[TModel]:
        self.load_all()
        return iter(self.__models__.values())


def _new_model(database: pw.PostgresqlDatabase, name: str, *, has_key: bool) -> TModel:
    """A model without columns, for a table whose class is not known."""
    schema, _, table = name.rpartition(".")
    options = {
        "database": database,
        "schema": schema or None,
        "table_name": table,
        "legacy_table_names": False,  # indexes are named after the table
        "reflected": True,
    }
    if not has_key:
        options["primary_key"] = False
    return type(name, (pw.Model,), {"Meta": type("Meta", (), options)})


def _add_columns(model: TModel, live: LiveTable) -> None:
    """Add a field for each column that the model does not have, and the key if it has none."""
    meta = get_meta(model)
    indexes = live.indexes()
    key = next((index.columns for index in indexes if index.primary), [])
    for column in live.columns.values():
        if column.name in meta.combined:
            continue
        field = _field_of(column, indexes, live.name, is_key=key == [column.name])
        if field.primary_key and not meta.primary_key:
            meta.set_primary_key(column.name, field)
        else:
            meta.add_field(column.name, field)
    if len(key) > 1 and not meta.primary_key:
        meta.set_primary_key("__composite_key__", pw.CompositeKey(*key))


def _field_of(
    column: Column,
    indexes: list[Index],
    table: str,
    *,
    is_key: bool,
) -> Any:  # noqa: ANN401
    """A field that reads and writes the column, and has its index if that has a derived name."""
    field = _typed_field(column, is_key=is_key)
    field.column_name = column.name
    field.null = not column.not_null
    field.index = field.unique = False
    names = {index_name(table, [column.name]), f"{table}_{column.name}_key"}
    for index in indexes:
        if index.columns == [column.name] and index.name in names:
            field.index, field.unique = not index.unique, index.unique
            field.index_type = None if index.method == "btree" else index.method.upper()
    return field


def _typed_field(column: Column, *, is_key: bool) -> Any:  # noqa: ANN401
    is_counter = column.identity or "nextval(" in (column.default or "")
    if is_key and is_counter and column.type in COUNTERS:
        return COUNTERS[column.type]()
    sizes = [int(size) for size in re.findall(r"\d+", column.type.partition("(")[2])]
    element = column.type.removesuffix("[]")
    if column.base_type in SIZED and len(sizes) == SIZED[column.base_type][1]:
        return SIZED[column.base_type][0](*sizes, primary_key=is_key)
    if element != column.type and element in FIELDS:
        return ext.ArrayField(FIELDS[element], primary_key=is_key)
    if column.base_type in FIELDS:
        return FIELDS[column.base_type](primary_key=is_key)
    other: Any = pw.Field(primary_key=is_key)
    other.field_type = column.type
    return other
