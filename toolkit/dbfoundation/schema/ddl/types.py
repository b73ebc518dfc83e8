"""Types: which one holds less than another, and a value that stands for a lost one."""

from __future__ import annotations

import re
from enum import StrEnum
from math import inf

TYPE = re.compile(
    r"(?P<name>[^(]+?)(?:\((?P<sizes>[\d, -]+)\))?(?P<suffix> with(?:out)? time zone)?"
)
STRINGS = ("character varying", "character", "text")
WHOLE = ("smallint", "integer", "bigint")
INEXACT = ("real", "double precision")
TIMES = ("timestamp", "time", "interval")
PLACEHOLDERS = {
    **dict.fromkeys((*WHOLE, *INEXACT, "numeric"), "0"),
    **dict.fromkeys(STRINGS, "''"),
    "boolean": "false",
    "date": "'1970-01-01'",
    "timestamp": "'1970-01-01'",
    "time": "'00:00'",
    "interval": "'0'",
    "uuid": "'00000000-0000-0000-0000-000000000000'",
    "bytea": "''",
    "json": "'{}'",
    "jsonb": "'{}'",
    "inet": "'0.0.0.0'",
    "tsvector": "''",
}


class Cast(StrEnum):
    """The way from one type to another: by the server itself, if it is written, or as text."""

    ASSIGNMENT = "a"
    EXPLICIT = "e"
    TEXT = "t"


def placeholder(data_type: str) -> str | None:
    """A literal that a column of this type can have in place of a lost value; None if unknown."""
    if data_type.endswith("[]"):
        return "'{}'"
    name, _ = _parse(data_type)
    return PLACEHOLDERS.get(name)


def is_narrower(old: str, new: str) -> bool:
    """Whether the new type cannot hold each value of the old one as it is."""
    (name, sizes), (new_name, new_sizes) = _parse(old), _parse(new)
    if new_name in STRINGS:
        limit = _limit(new_name, new_sizes)
        return limit < (_limit(name, sizes) if name in STRINGS else inf)
    if new_name in (*WHOLE, *INEXACT, "numeric"):
        return _is_narrower_number(name, sizes, new_name, new_sizes)
    if new_name in TIMES and name == new_name:
        return (new_sizes or [6])[0] < (sizes or [6])[0]
    return name == "timestamp" and new_name in ("date", "time")


def is_same_kind(old: str, new: str) -> bool:
    """Whether a foreign key may lead from a column of one type to one of the other."""
    names = [_parse(data_type)[0] for data_type in (old, new)]
    kinds = (WHOLE, ("character varying", "text"))
    return names[0] == names[1] or any(names[0] in kind and names[1] in kind for kind in kinds)


def _is_narrower_number(name: str, sizes: list[int], new_name: str, new_sizes: list[int]) -> bool:
    if new_name == "numeric" and new_sizes:
        if name != "numeric" or not sizes:
            return True
        (digits, scale), (new_digits, new_scale) = ([*pair, 0][:2] for pair in (sizes, new_sizes))
        return new_scale < scale or new_digits - new_scale < digits - scale
    if new_name in ("numeric", name):
        return False
    order = WHOLE if new_name in WHOLE else INEXACT
    return name not in order or order.index(new_name) < order.index(name)


def _limit(name: str, sizes: list[int]) -> float:
    """The number of characters that a string type holds."""
    if sizes:
        return sizes[0]
    return 1 if name == "character" else inf


def _parse(data_type: str) -> tuple[str, list[int]]:
    """The name of a type without its time zone, and the numbers in its brackets."""
    found = TYPE.fullmatch(data_type)
    if not found:
        return data_type, []
    sizes = [int(size) for size in (found["sizes"] or "").split(",") if size.strip()]
    name = found["name"].removesuffix(" with time zone").removesuffix(" without time zone")
    return name, sizes
