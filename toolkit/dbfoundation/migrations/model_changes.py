"""What an operation changes in the model, beside the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import BareField, ForeignKeyField, MetaField, ModelIndex

from dbfoundation.errors import MigrationError
from dbfoundation.runtime.models import get_meta

if TYPE_CHECKING:
    from peewee import Field, Model

    TModel = type[Model]


def add_field(model: TModel, name: str, field: Field) -> None:
    """Bind the field to the model; a key without a column, as of many to many, is refused."""
    if isinstance(field, MetaField):
        raise MigrationError(f"{name} is a {type(field).__name__}, which has no column")
    meta = get_meta(model)
    if field.primary_key:
        meta.set_primary_key(name, field)
    else:
        meta.add_field(name, field)


def set_aside(model: TModel, field: Any) -> None:  # noqa: ANN401
    """Remove a field that another one replaces; the indexes of several fields stay."""
    meta = get_meta(model)
    indexes = meta.indexes
    remove_field(model, field)
    meta.indexes = indexes


def rename_field(model: TModel, field: Any, name: str) -> None:  # noqa: ANN401
    """Give the field another name, and the column that belongs to it."""
    meta = get_meta(model)
    indexes, old_name = meta.indexes, field.name
    set_aside(model, field)
    field.column_name = field.object_id_name = None
    add_field(model, name, field)
    meta.indexes = [_with_renamed(index, old_name, name) for index in indexes]


def rename_table(model: TModel, name: str) -> None:
    """Give the table another name; a model whose class is not known is named after it."""
    meta = get_meta(model)
    meta.set_table_name(name)
    if hasattr(meta, "reflected"):
        model.__name__ = ".".join(part for part in (meta.schema, name) if part)
    for index in meta.indexes:
        if isinstance(index, ModelIndex):
            index._table = meta.table  # type: ignore[attr-defined] # noqa: SLF001 # it keeps its table


def forget_index(model: TModel, fields: list[Any]) -> None:
    """Remove the index of these fields from the model."""
    meta = get_meta(model)
    if len(fields) == 1:
        fields[0].unique = fields[0].index = False
    meta.indexes = [index for index in meta.indexes if not _is_of(index, fields)]


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


def remove_field(model: TModel, field: Any) -> None:  # noqa: ANN401 # a field
    """Remove a field, its attributes and the indexes that it is in."""
    meta = get_meta(model)
    meta.remove_field(field.name)
    names = [field.name]
    if isinstance(field, ForeignKeyField):
        names.append(field.object_id_name)
        if field.backref in vars(field.rel_model):
            delattr(field.rel_model, field.backref)
    for name in names:
        if name in vars(model):
            delattr(model, name)
    meta.indexes = [index for index in meta.indexes if not _has_field(index, field)]
    if field.primary_key:
        meta.primary_key = False


def add_placeholder(model: TModel, name: str) -> None:
    """Add a field of which no more than the name is known."""
    get_meta(model).add_field(name, BareField(null=True))


def _has_field(index: Any, field: Any) -> bool:  # noqa: ANN401 # a Node or Peewee's pair
    if isinstance(index, ModelIndex):
        return any(part is field for part in index._expressions)  # type: ignore[attr-defined] # noqa: SLF001
    return (
        isinstance(index, tuple | list) and {field.name, field.column_name} & {*index[0]} != set()
    )
