"""A normal form of those defaults that have several spellings and one value."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from peewee import DatabaseError

from dbfoundation.schema.scratch import execute_text

if TYPE_CHECKING:
    from peewee import PostgresqlDatabase

    from dbfoundation.schema.catalog import SchemaObject

# The names of one function; a function of the user's own has its schema in front.
NOW = {"now()", "CURRENT_TIMESTAMP", "transaction_timestamp()"}
# A literal with casts. It calls no function, so that evaluating it has no effect.
CONSTANT = re.compile(
    r"""\(*(?:E?'(?:[^']|'')*'|-?\d+(?:\.\d+)?|true|false)\)*"""
    r"""(?:::[\w ."]+(?:\(\d+(?:,-?\d+)?\))?[\w ]*(?:\[\])*\)*)*"""
)
NULL = re.compile(r"NULL::([\w ]+)")


def normalize_default(
    database: PostgresqlDatabase, thing: SchemaObject, schema: str
) -> SchemaObject:
    """A column with its default in the normal form; `schema` is a scratch schema."""
    text = thing.details.get("default", "").removeprefix("DEFAULT ")
    if not text:
        return thing
    kind = thing.details["type"]
    details = {name: value for name, value in thing.details.items() if name != "default"}
    # The NULL of a domain's base type is a default: it replaces the domain's own.
    if (null := NULL.fullmatch(text)) and re.fullmatch(rf"{null[1]}(\(.*)?", kind):
        return replace(thing, details=details)
    if text in NOW:
        text = "now()"
    elif CONSTANT.fullmatch(text):
        text = _evaluate(database, text, kind, schema) or text
    return replace(thing, details=details | {"default": f"DEFAULT {text}"})


def _evaluate(database: PostgresqlDatabase, text: str, kind: str, schema: str) -> str | None:
    """The value that a column of this type gets, as a literal.

    None for one that depends on more than the text. A generated column refuses such an expression.
    """
    table = f"{schema}.constant"
    try:
        with database.atomic() as transaction:
            create = f"CREATE TABLE {table} (value {kind} GENERATED ALWAYS AS ({text}) STORED)"
            execute_text(database, create)
            insert = f"INSERT INTO {table} DEFAULT VALUES"
            query = f"{insert} RETURNING pg_catalog.quote_literal(value::text)"
            (value,) = database.execute_sql(query).fetchone()
            transaction.rollback()
    except DatabaseError:
        return None
    return str(value)
