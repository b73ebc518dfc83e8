"""Fields for columns of any type, and names in the schema of a model's table.

`models-from-database` writes them where Peewee has no field of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import Entity, Field, ForeignKeyField, Node

from dbfoundation.runtime.models import get_meta

if TYPE_CHECKING:
    from peewee import Context, Model


class TypedField(Field):
    """A column whose type is the text that the server prints, such as `interval day to second`.

    Values are those of the driver, without a conversion.
    """

    def __init__(self, field_type: str, **options: Any) -> None:  # noqa: ANN401 # Peewee's own
        self.field_type = field_type  # type: ignore[misc] # Peewee reads it of the field
        super().__init__(**options)


class TypedForeignKeyField(ForeignKeyField):
    """A foreign key whose column has a type of its own, not the type of the column it refers to."""

    def __init__(self, own_type: str, model: object, **options: Any) -> None:  # noqa: ANN401 # the same
        self.own_type = own_type
        super().__init__(model, **options)

    @property
    def field_type(self) -> str:  # type: ignore[override] # ForeignKeyField has it so
        return self.own_type

    def get_modifiers(self) -> None:
        """The type has its modifiers."""


class InSchemaOf(Node):
    """A name in the schema of a model's table, wherever that schema is when the SQL is written."""

    def __init__(self, model: type[Model], name: str) -> None:
        self.model = model
        self.name = name

    def __sql__(self, context: Context) -> Context:
        schema = get_meta(self.model).schema
        written: Context = context.sql(Entity(*([schema] if schema else []), self.name))
        return written
