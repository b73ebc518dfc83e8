"""The constant defaults of a model's fields, which the server may have as defaults or not.

Peewee fills such a default in Python, and its DDL has no DEFAULT. A migration that adds the column
to a table with rows leaves one in place, so that the release before it can still insert rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbfoundation.runtime.models import get_meta
from dbfoundation.schema import catalog
from dbfoundation.schema.comparison import key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Field, PostgresqlDatabase

    from dbfoundation.schema.catalog import SchemaObject
    from dbfoundation.schema.placement import Schemas

COLUMN_NAME = """
SELECT pg_catalog.concat(CASE WHEN NOT %s THEN pg_catalog.quote_ident(%s::text) || '.' END,
    pg_catalog.quote_ident(%s::text), '.', pg_catalog.quote_ident(%s::text))
"""


def offer_model_defaults(
    database: PostgresqlDatabase,
    schemas: Schemas,
    live: Sequence[SchemaObject],
    wanted: Sequence[SchemaObject],
    path: Sequence[str],
) -> list[SchemaObject]:
    """The wanted objects with the constants of the fields where only the live columns have one."""
    lives = {key_of(thing): thing for thing in live}
    open_ones = {
        thing.name
        for thing in wanted
        if thing.kind == "column" and "default" not in thing.details
        if (other := lives.get(key_of(thing))) and "default" in other.details
    }
    if not open_ones:
        return [*wanted]
    constants = read_constants(database, schemas, path)
    return [
        replace(thing, details=thing.details | {"default": f"DEFAULT {constants[thing.name]}"})
        if thing.name in open_ones and thing.name in constants
        else thing
        for thing in wanted
    ]


def read_constants(
    database: PostgresqlDatabase, schemas: Schemas, path: Sequence[str]
) -> dict[str, str]:
    """The constant default of each field that has one, as SQL, by the name of its column."""
    constants = {}
    with database.atomic() as transaction:
        catalog.pin_output_settings(database, path)
        for model, schema in schemas.items():
            meta = get_meta(model)
            for field in meta.sorted_fields:
                if field.default is None or callable(field.default):
                    continue
                column = (schema in path, schema, meta.table_name, field.column_name)
                ((name,),) = database.execute_sql(COLUMN_NAME, column).fetchall()
                constants[name] = _literal(database, field)
        transaction.rollback()
    return constants


def _literal(database: PostgresqlDatabase, field: Field) -> str:
    """The default as the driver writes it into an INSERT."""
    sql, values = database.get_sql_context().sql(field.to_value(field.default)).query()
    with database.cursor() as cursor:
        return str(cursor.mogrify(sql, values).decode())


def take_agreed(
    live: Sequence[SchemaObject], wanted: Sequence[SchemaObject], offered: Sequence[SchemaObject]
) -> list[SchemaObject]:
    """The wanted objects, with an offered default where the live column has the same."""
    defaults = {key_of(thing): thing.details.get("default") for thing in live}
    return [
        other if other.details.get("default") == defaults.get(key_of(other)) else thing
        for thing, other in zip(wanted, offered, strict=True)
    ]
