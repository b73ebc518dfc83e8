"""Where the history is: one table of a database, found in the catalog and used by its full name.

The session's search_path is searched once, before a file can change it. A history elsewhere, or a
second one, is an error: with an empty history beside it, every migration would be applied again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbfoundation.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import PostgresqlDatabase

COLUMNS = {"id", "name", "migrated_at"}  # peewee-migrate's
OURS = {"checksum", "code_checksum"}
CREATE = """
CREATE TABLE IF NOT EXISTS {table} (
    id SERIAL PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    migrated_at TIMESTAMP WITH TIME ZONE NOT NULL
)
"""
# The schemas of the search_path, and each table of this name, in a single round trip.
FIND = """
SELECT ARRAY(
    SELECT pg_catalog.quote_ident(name) FROM pg_catalog.unnest(pg_catalog.current_schemas(false))
    WITH ORDINALITY schemas (name, at) ORDER BY at
), pg_catalog.json_agg(pg_catalog.json_build_object(
    'schema', pg_catalog.quote_ident(n.nspname),
    'columns', ARRAY(
        SELECT attname FROM pg_catalog.pg_attribute
        WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND c.relkind IN ('r', 'p')
    ),
    'has_zone', EXISTS (
        SELECT FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attname = 'migrated_at'
        AND atttypid = 'pg_catalog.timestamptz'::pg_catalog.regtype
    ),
    'has_index', EXISTS (
        SELECT FROM pg_catalog.pg_class
        WHERE relname = 'migratehistory_one_name' AND relnamespace = n.oid
    )
))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'migratehistory' AND c.relpersistence <> 't'
"""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with the history's name; `schema` is written as in SQL."""

    schema: str
    columns: Sequence[str] = ()
    has_zone: bool = False
    has_index: bool = False

    @property
    def name(self) -> str:
        """The full name, as SQL writes it."""
        return f"{self.schema}.migratehistory"

    @property
    def is_history(self) -> bool:
        return {*self.columns} >= COLUMNS

    @property
    def has_checksums(self) -> bool:
        return "checksum" in self.columns

    @property
    def is_converted(self) -> bool:
        return {*self.columns} >= OURS and self.has_zone and self.has_index


def find_table(database: PostgresqlDatabase) -> Table:
    """The history, or, without columns, the place of a new one; raises DatabaseError."""
    path, found = database.execute_sql(FIND).fetchone()
    tables = [Table(**values) for values in found or ()]
    histories = sorted(
        (table for table in tables if table.is_history), key=lambda table: table.name
    )
    visible = [table for schema in path for table in histories if table.schema == schema]
    if len(visible) > 1:
        raise _several(visible)
    if visible:
        return visible[0]
    if not path:
        raise _no_schema()
    new = Table(schema=path[0])
    if histories:
        raise _elsewhere(histories, new)
    if new.schema in {table.schema for table in tables}:
        raise _foreign(new)
    return new


def _several(tables: Sequence[Table]) -> DatabaseError:
    names = " and ".join(table.name for table in tables)
    return DatabaseError(
        f"this database has more than one history of migrations: {names}",
        "rename or drop those that do not describe this database, or take their schemas out of the "
        "search_path.",
    )


def _elsewhere(tables: Sequence[Table], new: Table) -> DatabaseError:
    names = " and ".join(table.name for table in tables)
    return DatabaseError(
        f"the history of migrations is {names}, in no schema of this session's search_path",
        f"add its schema to the search_path, with USAGE on it; or, for a history of its own in "
        f"{new.schema}: {' '.join(CREATE.format(table=new.name).split())}",
    )


def _foreign(new: Table) -> DatabaseError:
    columns = ", ".join(sorted(COLUMNS))
    return DatabaseError(
        f"{new.name} is not a history of migrations: it is no table with the columns {columns}",
        "rename it, or put another schema first in the search_path.",
    )


def _no_schema() -> DatabaseError:
    return DatabaseError(
        "there is no schema for the history of migrations: none in the search_path exists, or can "
        "be used by this user",
        "create one, or set the search_path, or GRANT USAGE ON SCHEMA.",
    )
