"""The server's DEFAULT of a field, by which the release before can go on inserting.

A constant `default=` is the server's as well. The server cannot call a function of Python, so a
callable is a default of the models only, except for a type whose call is a constant: dict, list.
"""

from __future__ import annotations

import re
from typing import Any

from peewee import SQL, AsIs, Node

from dbfoundation.errors import MigrationError

EMPTY_VALUES = (dict, list, str, bytes)
SETS_VALUE = re.compile(r"\s*(NOT NULL\s+|NULL\s+)?(DEFAULT|GENERATED)\b", re.IGNORECASE)


def constraint_texts(field: Any) -> list[str]:  # noqa: ANN401 # a field
    """The SQL of the constraints that a field declares."""
    return [getattr(constraint, "sql", "") for constraint in field.constraints or ()]


def has_own_default(field: Any) -> bool:  # noqa: ANN401
    """Whether the field's own DDL makes the server set a value."""
    return bool(
        field.auto_increment
        or field.sequence
        or any(SETS_VALUE.match(text) for text in constraint_texts(field))
    )


def is_callable(field: Any) -> bool:  # noqa: ANN401
    """Whether Python makes the default; Peewee's fn.now() is SQL, although it can be called."""
    default = field.default
    return callable(default) and not (_is_empty_value(default) or isinstance(default, Node))


def server_default(field: Any) -> Node | None:  # noqa: ANN401
    """The constant default as SQL; None where the server has none, or one of the field's DDL."""
    if field.default is None or is_callable(field) or has_own_default(field):
        return None
    return to_sql(field, field.default)


def to_sql(field: Any, default: Any) -> Node:  # noqa: ANN401
    """A default as SQL: the value as the field stores it, quoted by the driver."""
    if _is_empty_value(default):
        default = default()
    value = default if isinstance(default, Node) else field.db_value(default)
    if isinstance(value, dict):  # of hstore, which the driver knows on some connections only
        return SQL("hstore(%s::text[], %s::text[])", (list(value), list(value.values())))
    return value if isinstance(value, Node) else AsIs(value)


def assert_can_add(table: str, name: str, field: Any) -> None:  # noqa: ANN401
    """Raise MigrationError for a field that a table with rows cannot get."""
    if field.null or has_own_default(field) or server_default(field) is not None:
        return
    later = "add it with null=True, UPDATE the rows, and then add_not_null()"
    if is_callable(field):
        raise MigrationError(
            f"{table}.{name} is NOT NULL, and the server cannot call its default for the rows.\n"
            f"Fix: {later}; or give it one of the server's, such as "
            'constraints=[SQL("DEFAULT gen_random_uuid()")]'
        )
    raise MigrationError(
        f"{table}.{name} is NOT NULL without a default, which fails on a table with rows.\n"
        f"Fix: give it a constant default=, which becomes the server's; or {later}"
    )


def assert_can_set(table: str, name: str, field: Any) -> None:  # noqa: ANN401
    """Raise MigrationError for a default that the server cannot have."""
    if is_callable(field):
        raise MigrationError(
            f"{table}.{name}: the server cannot call this default.\n"
            'Fix: give a constant, or one of the server\'s: SQL("gen_random_uuid()")'
        )


def _is_empty_value(default: object) -> bool:
    return any(default is kind for kind in EMPTY_VALUES)  # == of a Peewee node is an expression
