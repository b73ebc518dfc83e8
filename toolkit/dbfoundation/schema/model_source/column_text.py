"""A column as the text of a Peewee field."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dbfoundation.schema.model_source.names import default_sequence, quote

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbfoundation.schema.model_source.tables import Column

# The class of each field, and the arguments before its options.
FIELDS = {
    "bigint": ["BigIntegerField"],
    "boolean": ["BooleanField"],
    "bytea": ["BlobField"],
    "character varying": ["CharField", "max_length=None"],
    "date": ["DateField"],
    "double precision": ["DoubleField"],
    "integer": ["IntegerField"],
    "json": ["JSONField"],
    "jsonb": ["BinaryJSONField", "index=False"],
    "real": ["FloatField"],
    "smallint": ["SmallIntegerField"],
    "text": ["TextField"],
    "time without time zone": ["TimeField"],
    "timestamp with time zone": ["DateTimeTZField"],
    "timestamp without time zone": ["DateTimeField"],
    "timestamp(6) without time zone": ["Timestamp6Field"],
    "uuid": ["UUIDField"],
}
WIDTH = 100
SERIALS = {"smallint": "smallserial", "integer": "serial", "bigint": "bigserial"}
AUTO_FIELDS = {"integer": ["AutoField"], "bigint": ["BigAutoField"]}
LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
IDENTITIES = {"a": "ALWAYS", "d": "BY DEFAULT"}


def key_field(column: Column, table: str) -> list[str] | None:
    """Peewee's own field for a primary key that takes its numbers from a sequence, in words."""
    if is_serial(column):
        return AUTO_FIELDS.get(column.type)
    if column.sequence != default_sequence(table, column.name) or has_own_options(column):
        return None
    if column.identity and column.type == "integer":
        return ["IdentityField"] + ["generate_always=True"] * (column.identity == "a")
    return None


def plain_field(column: Column) -> list[str]:
    """The class of a column's field, and the arguments before its options."""
    if is_serial(column):
        return ["TypedField", literal(SERIALS[column.type])]
    if column.type in FIELDS:
        return FIELDS[column.type]
    if found := re.fullmatch(r"character varying\((\d+)\)", column.type):
        return ["CharField", f"max_length={found[1]}"]
    if found := re.fullmatch(r"numeric\((\d+),(\d+)\)", column.type):
        return ["DecimalField", *found.groups()]
    return ["TypedField", literal(column.type)]


def clause(column: Column, table: str) -> str | None:
    """The default, the expression or the identity of a column as SQL."""
    if column.identity:
        return _identity(column, table)
    if column.generated:
        stored = "STORED" if column.generated == "s" else "VIRTUAL"
        return f"GENERATED ALWAYS AS ({column.expression}) {stored}"
    if column.expression is None or is_serial(column):
        return None
    return f"DEFAULT {column.expression}"


def _identity(column: Column, table: str) -> str:
    """The identity of a column, with the name and the options that are not those of a new one."""
    options = []
    if column.sequence != default_sequence(table, column.name):
        options.append(f"SEQUENCE NAME {quote(column.sequence or '')}")
    if has_own_options(column):
        options.append(column.sequence_options or "")
    own = f" ({' '.join(options)})" if options else ""
    return f"GENERATED {IDENTITIES[column.identity]} AS IDENTITY{own}"


def is_serial(column: Column) -> bool:
    """Whether the column takes its default from the sequence that it owns."""
    return (
        column.sequence is not None
        and not column.identity
        and column.type in SERIALS
        and (column.expression or "").startswith("nextval(")
        and _words(column.sequence) in _words(column.expression or "")
    )


def _words(text: str) -> str:
    """The letters and digits, without the quotes and escapes that SQL writes between them."""
    return re.sub(r"\W", "", text)


def has_own_options(column: Column) -> bool:
    """Whether the sequence of a column has other options than a new one."""
    usual = f"INCREMENT 1 MINVALUE 1 MAXVALUE {LARGEST.get(column.type)} START 1 CACHE 1"
    return (column.sequence_type, column.sequence_options) != (column.type, usual)


def text(sql: str) -> str:
    """SQL as a Python literal; the driver replaces a single percent sign."""
    return literal(sql.replace("%", "%%"))


def literal(value: str) -> str:
    """A text as a Python literal, in double quotes where it needs no escape."""
    is_plain = value.isprintable() and '"' not in value and "\\" not in value
    return f'"{value}"' if is_plain else repr(value)


def call(before: str, words: Sequence[str]) -> str:
    """A call of the first word with the others, in lines of readable length."""
    name, *arguments = words
    line = f"{before}{name}({', '.join(arguments)})"
    if len(line) <= WIDTH:
        return line
    indent = " " * (len(before) - len(before.lstrip()))
    inner = "".join(f"{indent}    {argument},\n" for argument in arguments)
    return f"{before}{name}(\n{inner}{indent})"
