"""Column types that Peewee has no field for."""

from peewee import DateTimeField


class Timestamp6Field(DateTimeField):
    """`timestamp(6)` without time zone."""

    field_type = "TIMESTAMP"

    def get_modifiers(self) -> list[int]:
        return [6]
