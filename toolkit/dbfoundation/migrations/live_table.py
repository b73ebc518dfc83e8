"""One table as pg_catalog has it now: its columns, indexes, constraints and sequences.

The operations act on these, and so work for a table whichever way it was created. The reads are no
statements of a migration, and a dry run does not print them: psycopg2's own cursor, made from a
connection, is not recorded.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any

from peewee import Entity
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, cursor, quote_ident

from dbfoundation.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peewee import PostgresqlDatabase

FIND = "SELECT oid, relkind FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass(%s)"
NAMES = """
SELECT relname FROM pg_catalog.pg_class
WHERE relkind IN ('r', 'p', 'f') AND pg_catalog.pg_table_is_visible(oid)
AND relnamespace <> 'pg_catalog'::regnamespace ORDER BY relname
"""
COLUMNS = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
    pg_catalog.format_type(a.atttypid, -1),
    CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
    a.attnotnull,
    CASE a.attgenerated WHEN '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
    CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
    a.attidentity
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
INDEXES = """
SELECT x.relname, x.oid::regclass::text, ARRAY(
        SELECT a.attname::text
        FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k (number, position)
        LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
        WHERE k.position <= i.indnkeyatts ORDER BY k.position
    ), i.indisunique, i.indisprimary, i.indpred IS NOT NULL, i.indisvalid, m.amname, c.conname
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = x.relam
LEFT JOIN pg_catalog.pg_constraint c ON c.conindid = x.oid AND c.contype IN ('p', 'u', 'x')
WHERE i.indrelid = %s ORDER BY x.relname
"""
CONSTRAINTS = """
SELECT c.oid, c.conname, c.contype, ARRAY(
        SELECT a.attname::text FROM pg_catalog.unnest(c.conkey) WITH ORDINALITY k (number, position)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number
        ORDER BY k.position
    ), pg_catalog.pg_get_constraintdef(c.oid), c.confrelid, (
        SELECT a.attname FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.confrelid AND a.attnum = c.confkey[1]
    ), c.confdeltype, c.confupdtype, c.condeferrable, c.condeferred
FROM pg_catalog.pg_constraint c WHERE c.conrelid = %s AND c.contype NOT IN ('n', 't')
ORDER BY c.conname
"""
SEQUENCES = """
SELECT s.relname, s.oid::regclass::text, a.attname FROM pg_catalog.pg_depend d
JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refobjid = %s AND d.deptype IN ('a', 'i')
"""


@dataclass(frozen=True)
class Column:
    """A column in the server's words; `base_type` is its type without a length."""

    name: str
    type: str
    base_type: str
    collation: str | None
    not_null: bool
    default: str | None
    generated: str | None
    identity: str


@dataclass(frozen=True)
class Index:
    """An index; `columns` has None for an expression, `sql_name` is quoted and qualified."""

    name: str
    sql_name: str
    columns: list[str | None]
    unique: bool
    primary: bool
    partial: bool
    valid: bool
    method: str
    constraint: str | None


@dataclass(frozen=True)
class Constraint:
    """A constraint; the last six belong to a foreign key."""

    oid: int
    name: str
    kind: str
    columns: list[str]
    definition: str
    target: int
    target_column: str | None
    on_delete: str
    on_update: str
    deferrable: bool
    deferred: bool


@dataclass(frozen=True)
class OwnedSequence:
    """A sequence that belongs to a column."""

    name: str
    sql_name: str
    column: str


class LiveTable:
    """One table of the database; raises MigrationError when there is no such table."""

    def __init__(self, database: PostgresqlDatabase, name: str, schema: str | None = None) -> None:
        self.database = database
        self.name = name
        self.schema = schema
        found = find(database, name, schema)
        if found is None:
            raise MigrationError(_unknown_table(database, name))
        self.oid, self.kind = found

    @property
    def entity(self) -> Entity:
        return Entity(*(part for part in (self.schema, self.name) if part))

    @property
    def is_partitioned(self) -> bool:
        return self.kind == "p"

    @cached_property
    def columns(self) -> dict[str, Column]:
        return {row[0]: Column(*row) for row in read(self.database, COLUMNS, self.oid)}

    def indexes(self) -> list[Index]:
        return [Index(*row) for row in read(self.database, INDEXES, self.oid)]

    def constraints(self) -> list[Constraint]:
        return [Constraint(*row) for row in read(self.database, CONSTRAINTS, self.oid)]

    def sequences(self) -> list[OwnedSequence]:
        return [OwnedSequence(*row) for row in read(self.database, SEQUENCES, self.oid)]


def read(database: PostgresqlDatabase, query: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a query that is no statement of the migration."""
    with cursor(database.connection()) as own:
        own.execute(query, values)
        return list(own.fetchall())


def find(
    database: PostgresqlDatabase, name: str, schema: str | None = None
) -> tuple[int, str] | None:
    """The table's OID and kind; None where there is no table of this name."""
    connection = database.connection()
    quoted = ".".join(quote_ident(part, connection) for part in (schema, name) if part)
    rows = read(database, FIND, quoted)
    return rows[0] if rows and rows[0][1] in "rpf" else None


def in_transaction(database: PostgresqlDatabase) -> bool:
    """Whether the connection is in a transaction, also in one that the driver did not begin."""
    return bool(database.connection().get_transaction_status() != TRANSACTION_STATUS_IDLE)


@contextmanager
def scratch(database: PostgresqlDatabase) -> Iterator[Any]:
    """A cursor whose statements are no part of the migration, and are undone."""
    begin, undo = ("BEGIN", "ROLLBACK")
    if in_transaction(database):
        begin, undo = ("SAVEPOINT scratch", "ROLLBACK TO SAVEPOINT scratch; RELEASE scratch")
    with cursor(database.connection()) as own:
        own.execute(begin)
        try:
            yield own
        finally:
            own.execute(undo)


def similar(name: str, names: Sequence[str]) -> str:
    """The names that resemble a name, or all of them; for a message."""
    return ", ".join(get_close_matches(name, names, n=5) or names) or "none"


def _unknown_table(database: PostgresqlDatabase, name: str) -> str:
    names = [row[0] for row in read(database, NAMES)]
    return (
        f"there is no table or model {name}.\n"
        f"Fix: create it in a file before this one, or correct the name; tables: "
        f"{similar(name, names)}"
    )
