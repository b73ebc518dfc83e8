"""A column as the text of a Peewee field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from beds.names import quote

if TYPE_CHECKING:
    from beds.tables import Column

# The start of each field, with the bracket before its options.
FIELDS = {
    "bigint": "BigIntegerField(",
    "boolean": "BooleanField(",
    "character varying": "CharField(max_length=None, ",
    "date": "DateField(",
    "double precision": "DoubleField(",
    "integer": "IntegerField(",
    "jsonb": "BinaryJSONField(index=False, ",
    "real": "FloatField(",
    "smallint": "SmallIntegerField(",
    "text": "TextField(",
    "time without time zone": "TimeField(",
    "timestamp with time zone": "DateTimeTZField(",
    "timestamp without time zone": "DateTimeField(",
    "uuid": "UUIDField(",
}
SERIALS = {"smallint": "smallserial", "integer": "serial", "bigint": "bigserial"}
LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
IDENTITIES = {"a": "ALWAYS", "d": "BY DEFAULT"}


def field_start(column: Column) -> str:
    """The start of a column's field; its options and a bracket follow."""
    if is_serial(column):
        return f"Column({SERIALS[column.type]!r}, "
    if column.type in FIELDS:
        return FIELDS[column.type]
    if found := re.fullmatch(r"character varying\((\d+)\)", column.type):
        return f"CharField(max_length={found[1]}, "
    if found := re.fullmatch(r"numeric\((\d+),(\d+)\)", column.type):
        return f"DecimalField({found[1]}, {found[2]}, "
    return f"Column({column.type!r}, "


def clause(column: Column) -> str | None:
    """The default, the expression or the identity of a column as SQL."""
    if column.identity:
        options = f"SEQUENCE NAME {quote(column.sequence or '')} {column.sequence_options}"
        return f"GENERATED {IDENTITIES[column.identity]} AS IDENTITY ({options})"
    if column.generated:
        stored = "STORED" if column.generated == "s" else "VIRTUAL"
        return f"GENERATED ALWAYS AS ({column.expression}) {stored}"
    if column.expression is None or is_serial(column):
        return None
    return f"DEFAULT {column.expression}"


def is_serial(column: Column) -> bool:
    """Whether the column takes its default from the sequence that it owns."""
    return (
        column.sequence is not None
        and not column.identity
        and column.type in SERIALS
        and (column.expression or "").startswith("nextval(")
        and column.sequence in (column.expression or "")
    )


def has_own_options(column: Column) -> bool:
    """Whether the sequence of a serial column has other options than a new one."""
    usual = f"INCREMENT 1 MINVALUE 1 MAXVALUE {LARGEST[column.type]} START 1 CACHE 1"
    return (column.sequence_type, column.sequence_options) != (column.type, usual)


def text(sql: str) -> str:
    """SQL as a Python literal; the driver replaces a single percent sign."""
    return repr(sql.replace("%", "%%"))
