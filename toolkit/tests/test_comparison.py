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
