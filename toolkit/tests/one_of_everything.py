"""A database with one object of every kind, and its listing."""

STATEMENTS = (
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
    'CREATE COLLATION by_code FROM "C"',
    "CREATE TYPE based",
    """CREATE FUNCTION based_in(cstring) RETURNS based LANGUAGE internal IMMUTABLE STRICT
        AS 'textin'""",
    """CREATE FUNCTION based_out(based) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT
        AS 'textout'""",
    "CREATE TYPE based (INPUT = based_in, OUTPUT = based_out)",
    "CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = integer, RIGHTARG = integer)",
    "CREATE OPERATOR FAMILY ints USING btree",
    """CREATE OPERATOR CLASS int_ops FOR TYPE integer USING btree FAMILY ints
        AS OPERATOR 3 =, FUNCTION 1 btint4cmp(integer, integer)""",
    "CREATE CAST (based AS text) WITH INOUT AS ASSIGNMENT",
    "CREATE CONVERSION latin FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1",
    """CREATE TEXT SEARCH PARSER parsing
        (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)""",
    "CREATE TEXT SEARCH TEMPLATE simply (INIT = dsimple_init, LEXIZE = dsimple_lexize)",
    "CREATE TEXT SEARCH DICTIONARY wordy (TEMPLATE = simple, accept = false)",
    "CREATE TEXT SEARCH CONFIGURATION finding (PARSER = default)",
    "ALTER TEXT SEARCH CONFIGURATION finding ADD MAPPING FOR asciiword WITH wordy, simple",
    "CREATE STATISTICS of_things (ndistinct) ON feels, share FROM things",
    "CREATE PUBLICATION news FOR TABLE things (id, share) WHERE (id > 0) WITH (publish = 'insert')",
    "CREATE SCHEMA other",
    "CREATE TABLE other.things (id integer REFERENCES things)",
    "COMMENT ON TABLE things IS 'all things'",
    "COMMENT ON COLUMN things.feels IS 'how it''s'",
    "COMMENT ON INDEX lower_name IS 'finds'",
    "COMMENT ON SCHEMA public IS NULL",
)
# Objects that dropping every schema leaves, so that they need a database of their own.
DATABASE_STATEMENTS = (
    "CREATE ACCESS METHOD second_heap TYPE TABLE HANDLER heap_tableam_handler",
    "CREATE LANGUAGE second_sql HANDLER plpgsql_call_handler",
    """CREATE TRANSFORM FOR integer LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal),
        TO SQL WITH FUNCTION int4recv(internal))""",
    "CREATE FOREIGN DATA WRAPPER elsewhere OPTIONS (token 'hunter2')",
    "CREATE SERVER far TYPE 'odd' FOREIGN DATA WRAPPER elsewhere OPTIONS (host 'there')",
    "CREATE USER MAPPING FOR PUBLIC SERVER far OPTIONS (user 'me', password 'hunter2')",
    """CREATE FOREIGN TABLE far_things (id integer OPTIONS (name 'number'))
        SERVER far OPTIONS (name 'remote')""",
    """CREATE SUBSCRIPTION readers CONNECTION 'host=there password=hunter2' PUBLICATION news
        WITH (connect = false, enabled = false, slot_name = NONE)""",
    """DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %%I SET jit = off', current_database());
        EXECUTE format('ALTER DATABASE %%I SET app.secret = hunter2', current_database());
    END $$""",
)
LISTING = """\
schema other
schema public
extension plpgsql  VERSION 1.0 SCHEMA pg_catalog
event trigger watch  ON ddl_command_end WHEN TAG IN (CREATE TABLE, DROP TABLE) EXECUTE FUNCTION \
seen()
language second_sql  HANDLER plpgsql_call_handler()
publication news  FOR TABLE things (id, share) WHERE (id > 0) WITH (publish = 'insert')
subscription readers  PUBLICATION news DISABLED
setting app.secret of the database  SET TO ***
setting jit of the database  SET TO 'off'
collation by_code  libc LC_COLLATE 'C' LC_CTYPE 'C'
type based  BASE INPUT based_in OUTPUT based_out INTERNALLENGTH -1 ALIGNMENT i STORAGE p CATEGORY \
U DELIMITER ','
type code  DOMAIN text COLLATE "C"
type mood  ENUM ('good', 'it''s bad')
type percent  DOMAIN numeric(5,2) NOT NULL DEFAULT 0 CONSTRAINT percent_check CHECK ((VALUE >= \
(0)::numeric))
type place  (x integer, label text)
type span  RANGE OF integer MULTIRANGE span_multirange
function based_in(cstring)  RETURNS based LANGUAGE internal IMMUTABLE STRICT
function based_out(based)  RETURNS cstring LANGUAGE internal IMMUTABLE STRICT
function noticed()  RETURNS trigger LANGUAGE plpgsql
function one(integer)  RETURNS integer LANGUAGE sql
function seen()  RETURNS event_trigger LANGUAGE plpgsql
function total(integer)  AGGREGATE RETURNS integer IMMUTABLE
function work()  PROCEDURE LANGUAGE sql
operator ===(integer,integer)  FUNCTION int4eq
operator family ints USING btree  OPERATOR 3 =(integer,integer), FUNCTION 1 \
btint4cmp(integer,integer)
operator class int_ops USING btree  FOR TYPE integer FAMILY public.ints
access method second_heap  TYPE TABLE HANDLER heap_tableam_handler
cast (based AS text)  WITH INOUT AS ASSIGNMENT
transform FOR integer LANGUAGE sql  FROM SQL WITH FUNCTION prsd_lextype(internal) TO SQL WITH \
FUNCTION int4recv(internal)
conversion latin  FOR UTF8 TO LATIN1 FROM utf8_to_iso8859_1
text search parser parsing  START prsd_start GETTOKEN prsd_nexttoken END prsd_end LEXTYPES \
prsd_lextype
text search template simply  INIT dsimple_init LEXIZE dsimple_lexize
text search dictionary wordy  TEMPLATE pg_catalog.simple accept = 'false'
text search configuration finding  PARSER pg_catalog."default" asciiword wordy, asciiword simple
foreign data wrapper elsewhere  OPTIONS (token=***)
server far  TYPE 'odd' FOREIGN DATA WRAPPER elsewhere OPTIONS (host=there)
user mapping of PUBLIC to far  OPTIONS (password=***, user=me)
table cache  UNLOGGED
  key    integer NOT NULL DEFAULT nextval('cache_key_seq'::regclass)
  value  jsonb
  rule quiet  CREATE RULE quiet AS ON DELETE TO cache DO INSTEAD NOTHING;
  sequence cache_key_seq  AS integer START 1 INCREMENT 1 MINVALUE 1 MAXVALUE 2147483647 CACHE 1 \
UNLOGGED OWNED BY cache.key
table far_things  FOREIGN SERVER far OPTIONS (name=remote)
  id  integer OPTIONS (name=number)
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
table things  COMMENT 'all things'
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
  statistics of_things  (ndistinct) ON feels, share
  trigger notice  CREATE TRIGGER notice BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION \
noticed() DISABLED
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
