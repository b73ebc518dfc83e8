"""The tables of a live schema, read out of pg_catalog as structured values.

A definition is in the server's words, printed for the search_path of the session. Partitions belong
to their partitioned table, and the tables of an extension to the extension. Reading writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dbfoundation.schema.catalog import pin_output_settings, search_path

if TYPE_CHECKING:
    from peewee import PostgresqlDatabase

TABLES = """
SELECT c.oid, n.nspname, c.relname, c.relpersistence = 'u', pg_get_partkeydef(c.oid),
    array_to_string(c.reloptions, ', '),
    ARRAY(SELECT inhparent::bigint FROM pg_inherits WHERE inhrelid = c.oid ORDER BY inhseqno)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
ORDER BY n.nspname, c.relname
"""
COLUMNS = """
SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
    pg_get_expr(d.adbin, d.adrelid), a.attgenerated, a.attidentity,
    s.relname, format_type(q.seqtypid, NULL),
    format('INCREMENT %%s MINVALUE %%s MAXVALUE %%s START %%s CACHE %%s',
        q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache)
        || CASE WHEN q.seqcycle THEN ' CYCLE' ELSE '' END
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
LEFT JOIN pg_depend o ON o.refobjid = a.attrelid AND o.refobjsubid = a.attnum
    AND o.refclassid = 'pg_class'::regclass AND o.classid = 'pg_class'::regclass
    AND o.deptype IN ('a', 'i') AND o.objid IN (SELECT seqrelid FROM pg_sequence)
LEFT JOIN pg_class s ON s.oid = o.objid
LEFT JOIN pg_sequence q ON q.seqrelid = o.objid
WHERE a.attrelid = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""
CONSTRAINTS = """
SELECT c.conrelid, c.conname, c.contype, pg_get_constraintdef(c.oid), c.confrelid,
    ARRAY(SELECT attname::text FROM unnest(c.conkey) WITH ORDINALITY k (number, place)
        JOIN pg_attribute ON attrelid = c.conrelid AND attnum = number ORDER BY place),
    ARRAY(SELECT attname::text FROM unnest(c.confkey) WITH ORDINALITY k (number, place)
        JOIN pg_attribute ON attrelid = c.confrelid AND attnum = number ORDER BY place),
    array_to_string(i.reloptions, ', ')
FROM pg_constraint c LEFT JOIN pg_class i ON i.oid = c.conindid AND c.contype <> 'f'
WHERE c.conrelid = ANY(%s) AND c.contype IN ('p', 'u', 'x', 'c', 'f')
AND c.coninhcount = 0 AND c.conparentid = 0
ORDER BY c.conrelid, c.contype DESC, c.conname
"""
# The definition follows the table's name. The server prints ONLY for a partitioned index, always.
INDEXES = """
SELECT i.indrelid, n.relname, i.indisunique,
    substr(pg_get_indexdef(n.oid), length(format('CREATE %%sINDEX %%I ON %%s%%I.%%I ',
        CASE WHEN i.indisunique THEN 'UNIQUE ' END, n.relname,
        CASE WHEN n.relkind = 'I' THEN 'ONLY ' END, s.nspname, t.relname)) + 1)
FROM pg_index i
JOIN pg_class n ON n.oid = i.indexrelid
JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace s ON s.oid = t.relnamespace
WHERE i.indrelid = ANY(%s)
AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = n.oid AND contype IN ('p', 'u', 'x'))
ORDER BY i.indrelid, n.relname
"""


@dataclass(frozen=True)
class Column:
    """A column; `sequence` is the one that it owns, with its type and its options."""

    name: str
    type: str
    not_null: bool
    collation: str | None
    expression: str | None
    generated: str
    identity: str
    sequence: str | None
    sequence_type: str | None
    sequence_options: str | None


@dataclass(frozen=True)
class Constraint:
    """A constraint; `type` is pg_constraint's letter, `target` the OID of the referenced table."""

    name: str
    type: str
    definition: str
    target: int
    columns: list[str]
    target_columns: list[str]
    storage: str | None


@dataclass(frozen=True)
class Index:
    """An index without a constraint; `definition` starts after the table's name."""

    name: str
    unique: bool
    definition: str


@dataclass(frozen=True)
class Table:
    """A table with its parts, which are in the order of pg_catalog.

    `names_of_other_keys` are those of the primary keys of the schema's other tables.
    """

    oid: int
    schema: str
    name: str
    unlogged: bool
    partitioning: str | None
    storage: str | None
    parents: list[int]
    columns: list[Column]
    constraints: list[Constraint]
    indexes: list[Index]
    names_of_other_keys: set[str]


def read_tables(database: PostgresqlDatabase) -> list[Table]:
    """The tables of every schema except the server's own, by schema and name."""
    with database.atomic() as transaction:
        pin_output_settings(database, search_path(database))
        rows = database.execute_sql(TABLES).fetchall()
        oids = [oid for oid, *_ in rows]
        parts = [_parts(database, query, oids) for query in (COLUMNS, CONSTRAINTS, INDEXES)]
        transaction.rollback()  # restores the session's settings
    columns, constraints, indexes = parts
    keys = {
        (schema, name, oid)
        for oid, schema, *_ in rows
        for name, kind, *_ in constraints.get(oid, [])
        if kind == "p"
    }
    return [
        Table(
            *(oid, schema, name, unlogged, partitioning, storage, parents),
            [Column(*values) for values in columns.get(oid, [])],
            [Constraint(*values) for values in constraints.get(oid, [])],
            [Index(*values) for values in indexes.get(oid, [])],
            {key for place, key, other in keys if place == schema and other != oid},
        )
        for oid, schema, name, unlogged, partitioning, storage, parents in rows
    ]


def _parts(
    database: PostgresqlDatabase, query: str, oids: list[int]
) -> dict[int, list[tuple[Any, ...]]]:
    """The rows of a query by the table's OID, which is their first value."""
    parts: dict[int, list[tuple[Any, ...]]] = {}
    for oid, *values in database.execute_sql(query, (oids,)).fetchall():
        parts.setdefault(oid, []).append(tuple(values))
    return parts
