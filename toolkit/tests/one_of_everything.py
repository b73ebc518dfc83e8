"""A schema with one object of every kind, and its listing."""

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
    "CREATE SCHEMA other",
    "CREATE TABLE other.things (id integer REFERENCES things)",
    "COMMENT ON TABLE things IS 'all things'",
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
