"""A schema as plain facts, read out of pg_catalog, and how two of them differ.

A fact is one thing of a schema, a column or an index for example, with what the server says of it.
The facts of one schema read the same on PostgreSQL 15 to 18: sorted by kind and name, and after
each table and view what belongs to it, its columns as they follow one another.

What belongs to an extension is left out, for the extension stands for it; so are owners and
privileges, which belong to a server's roles. The order of columns counts for nothing when two are
compared. Reading writes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import quote_ident

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from peewee import PostgresqlDatabase

    Key = tuple[str, int, str]

NAMESPACES = """
SELECT oid FROM pg_namespace
WHERE CASE WHEN %(schemas)s::text[] IS NULL
    THEN nspname !~ '^pg_' AND nspname <> 'information_schema'
    ELSE nspname = ANY(%(schemas)s)
END
"""
# Each gives the table or view that a thing belongs to, its name as SQL writes it, a column's place,
# what is said of it, its source text, and the catalog and OID that a comment goes by. {own} leaves
# out what belongs to an extension, {firing} goes on a CASE. The search_path is the session's, so
# functions are named with their schema: one of the database's own could fit an argument better.
QUERIES = {
    "schema": """
        SELECT NULL, pg_catalog.quote_ident(nspname), 0, '{{}}'::json, NULL, x.tableoid, x.oid
        FROM pg_namespace x WHERE oid = ANY(%(namespaces)s::oid[]) AND {own}
    """,
    # Its comment is its author's, and another one in another version.
    "extension": """
        SELECT NULL, pg_catalog.quote_ident(extname), 0, '{{}}'::json, NULL, NULL::oid, NULL::oid
        FROM pg_extension
    """,
    "event trigger": """
        SELECT NULL, pg_catalog.quote_ident(x.evtname), 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat_ws(' ', 'ON ' || x.evtevent,
                'WHEN TAG IN (' || pg_catalog.array_to_string(x.evttags, ', ') || ')',
                'EXECUTE FUNCTION ' || x.evtfoid::regprocedure::text),
            'firing', CASE x.evtenabled {firing}
        ), NULL, x.tableoid, x.oid
        FROM pg_event_trigger x WHERE {own}
    """,
    "type": """
        SELECT NULL, x.oid::regtype::text, 0, pg_catalog.json_build_object(
            'definition', CASE x.typtype
                WHEN 'e' THEN 'ENUM (' || (
                    SELECT pg_catalog.string_agg(
                        pg_catalog.quote_literal(enumlabel), ', ' ORDER BY enumsortorder
                    )
                    FROM pg_enum WHERE enumtypid = x.oid
                ) || ')'
                WHEN 'd' THEN pg_catalog.concat_ws(' ',
                    'DOMAIN ' || pg_catalog.format_type(x.typbasetype, x.typtypmod),
                    (SELECT 'COLLATE ' || x.typcollation::regcollation::text FROM pg_type b
                    WHERE b.oid = x.typbasetype AND b.typcollation <> x.typcollation),
                    CASE WHEN x.typnotnull THEN 'NOT NULL' END,
                    'DEFAULT ' || pg_catalog.pg_get_expr(x.typdefaultbin, 0),
                    (SELECT pg_catalog.string_agg(
                        pg_catalog.pg_get_constraintdef(oid), ' ' ORDER BY conname
                    )
                    FROM pg_constraint WHERE contypid = x.oid AND contype <> 'n')
                )
                WHEN 'r' THEN (
                    SELECT 'RANGE OF ' || pg_catalog.format_type(rngsubtype, NULL)
                    FROM pg_range WHERE rngtypid = x.oid
                )
                ELSE '(' || (
                    SELECT pg_catalog.string_agg(
                        pg_catalog.quote_ident(attname) || ' '
                            || pg_catalog.format_type(atttypid, atttypmod), ', '
                        ORDER BY attnum
                    )
                    FROM pg_attribute WHERE attrelid = c.oid AND NOT attisdropped
                ) || ')'
            END
        ), NULL, x.tableoid, x.oid
        FROM pg_type x LEFT JOIN pg_class c ON c.oid = x.typrelid
        WHERE x.typnamespace = ANY(%(namespaces)s::oid[]) AND {own}
        AND (x.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
    """,
    "function": """
        SELECT NULL, x.oid::regprocedure::text, 0, pg_catalog.json_build_object(
            'variant', CASE x.prokind
                WHEN 'a' THEN 'AGGREGATE' WHEN 'p' THEN 'PROCEDURE' WHEN 'w' THEN 'WINDOW'
            END,
            'result', 'RETURNS ' || pg_catalog.pg_get_function_result(x.oid)
        ), CASE WHEN x.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(x.oid) ELSE (
            SELECT pg_catalog.concat_ws(
                ' ', aggtransfn, aggtranstype::regtype, NULLIF(aggfinalfn::text, '-'), agginitval
            )
            FROM pg_aggregate WHERE aggfnoid = x.oid
        ) END, x.tableoid, x.oid
        FROM pg_proc x WHERE x.pronamespace = ANY(%(namespaces)s::oid[]) AND {own} AND NOT EXISTS (
            SELECT FROM pg_depend i  -- a range type brings functions of its own
            WHERE i.classid = x.tableoid AND i.objid = x.oid AND i.deptype = 'i'
        )
    """,
    "table": """
        SELECT NULL, x.oid::regclass::text, 0, pg_catalog.json_build_object(
            'variant', CASE x.relkind WHEN 'f' THEN 'FOREIGN' END,
            'persistence', CASE x.relpersistence WHEN 'u' THEN 'UNLOGGED' END,
            'storage', 'WITH (' || pg_catalog.array_to_string(x.reloptions, ', ') || ')',
            'parents', CASE WHEN x.relispartition THEN 'PARTITION OF ' ELSE 'INHERITS ' END || (
                SELECT pg_catalog.string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno)
                FROM pg_inherits WHERE inhrelid = x.oid
            ),
            'bounds', pg_catalog.pg_get_expr(x.relpartbound, x.oid),
            'partitioning', 'PARTITION BY ' || pg_catalog.pg_get_partkeydef(x.oid),
            'row security', CASE WHEN x.relrowsecurity THEN 'ROW LEVEL SECURITY' END,
            'forced row security', CASE
                WHEN x.relforcerowsecurity THEN 'FORCE ROW LEVEL SECURITY'
            END,
            'replica identity', CASE x.relreplident
                WHEN 'f' THEN 'REPLICA IDENTITY FULL'
                WHEN 'n' THEN 'REPLICA IDENTITY NOTHING'
                WHEN 'i' THEN 'REPLICA IDENTITY USING INDEX ' || (
                    SELECT indexrelid::regclass::text FROM pg_index
                    WHERE indrelid = x.oid AND indisreplident
                )
            END
        ), NULL, x.tableoid, x.oid
        FROM pg_class x
        WHERE x.relnamespace = ANY(%(namespaces)s::oid[]) AND x.relkind IN ('r', 'p', 'f') AND {own}
    """,
    "view": """
        SELECT NULL, x.oid::regclass::text, 0, pg_catalog.json_build_object(
            'variant', CASE x.relkind WHEN 'm' THEN 'MATERIALIZED' END,
            'options', 'WITH (' || pg_catalog.array_to_string(x.reloptions, ', ') || ')'
        ), pg_catalog.pg_get_viewdef(x.oid), x.tableoid, x.oid
        FROM pg_class x
        WHERE x.relnamespace = ANY(%(namespaces)s::oid[]) AND x.relkind IN ('v', 'm') AND {own}
    """,
    "column": """
        SELECT x.oid::regclass::text,
        x.oid::regclass::text || '.' || pg_catalog.quote_ident(a.attname), a.attnum,
        pg_catalog.json_build_object(
            'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
            'collation', CASE WHEN a.attcollation <> t.typcollation
                THEN 'COLLATE ' || a.attcollation::regcollation::text END,
            'nullability', CASE WHEN a.attnotnull THEN pg_catalog.concat('NOT NULL', (
                SELECT ' NOT VALID' FROM pg_constraint
                WHERE conrelid = x.oid AND contype = 'n' AND conkey = ARRAY[a.attnum]
                AND NOT convalidated
            )) END,
            'default', CASE a.attgenerated WHEN '' THEN
                'DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
            'generation', 'GENERATED ALWAYS AS ('
                || pg_catalog.pg_get_expr(d.adbin, d.adrelid) || ')'
                || CASE a.attgenerated WHEN 's' THEN ' STORED' WHEN 'v' THEN ' VIRTUAL' END,
            'identity', CASE a.attidentity
                WHEN 'a' THEN 'GENERATED ALWAYS AS IDENTITY'
                WHEN 'd' THEN 'GENERATED BY DEFAULT AS IDENTITY'
            END
        ), NULL, x.tableoid, x.oid
        FROM pg_class x
        JOIN pg_attribute a ON a.attrelid = x.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_attrdef d ON d.adrelid = x.oid AND d.adnum = a.attnum
        WHERE x.relnamespace = ANY(%(namespaces)s::oid[]) AND x.relkind IN ('r', 'p', 'f', 'v', 'm')
        AND {own}
    """,
    # PostgreSQL 18 lists NOT NULL among the constraints; here it is the column's everywhere.
    "constraint": """
        SELECT c.conrelid::regclass::text, pg_catalog.quote_ident(c.conname), 0,
        pg_catalog.json_build_object(
            'definition', pg_catalog.pg_get_constraintdef(c.oid),
            'storage', CASE WHEN c.contype IN ('p', 'u', 'x') THEN (
                SELECT 'WITH (' || pg_catalog.array_to_string(reloptions, ', ') || ')'
                FROM pg_class WHERE oid = c.conindid
            ) END,
            'enforcement', CASE WHEN EXISTS (
                SELECT FROM pg_trigger WHERE tgconstraint = c.oid AND tgenabled IN ('D', 'R')
            ) THEN 'DISABLED' END,
            'validity', CASE WHEN c.contype IN ('p', 'u', 'x') AND EXISTS (
                SELECT FROM pg_index WHERE indexrelid = c.conindid AND NOT indisvalid
            ) THEN 'INVALID' END
        ), NULL, c.tableoid, c.oid
        FROM pg_constraint c JOIN pg_class x ON x.oid = c.conrelid
        WHERE c.connamespace = ANY(%(namespaces)s::oid[]) AND c.contype NOT IN ('n', 't') AND {own}
        AND NOT EXISTS (  -- a foreign key has one more for each partition that it refers to
            SELECT FROM pg_constraint w WHERE w.oid = c.conparentid AND w.conrelid = c.conrelid
        )
    """,
    # The index of a constraint is told by the constraint.
    "index": """
        SELECT i.indrelid::regclass::text, pg_catalog.quote_ident(n.relname), 0,
        pg_catalog.json_build_object(
            'definition', pg_catalog.pg_get_indexdef(n.oid, 0, true),
            'parent', 'PARTITION OF ' || (
                SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = n.oid
            ),
            'validity', CASE WHEN NOT i.indisvalid THEN 'INVALID' END
        ), NULL, n.tableoid, n.oid
        FROM pg_index i JOIN pg_class n ON n.oid = i.indexrelid
        JOIN pg_class x ON x.oid = i.indrelid
        WHERE n.relnamespace = ANY(%(namespaces)s::oid[]) AND {own} AND NOT EXISTS (
            SELECT FROM pg_constraint WHERE conindid = n.oid AND contype IN ('p', 'u', 'x')
        )
    """,
    "trigger": """
        SELECT g.tgrelid::regclass::text, pg_catalog.quote_ident(g.tgname), 0,
        pg_catalog.json_build_object(
            'definition', pg_catalog.pg_get_triggerdef(g.oid, true),
            'firing', CASE g.tgenabled {firing}
        ), NULL, g.tableoid, g.oid
        FROM pg_trigger g JOIN pg_class x ON x.oid = g.tgrelid
        WHERE x.relnamespace = ANY(%(namespaces)s::oid[]) AND NOT g.tgisinternal AND {own}
    """,
    "rule": """
        SELECT r.ev_class::regclass::text, pg_catalog.quote_ident(r.rulename), 0,
        pg_catalog.json_build_object(
            'definition', pg_catalog.pg_get_ruledef(r.oid, true),
            'firing', CASE r.ev_enabled {firing}
        ), NULL, r.tableoid, r.oid
        FROM pg_rewrite r JOIN pg_class x ON x.oid = r.ev_class
        WHERE x.relnamespace = ANY(%(namespaces)s::oid[]) AND r.rulename <> '_RETURN' AND {own}
    """,
    "policy": """
        SELECT p.polrelid::regclass::text, pg_catalog.quote_ident(p.polname), 0,
        pg_catalog.json_build_object(
            'definition', pg_catalog.concat_ws(' ',
                CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                CASE p.polcmd WHEN 'r' THEN 'FOR SELECT' WHEN 'a' THEN 'FOR INSERT'
                    WHEN 'w' THEN 'FOR UPDATE' WHEN 'd' THEN 'FOR DELETE' ELSE 'FOR ALL' END,
                'TO ' || (
                    SELECT pg_catalog.string_agg(
                        CASE id WHEN 0 THEN 'PUBLIC' ELSE id::regrole::text END, ', '
                        ORDER BY id::regrole::text COLLATE "C"
                    )
                    FROM pg_catalog.unnest(p.polroles) role (id)
                ),
                'USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',
                'WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')'
            )
        ), NULL, p.tableoid, p.oid
        FROM pg_policy p JOIN pg_class x ON x.oid = p.polrelid
        WHERE x.relnamespace = ANY(%(namespaces)s::oid[]) AND {own}
    """,
    "sequence": """
        SELECT o.refobjid::regclass::text, x.oid::regclass::text, 0, pg_catalog.json_build_object(
            'definition', pg_catalog.concat('AS ', pg_catalog.format_type(s.seqtypid, NULL),
                ' START ', s.seqstart, ' INCREMENT ', s.seqincrement,
                ' MINVALUE ', s.seqmin, ' MAXVALUE ', s.seqmax, ' CACHE ', s.seqcache,
                CASE WHEN s.seqcycle THEN ' CYCLE' END),
            'owner', 'OWNED BY ' || o.refobjid::regclass::text || '.'
                || pg_catalog.quote_ident(a.attname)
        ), NULL, x.tableoid, x.oid
        FROM pg_class x JOIN pg_sequence s ON s.seqrelid = x.oid
        LEFT JOIN pg_depend o ON o.classid = 'pg_class'::regclass AND o.objid = x.oid
            AND o.refclassid = 'pg_class'::regclass AND o.deptype IN ('a', 'i')
        LEFT JOIN pg_attribute a ON a.attrelid = o.refobjid AND a.attnum = o.refobjsubid
        WHERE x.relnamespace = ANY(%(namespaces)s::oid[]) AND {own}
    """,
}
COMMENTED = """
SELECT owner, name, place, details, source, 'COMMENT ' || pg_catalog.quote_literal(description)
FROM ({query}) thing (owner, name, place, details, source, catalog, id)
LEFT JOIN pg_description ON classoid = catalog AND objoid = id AND objsubid = place
"""
OWN = """NOT EXISTS (
    SELECT FROM pg_depend e WHERE e.classid = x.tableoid AND e.objid = x.oid AND e.deptype = 'e'
)"""
# How triggers and rules fire, but for the usual way.
FIRING = "WHEN 'D' THEN 'DISABLED' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' END"
KINDS = tuple(QUERIES)
# A session may write names and values otherwise, and so may a database. How dates are read stays.
SPELLING = {
    "quote_all_identifiers": "off",
    "IntervalStyle": "postgres",
    "DateStyle": "ISO",
    "bytea_output": "hex",
}


@dataclass(frozen=True)
class Fact:
    """One thing of a schema.

    `table` is the table or view that it belongs to, `details` what is said of it, by name.
    `source` is the text of a view or a function, which counts in a comparison and in no listing:
    each version of PostgreSQL writes it in a way of its own.
    """

    kind: str
    name: str
    table: str | None = None
    details: dict[str, str] = field(default_factory=dict)
    source: str | None = None

    @property
    def subject(self) -> str:
        """What a sentence about it begins with."""
        if self.kind in ("table", "column"):
            return self.name
        where = f"{self.table}, " if self.table else ""
        return f"{where}{self.kind} {self.name}"


@dataclass(frozen=True)
class Difference:
    """What one side has of a subject and what the other; None where it has nothing."""

    subject: str
    here: str | None
    there: str | None

    def said(self, here: str, there: str) -> str:
        """The difference as a sentence on one line, with the names of both sides."""
        ours, theirs = (one_line(text or "") for text in (self.here, self.there))
        if ours == theirs:  # but for their line breaks
            ours, theirs = repr(self.here), repr(self.there)
        if self.here and self.there:
            said = f"{here} has {ours}, {there} {theirs}"
        else:
            said = f"only {here if self.here else there} has {ours or theirs}"
        return one_line(f"{self.subject}: {said}")


def one_line(text: str) -> str:
    """The text without the line breaks that a definition or a comment may have."""
    return re.sub(r"\s*[\r\n]\s*", " ", text)


def search_path(database: PostgresqlDatabase) -> list[str]:
    """The schemas in which the session looks for a name, the one where it creates first."""
    (names,) = database.execute_sql("SELECT pg_catalog.current_schemas(false)").fetchone()
    return [name for name in names if name != "information_schema" and name[:3] != "pg_"]


def speak_plainly(database: PostgresqlDatabase, schemas: Sequence[str]) -> None:
    """Until the transaction ends, spell alike whatever the session says.

    Names are looked for in these schemas, and in pg_catalog first.
    """
    path = ", ".join(quote_ident(schema, database.connection()) for schema in schemas)
    for name, value in (SPELLING | {"search_path": path}).items():
        database.execute_sql("SELECT pg_catalog.set_config(%s, %s, true)", (name, value))


def read(
    database: PostgresqlDatabase,
    schemas: Sequence[str] | None = None,
    path: Sequence[str] | None = None,
) -> list[Fact]:
    """The facts of some schemas, or of all but the server's own.

    What is in one of `path` goes by its plain name, and all else with its schema's; without a path
    that is the schema where the session creates.
    """
    with database.atomic() as transaction:
        speak_plainly(database, search_path(database)[:1] if path is None else path)
        wanted = {"schemas": None if schemas is None else list(schemas)}
        namespaces = [oid for (oid,) in database.execute_sql(NAMESPACES, wanted).fetchall()]
        rows = [
            (kind, row)
            for kind, query in QUERIES.items()
            for row in database.execute_sql(
                COMMENTED.format(query=query.format(own=OWN, firing=FIRING)),
                {"namespaces": namespaces},
            ).fetchall()
        ]
        transaction.rollback()  # the session's settings are as they were
    tables = {name: KINDS.index(kind) for kind, (table, name, *_) in rows if table is None}

    def order(row: tuple[str, Sequence[Any]]) -> tuple[Any, ...]:
        table, name, number, *_ = row[1]
        own = KINDS.index(row[0])
        return (tables[table], table, own, number, name) if table else (own, name)

    # What a table has that an extension brought is the extension's.
    ours = [row for row in rows if row[1][0] is None or row[1][0] in tables]
    return [_fact(*row) for row in sorted(ours, key=order)]


def compare(here: Iterable[Fact], there: Iterable[Fact]) -> list[Difference]:
    """How two schemas differ; of what a table has, nothing is told where the table is missing."""
    left, right = _by_key(here), _by_key(there)
    missing = {name for kind, name in _tables(left) ^ _tables(right)}
    return [
        difference
        for key, fact in sorted((left | right).items())
        if fact.table not in missing
        for difference in _differences(left.get(key), right.get(key))
    ]


def _by_key(facts: Iterable[Fact]) -> dict[Key, Fact]:
    return {_key(fact): fact for fact in facts}


def _key(fact: Fact) -> Key:
    """By the table, and the kinds in their order; a sequence's owner is no part of its name."""
    first = fact.name if fact.kind == "sequence" else fact.table or fact.name
    return first, KINDS.index(fact.kind), fact.name


def _tables(facts: Mapping[Key, Fact]) -> set[tuple[str, str]]:
    return {(fact.kind, fact.name) for fact in facts.values() if fact.kind in ("table", "view")}


def _differences(here: Fact | None, there: Fact | None) -> Iterator[Difference]:
    if here is None or there is None:
        fact = here or there
        assert fact  # noqa: S101 # a key comes from one of the two
        this = f"this {fact.kind}"
        yield Difference(fact.subject, this if here else None, this if there else None)
        return
    for name in sorted(here.details.keys() | there.details.keys()):
        ours, theirs = here.details.get(name), there.details.get(name)
        if ours != theirs:
            yield Difference(here.subject, ours, theirs)
    if here.source != there.source:
        yield Difference(here.subject, here.source, there.source)


def _fact(kind: str, row: Sequence[Any]) -> Fact:
    table, name, _, details, source, comment = row
    said = {key: text for key, text in (details | {"comment": comment}).items() if text}
    return Fact(kind, name, table, said, source and source.strip())
