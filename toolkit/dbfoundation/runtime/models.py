"""What the library reads of a Peewee model: its database and its table's name as SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peewee import Entity

if TYPE_CHECKING:
    from peewee import Model

    from dbfoundation.runtime.pool import Pool


def get_meta(model: type[Model]) -> Any:  # noqa: ANN401 # Peewee has no type for it
    """The model's options and fields."""
    return model._meta  # noqa: SLF001 # Peewee documents _meta


def get_database(model: type[Model]) -> Pool:
    """The database that a model is bound to: the pool, or another one that a test binds."""
    database: Pool = get_meta(model).database
    return database


def quote_table(model: type[Model]) -> str:
    """The table's name, with its schema where the model has one, quoted for SQL."""
    context = get_database(model).get_sql_context()
    table: str = context.sql(get_meta(model).entity).query()[0]
    return table


def quote_name(model: type[Model], name: str) -> str:
    """A column's name, quoted for SQL."""
    sql: str = get_database(model).get_sql_context().sql(Entity(name)).query()[0]
    return sql
