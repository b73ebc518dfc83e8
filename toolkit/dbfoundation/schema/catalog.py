"""A schema as objects, read out of pg_catalog.

An object is a column or an index, for example, with its details in the server's words. The objects
of one schema are the same on PostgreSQL 15 to 18. They are sorted by kind and name; the parts of a
table or a view follow it, the columns in their order.

The objects of an extension are left out, because its version determines them. Owners and
privileges are left out, because they belong to a server's roles. Reading writes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import quote_ident

from dbfoundation.schema.queries import NAMESPACES, QUERIES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from peewee import PostgresqlDatabase

    Row = Sequence[Any]  # as the queries return it

KINDS = tuple(QUERIES)
# The settings of a session or a database that change how the server writes names and values.
OUTPUT_SETTINGS = {
    "quote_all_identifiers": "off",
    "IntervalStyle": "postgres",
    "DateStyle": "ISO",
    "bytea_output": "hex",
}

# A schema public that was dropped and created again lacks the comment of initdb.
INITDB_COMMENT = "COMMENT 'standard public schema'"


@dataclass(frozen=True)
class SchemaObject:
    """One object of a schema.

    `table` is the table or view that it belongs to, `details` has its properties by name. `source`
    is the text of a view or a function, which each version of PostgreSQL writes differently.
    """

    kind: str
    name: str
    table: str | None = None
    details: dict[str, str] = field(default_factory=dict)
    source: str | None = None

    @property
    def subject(self) -> str:
        """The subject of a sentence about the object."""
        if self.kind in ("table", "column"):
            return self.name
        where = f"{self.table}, " if self.table else ""
        return f"{where}{self.kind} {self.name}"


def one_line(text: str) -> str:
    """The text without line breaks, which a definition or a comment may have."""
    return re.sub(r"\s*[\r\n]\s*", " ", text)


def search_path(database: PostgresqlDatabase) -> list[str]:
    """The schemas in which the session finds a name; the session creates in the first one."""
    (names,) = database.execute_sql("SELECT pg_catalog.current_schemas(false)").fetchone()
    return [name for name in names if name != "information_schema" and name[:3] != "pg_"]


def pin_output_settings(
    database: PostgresqlDatabase, path: Sequence[str], *, for_session: bool = False
) -> None:
    """Make the output independent of the session's settings.

    They end with the transaction, or with the session. The server looks for a name in pg_catalog
    first, and then in the schemas of `path`.
    """
    names = ", ".join(quote_ident(schema, database.connection()) for schema in path)
    for name, value in (OUTPUT_SETTINGS | {"search_path": names}).items():
        values = (name, value, not for_session)
        database.execute_sql("SELECT pg_catalog.set_config(%s, %s, %s)", values)


def read(
    database: PostgresqlDatabase,
    *,
    schemas: Sequence[str] | None = None,
    path: Sequence[str] | None = None,
    kinds: Collection[str] = KINDS,
) -> list[SchemaObject]:
    """The objects of some schemas, or of all except the server's own.

    Objects in the schemas of `path` have plain names, all others qualified ones. The default path
    is the schema in which the session creates. `kinds` with parts of tables and views must have
    these, too.
    """
    with database.atomic() as transaction:
        pin_output_settings(database, search_path(database)[:1] if path is None else path)
        rows = _rows(database, schemas, kinds)
        transaction.rollback()  # restores the session's settings
    return [object_from(kind, row) for kind, row in _sort(rows)]


def _rows(
    database: PostgresqlDatabase, schemas: Sequence[str] | None, kinds: Collection[str]
) -> list[tuple[str, Row]]:
    """The kind and the row of each object."""
    chosen = {"schemas": None if schemas is None else list(schemas)}
    namespaces = [oid for (oid,) in database.execute_sql(NAMESPACES, chosen).fetchall()]
    return [
        (kind, row)
        for kind, query in QUERIES.items()
        if kind in kinds
        for row in database.execute_sql(query, {"namespaces": namespaces}).fetchall()
    ]


def _sort(rows: Sequence[tuple[str, Row]]) -> list[tuple[str, Row]]:
    """The rows by kind and name, the parts of each table after it; without those of extensions."""
    tables = {name: KINDS.index(kind) for kind, (table, name, *_) in rows if table is None}

    def order(item: tuple[str, Row]) -> tuple[Any, ...]:
        kind, (table, name, number, *_) = item
        own = KINDS.index(kind)
        return (tables[table], table, own, number, name) if table else (own, name)

    # The parts of an extension's table belong to the extension, too.
    known = [(kind, row) for kind, row in rows if row[0] is None or row[0] in tables]
    return sorted(known, key=order)


def object_from(kind: str, row: Row) -> SchemaObject:
    """The object of a row that the query of this kind has returned."""
    table, name, _, details, source, comment, _ = row
    comment = None if comment == INITDB_COMMENT else comment
    details = {key: text for key, text in (details | {"comment": comment}).items() if text}
    return SchemaObject(kind, name, table, details, source and source.strip())
