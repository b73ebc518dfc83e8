"""Scratch schemas: a place to create objects for a moment, in a transaction that is rolled back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from peewee import ProgrammingError
from psycopg2.errors import InsufficientPrivilege
from psycopg2.extensions import quote_ident

from dbfoundation.errors import AccessDeniedError
from dbfoundation.runtime.server_errors import driver_error, server_message

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from peewee import PostgresqlDatabase

    from dbfoundation.schema.catalog import SchemaObject


def create_schemas(database: PostgresqlDatabase, names: Iterable[str]) -> None:
    """Create the schemas. Raises AccessDeniedError for a user without CREATE on the database."""
    try:
        for name in names:
            database.execute_sql(f"CREATE SCHEMA {name}")
    except ProgrammingError as error:
        if not isinstance(driver_error(error), InsufficientPrivilege):
            raise
        connection = database.connection()
        name, user = (
            quote_ident(word, connection) for word in (connection.info.dbname, connection.info.user)
        )
        reason = server_message(error) or str(error)
        raise AccessDeniedError(
            f"the models cannot be created in a scratch schema: {reason}",
            f"GRANT CREATE ON DATABASE {name} TO {user}. The scratch schema is rolled back.",
        ) from error


def execute_text(database: PostgresqlDatabase, statement: str) -> None:
    """Run a statement that has no parameters; the driver would read a single % as one."""
    database.execute_sql(statement.replace("%", "%%"))


def rename(thing: SchemaObject, names: Mapping[str, str]) -> SchemaObject:
    """The object with other names in place of the scratch schemas' names."""

    def rename_in(text: str) -> str:
        for scratch, schema in names.items():
            text = text.replace(f"{scratch}.", f"{schema}.")
        return text

    return replace(
        thing,
        name=rename_in(thing.name),
        table=thing.table and rename_in(thing.table),
        details={name: rename_in(text) for name, text in thing.details.items()},
        source=thing.source and rename_in(thing.source),
    )
