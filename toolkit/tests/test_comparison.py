"""Two schemas are compared: every change is a difference, except the order of columns."""

import pytest

from dbfoundation.schema.catalog import read
from dbfoundation.schema.comparison import compare
from tests.one_of_everything import STATEMENTS

CHANGES = {
    "view's query": (
        'CREATE OR REPLACE VIEW good_ones AS SELECT id, "Name" FROM things WHERE id > 1',
        "view good_ones: before has SELECT",
    ),
    "dropped view": ("DROP VIEW good_ones", "view good_ones: only before has this view"),
    "function's body": (
        "CREATE OR REPLACE FUNCTION one(integer) RETURNS integer LANGUAGE sql AS 'SELECT 2'",
        "function one(integer): before has CREATE OR REPLACE FUNCTION",
    ),
    "new function": (
        "CREATE FUNCTION one(text) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "function one(text): only after has this function",
    ),
    "aggregate": (
        ("CREATE OR REPLACE AGGREGATE total(integer) (SFUNC = int4mi, STYPE = integer)"),
        "function total(integer): before has int4pl integer, after int4mi integer",
    ),
    "view's options": (
        "ALTER VIEW good_ones SET (security_barrier = true)",
        "view good_ones: only after has WITH (security_barrier=true)",
    ),
    "domain's collation": (
        'DROP DOMAIN code; CREATE DOMAIN code AS text COLLATE "POSIX"',
        'type code: before has DOMAIN text COLLATE "C", after DOMAIN text COLLATE "POSIX"',
    ),
    "dropped rule": ("DROP RULE quiet ON cache", "cache, rule quiet: only before has this rule"),
    "policy": (
        "ALTER POLICY mine ON things USING (id > 1)",
        "things, policy mine: before has PERMISSIVE FOR SELECT TO PUBLIC USING ((id > 0)), after",
    ),
    "policy's roles": (
        "ALTER POLICY mine ON things TO pg_read_all_data, pg_monitor",
        "after PERMISSIVE FOR SELECT TO pg_monitor, pg_read_all_data USING",
    ),
    "row security": (
        "ALTER TABLE things ENABLE ROW LEVEL SECURITY",
        "things: only after has ROW LEVEL SECURITY",
    ),
    "forced row security, while it is off": (
        "ALTER TABLE things FORCE ROW LEVEL SECURITY",
        "things: only after has FORCE ROW LEVEL SECURITY",
    ),
    "replica identity": (
        "ALTER TABLE things REPLICA IDENTITY FULL",
        "things: only after has REPLICA IDENTITY FULL",
    ),
    "no replica identity": (
        "ALTER TABLE things REPLICA IDENTITY NOTHING",
        "things: only after has REPLICA IDENTITY NOTHING",
    ),
    "replica identity by an index": (
        "ALTER TABLE things REPLICA IDENTITY USING INDEX things_pkey",
        "things: only after has REPLICA IDENTITY USING INDEX things_pkey",
    ),
    "constraint's index": (
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'things_feels_key'::regclass",
        "things, constraint things_feels_key: only after has INVALID",
    ),
    "partition's index": (
        "ALTER INDEX of_parts ATTACH PARTITION of_2026",
        "parts_2026, index of_2026: only after has PARTITION OF of_parts",
    ),
    "rule's firing": (
        "ALTER TABLE cache DISABLE RULE quiet",
        "cache, rule quiet: only after has DISABLED",
    ),
    "trigger's firing": (
        "ALTER TABLE things ENABLE ALWAYS TRIGGER notice",
        "things, trigger notice: before has DISABLED, after ENABLE ALWAYS",
    ),
    "event trigger's firing": (
        "ALTER EVENT TRIGGER watch ENABLE REPLICA",
        "event trigger watch: only after has ENABLE REPLICA",
    ),
    "event trigger's events": (
        "DROP EVENT TRIGGER watch; CREATE EVENT TRIGGER watch ON sql_drop EXECUTE FUNCTION seen()",
        "event trigger watch: before has ON ddl_command_end WHEN TAG IN (CREATE TABLE, DROP TABLE)",
    ),
    "dropped event trigger": (
        "DROP EVENT TRIGGER watch",
        "event trigger watch: only before has this event trigger",
    ),
    "sequence's owner": (
        "ALTER SEQUENCE cache_key_seq OWNED BY NONE",
        "sequence cache_key_seq: only before has OWNED BY cache.key",
    ),
    "line breaks only": (
        r"CREATE OR REPLACE FUNCTION one(integer) RETURNS integer LANGUAGE sql AS E'SELECT\n1'",
        r"AS $function$SELECT\n1$function$",
    ),
    "storage": (
        "ALTER TABLE cache SET (fillfactor = 50)",
        "cache: only after has WITH (fillfactor=50)",
    ),
    "comment of two lines": (
        r"COMMENT ON TABLE things IS E'one\ntwo'",
        "things: before has COMMENT 'all things', after COMMENT 'one two'",
    ),
    "enum": ("ALTER TYPE mood ADD VALUE 'so so'", "it''s bad'), after ENUM ('good', 'it''s bad',"),
    "domain": ("ALTER DOMAIN percent DROP NOT NULL", "type percent: before has DOMAIN"),
    "composite": ("ALTER TYPE place ADD ATTRIBUTE z integer", "(x integer, label text), after"),
    "trigger": (
        "ALTER TABLE things ENABLE TRIGGER notice",
        "things, trigger notice: only before has DISABLED",
    ),
    "comment": (
        "COMMENT ON COLUMN things.feels IS NULL",
        "things.feels: only before has COMMENT 'how it''s'",
    ),
    "dropped schema": ("DROP SCHEMA other CASCADE", "schema other: only before has this schema"),
    "another schema": (
        "ALTER TABLE cache SET SCHEMA other",
        "other.cache: only after has this table",
    ),
    "partition": ("ALTER TABLE parts DETACH PARTITION parts_2026", "FOR VALUES FROM"),
    "toast storage": (
        "ALTER TABLE cache SET (toast.autovacuum_enabled = false)",
        "cache: only after has TOAST WITH (autovacuum_enabled=false)",
    ),
    "clustered constraint": (
        "ALTER TABLE things CLUSTER ON things_pkey",
        "things, constraint things_pkey: only after has CLUSTER",
    ),
    "clustered index": (
        "ALTER TABLE parts_2026 CLUSTER ON of_2026",
        "parts_2026, index of_2026: only after has CLUSTER",
    ),
    "index's statistics": (
        "ALTER INDEX lower_name ALTER 1 SET STATISTICS 500",
        "things, index lower_name: only after has COLUMN 1 STATISTICS 500",
    ),
    "constraint's index's comment": (
        "COMMENT ON INDEX things_pkey IS 'unique'",
        "things, constraint things_pkey: only after has INDEX COMMENT 'unique'",
    ),
    "name of a domain's constraint": (
        "ALTER DOMAIN percent RENAME CONSTRAINT percent_check TO other",
        "type percent: before has DOMAIN",
    ),
    "comment of a domain's constraint": (
        "COMMENT ON CONSTRAINT percent_check ON DOMAIN percent IS 'low'",
        "type percent: only after has COMMENT ON percent_check 'low'",
    ),
    "comment of a composite type's attribute": (
        "COMMENT ON COLUMN place.x IS 'left'",
        "type place: only after has COMMENT ON x 'left'",
    ),
    "range's parts": (
        (
            "DROP TYPE span; CREATE TYPE span AS RANGE "
            "(subtype = integer, subtype_diff = int4range_subdiff, multirange_type_name = spans)"
        ),
        "after RANGE OF integer SUBTYPE_DIFF int4range_subdiff MULTIRANGE spans",
    ),
    "aggregate's parts": (
        (
            "CREATE OR REPLACE AGGREGATE total(integer) "
            "(SFUNC = int4pl, STYPE = integer, COMBINEFUNC = int4pl, PARALLEL = SAFE)"
        ),
        "after int4pl integer COMBINEFUNC int4pl",
    ),
    "materialized view's population": (
        "REFRESH MATERIALIZED VIEW counts WITH NO DATA",
        "view counts: only after has WITH NO DATA",
    ),
    "column's storage": (
        'ALTER TABLE things ALTER "Name" SET STORAGE EXTERNAL',
        'things."Name": only after has STORAGE EXTERNAL',
    ),
    "column's compression": (
        'ALTER TABLE things ALTER "Name" SET COMPRESSION pglz',
        'things."Name": only after has COMPRESSION pglz',
    ),
    "column's statistics": (
        'ALTER TABLE things ALTER "Name" SET STATISTICS 500',
        'things."Name": only after has STATISTICS 500',
    ),
    "column's options": (
        'ALTER TABLE things ALTER "Name" SET (n_distinct = 5)',
        'things."Name": only after has WITH (n_distinct=5)',
    ),
    "extended statistics": (
        "DROP STATISTICS of_things; CREATE STATISTICS of_things ON feels, share FROM things",
        "things, statistics of_things: before has (ndistinct) ON feels, share, after (ndistinct,",
    ),
    "target of extended statistics": (
        "ALTER STATISTICS of_things SET STATISTICS 500",
        "things, statistics of_things: only after has STATISTICS 500",
    ),
    "function's security": (
        "ALTER FUNCTION one(integer) SECURITY DEFINER SET search_path = pg_catalog",
        "function one(integer): only after has SECURITY DEFINER",
    ),
    "function's cost": (
        "ALTER FUNCTION one(integer) COST 7",
        "function one(integer): only after has COST 7",
    ),
    "publication": (
        "ALTER PUBLICATION news SET (publish = 'insert, update')",
        "(publish = 'insert'), after FOR TABLE things (id, share) WHERE (id > 0) WITH (publish =",
    ),
    "publication's tables": (
        "ALTER PUBLICATION news SET TABLE parts",
        "publication news: before has FOR TABLE things (id, share) WHERE (id > 0)",
    ),
    "operator": (
        "ALTER OPERATOR === (integer, integer) SET (RESTRICT = eqsel)",
        "operator ===(integer,integer): before has FUNCTION int4eq, after FUNCTION int4eq RESTRICT",
    ),
    "operator class": (
        "DROP OPERATOR CLASS int_ops USING btree",
        "operator class int_ops USING btree: only before has this operator class",
    ),
    "operator family": (
        "ALTER OPERATOR FAMILY ints USING btree ADD OPERATOR 1 < (integer, integer)",
        "after OPERATOR 1 <(integer,integer), OPERATOR 3 =(integer,integer)",
    ),
    "cast": (
        "DROP CAST (based AS text); CREATE CAST (based AS text) WITH INOUT",
        "cast (based AS text): before has WITH INOUT AS ASSIGNMENT, after WITH INOUT",
    ),
    "base type": ("ALTER TYPE based SET (STORAGE = extended)", "type based: before has BASE"),
    "conversion": ("DROP CONVERSION latin", "conversion latin: only before has this conversion"),
    "collation": (
        """DROP COLLATION by_code; CREATE COLLATION by_code FROM "POSIX\"""",
        "collation by_code: before has libc LC_COLLATE 'C' LC_CTYPE 'C', after libc LC_COLLATE",
    ),
    "text search configuration": (
        "ALTER TEXT SEARCH CONFIGURATION finding DROP MAPPING FOR asciiword",
        "asciiword wordy, asciiword simple, after PARSER",
    ),
    "text search dictionary": (
        "ALTER TEXT SEARCH DICTIONARY wordy (accept = true)",
        "before has TEMPLATE pg_catalog.simple accept = 'false', after",
    ),
    "text search template": (
        "DROP TEXT SEARCH TEMPLATE simply",
        "text search template simply: only before has this text search template",
    ),
    "text search parser": (
        "DROP TEXT SEARCH PARSER parsing",
        "text search parser parsing: only before has this text search parser",
    ),
    "unlogged sequence": (
        "ALTER SEQUENCE numbers SET UNLOGGED",
        "sequence numbers: only after has UNLOGGED",
    ),
    "typed table": (
        "DROP TABLE other.things; CREATE TABLE other.things OF place",
        "other.things: only after has OF place",
    ),
    "materialized view's index": (
        "CREATE INDEX of_counts ON counts (number)",
        "counts, index of_counts: only after has this index",
    ),
}


@pytest.fixture(scope="module")
def everything(module_connection):
    """A connection to a database with one object of every kind."""
    for statement in STATEMENTS:
        module_connection.execute_sql(statement)
    return module_connection


@pytest.fixture(scope="module")
def before(everything):
    """Its objects, before any change."""
    return read(everything)


@pytest.fixture
def changeable(everything):
    """The same connection, in a transaction that is rolled back at the end of the test."""
    with everything.atomic() as transaction:
        yield everything
        transaction.rollback()


@pytest.mark.parametrize(("change", "sentence"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_a_difference(changeable, before, change, sentence):
    changeable.execute_sql(change)
    sentences = [d.describe("before", "after") for d in compare(before, read(changeable))]
    assert [line for line in sentences if sentence in line], sentences


def test_the_order_of_columns_is_no_difference(changeable, before):
    changeable.execute_sql("DROP TABLE cache; CREATE UNLOGGED TABLE cache (value jsonb)")
    changeable.execute_sql("ALTER TABLE cache ADD key serial")
    changeable.execute_sql("CREATE RULE quiet AS ON DELETE TO cache DO INSTEAD NOTHING")
    assert compare(before, read(changeable)) == []


def test_an_extension_that_is_moved_or_updated_is_a_difference(changeable):
    changeable.execute_sql("CREATE EXTENSION pg_stat_statements VERSION '1.9'")
    older = read(changeable)
    changeable.execute_sql("ALTER EXTENSION pg_stat_statements UPDATE TO '1.10'")
    changeable.execute_sql("ALTER EXTENSION pg_stat_statements SET SCHEMA other")
    sentences = [d.describe("before", "after") for d in compare(older, read(changeable))]
    assert sentences == [
        "extension pg_stat_statements: before has SCHEMA public, after SCHEMA other",
        "extension pg_stat_statements: before has VERSION 1.9, after VERSION 1.10",
    ]
