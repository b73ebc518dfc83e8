"""Columns that Peewee has no field for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from peewee import SCOPE_VALUES, SQL, DateTimeField, Field, Node

if TYPE_CHECKING:
    from peewee import Context

    AnyField = TypeVar("AnyField", bound=Field)


class Timestamp6Field(DateTimeField):
    """`timestamp(6)` without time zone."""

    field_type = "TIMESTAMP"

    def get_modifiers(self) -> list[int]:
        return [6]


def generated(field: AnyField, expression: str) -> AnyField:
    """A field for a column that the server generates and stores.

    It is declared, read and compared as the field is. Peewee writes DEFAULT for it, whatever its
    value is, because the server accepts nothing else. After `create()` it is None until the row is
    read.
    """
    text = expression.replace("%", "%%")  # the driver would take a single one for a parameter
    constraints = [*(field.constraints or ()), SQL(f"GENERATED ALWAYS AS ({text}) STORED")]
    field.constraints = constraints
    kind = type(field)
    field.__class__ = type(kind.__name__, (_Generated, kind), {})
    return field


class _Generated(Field):
    """The part of a generated field that differs from a field of its type."""

    def db_value(self, value: Any) -> _DefaultWhereWritten:  # noqa: ANN401 # any Python value
        return _DefaultWhereWritten(super().db_value(value))  # type: ignore[no-untyped-call]


class _DefaultWhereWritten(Node):
    """DEFAULT as the value of an INSERT or UPDATE; the value itself within an expression."""

    def __init__(self, value: Any) -> None:  # noqa: ANN401 # as the driver takes it
        self._value = value

    def __sql__(self, ctx: Context) -> Context:
        if ctx.scope == SCOPE_VALUES and not ctx.state.in_expr:
            return ctx.literal("DEFAULT")
        written: Context = ctx.value(self._value, converter=False)
        return written
