"""migrate-stamp: which schemas are equal, and which differences and ignored names there are."""

import re
from dataclasses import replace

import pytest

from tests.dumps import dump
from tests.every_task import at
from tests.existing import TABLES
from tests.migration_files import migration
from tests.one_of_everything import STATEMENTS
from tests.support import execute, tables

TRIGGER = """
CREATE TRIGGER own BEFORE UPDATE ON {} FOR EACH ROW
EXECUTE FUNCTION suppress_redundant_updates_trigger()
"""
ENUM = """
CREATE TYPE mood AS ENUM ('good');
ALTER TABLE sessions ADD CONSTRAINT fine CHECK (sess->>'mood' <> 'good'::mood::text)
"""
DIFFERENCES = {
    "an index": (
        "DROP INDEX idx_sessions_expire",
        "sessions, index idx_sessions_expire: only the result of the migrations has this index",
    ),
    "a type": (
        "ALTER TABLE sessions ALTER expire TYPE timestamptz(6)",
        "sessions.expire: the database has timestamp(6) with time zone, the result of",
    ),
    "a column": (
        "ALTER TABLE sessions ADD own integer",
        "sessions.own: only the database has this column",
    ),
    "nullability": (
        "ALTER TABLE sessions ALTER sess DROP NOT NULL",
        "sessions.sess: only the result of the migrations has NOT NULL",
    ),
    "a table": (
        "DROP TABLE sessions",
        "sessions: only the result of the migrations has this table",
    ),
    "a function": (
        "CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "function one(): only the database has this function",
    ),
    "a trigger": (
        TRIGGER.format("sessions"),
        "sessions, trigger own: only the database has this trigger",
    ),
    "a check": (
        "ALTER TABLE sessions ADD CONSTRAINT named CHECK (sid <> '')",
        "sessions, constraint named: only the database has this constraint",
    ),
    "a type of the database's own, and its use": (
        ENUM,
        "type mood: only the database has this type",
    ),
    "a view": (
        "CREATE VIEW live AS SELECT sid FROM sessions",
        "view live: only the database has this view",
    ),
    "another schema": (
        "CREATE SCHEMA other; CREATE TABLE other.things (id integer)",
        "other.things: only the database has this table",
    ),
    "the step of a sequence": (
        "ALTER SEQUENCE audit_log_id_seq INCREMENT 7",
        "audit_log, sequence audit_log_id_seq: the database has AS integer START 1 INCREMENT 7",
    ),
    "row security": (
        "ALTER TABLE sessions ENABLE ROW LEVEL SECURITY",
        "sessions: only the database has ROW LEVEL SECURITY",
    ),
}


@pytest.mark.parametrize(("statement", "line"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_a_difference_is_printed_and_nothing_is_recorded(existing, settings, statement, line):
    execute(settings, statement)
    before = tables(settings)
    done = existing.invoke("migrate-stamp", "3")
    assert done.returncode == 1, done
    assert done.stdout.startswith(line) or f"\n{line}" in done.stdout, done.stdout
    assert re.search(
        rf"^[12] different, nothing was recorded: {settings.url}$", done.stdout, re.MULTILINE
    )
    assert "recorded 00" not in done.stdout
    assert tables(settings) == before  # without a table for the history, too
    execute(settings, "DROP SCHEMA IF EXISTS other CASCADE")


def test_an_empty_database_is_different(app, settings):
    done = app.invoke("migrate-stamp", "3")
    assert done.returncode == 1
    assert "sessions: only the result of the migrations has this table" in done.stdout
    assert tables(settings) == []


CHECKED = "CREATE TABLE checked (state varchar(9) CHECK (state IN ('new', 'old')) {})"


def test_a_definition_in_another_spelling_is_equal(existing, settings):
    """A dump and restore, for example, writes more casts into it."""
    existing.write("migrations/004_c.py", migration(f'migrator.sql("{CHECKED.format("")}")'))
    execute(settings, "CREATE TABLE checked (state varchar(9))")
    execute(
        settings,
        "ALTER TABLE checked ADD CONSTRAINT checked_state_check CHECK (state::text = ANY "
        "(ARRAY['new'::character varying::text, 'old'::character varying::text]))",
    )
    done = existing.invoke("migrate-stamp", "4")
    assert done.returncode == 0, done


def test_a_schema_public_that_was_created_again_is_no_difference(app, settings):
    """initdb comments its own one."""
    execute(settings, f"DROP SCHEMA public CASCADE; CREATE SCHEMA public; {TABLES}")
    done = app.invoke("migrate-stamp", "3")
    assert done.returncode == 0, done


def dumped(settings):
    """A migration that runs what pg_dump writes of a database's schema.

    pg_dump fills a materialized view after the data.
    """
    text = dump(settings, "--schema-only", "--no-owner").replace("WITH NO DATA", "WITH DATA")
    text = re.sub(r"^\\.*", "", text, flags=re.MULTILINE)  # commands of psql
    return migration(f"migrator.sql({text.replace('%', '%%')!r})")


def test_the_dump_of_one_object_of_every_kind_is_a_first_migration(app, settings):
    for path in (app.folder / "migrations").glob("0*.py"):
        path.unlink()
    for statement in STATEMENTS:
        execute(settings, statement)
    app.write("migrations/001_all.py", dumped(settings))
    done = app.invoke("migrate-stamp", "1")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "recorded 001_all"), done


PARTITIONS = """
CREATE TABLE jobs (id integer PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE first PARTITION OF jobs FOR VALUES FROM (1) TO (9) PARTITION BY RANGE (id);
CREATE TABLE half PARTITION OF first FOR VALUES FROM (1) TO (5)
"""
JOBS = "CREATE TABLE jobs (id serial PRIMARY KEY, name text UNIQUE); CREATE INDEX j ON jobs (name);"
FUNCTION = "CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1';"
SETTING = """
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET jit = off', current_database()); END $$
"""
IGNORED = {
    "a table with its parts": (JOBS + TRIGGER.format("jobs"), "jobs"),
    "a column": ("ALTER TABLE sessions ADD own integer", "sessions.own"),
    "an index": ("CREATE INDEX own ON sessions (sess)", "sessions.own"),
    "a trigger": (TRIGGER.format("sessions"), "sessions.own"),
    "a partitioned table with its partitions": (PARTITIONS, "jobs"),
    "a function and a view": (f"{FUNCTION} CREATE VIEW v AS SELECT one()", "one(),v"),
    "a setting of the database": (SETTING, "jit of the database"),
    "a schema": ("CREATE SCHEMA other; CREATE TABLE other.things (id serial)", "other,other.*"),
}


@pytest.mark.parametrize(("statement", "names"), IGNORED.values(), ids=IGNORED)
def test_an_ignored_name_of_another_program_is_no_difference(existing, settings, statement, names):
    execute(settings, statement)
    try:
        assert existing.invoke("migrate-stamp", "3").returncode == 1
        done = existing.invoke("migrate-stamp", "3", MIGRATE_CHECK_IGNORE=names)
    finally:
        execute(settings, "DROP SCHEMA IF EXISTS other CASCADE")
    assert done.returncode == 0, done


@pytest.fixture
def in_two_schemas(existing, settings):
    """The project with a schema of its own; a function opens it at a search_path."""
    existing.write("migrations/000_own.py", migration("migrator.sql('CREATE SCHEMA own')"))
    execute(settings, "CREATE SCHEMA own")

    def open_at(path):
        url = replace(settings.url, parameters={"options": f"-c search_path={path}"})
        return at(existing, url.render(with_password=True))

    yield open_at
    execute(settings, "DROP SCHEMA own CASCADE")


def test_a_new_history_of_the_scratch_database_in_another_schema_is_no_difference(
    in_two_schemas, settings
):
    """Its first schema does not exist before the first migration."""
    for table in ("audit_log", "sessions"):
        execute(settings, f"ALTER TABLE {table} SET SCHEMA own")
    done = in_two_schemas("own,public").invoke("migrate-stamp", "3")
    assert done.returncode == 0, done
    assert len(execute(settings, "SELECT name FROM own.migratehistory")) == 4


def test_an_existing_history_in_another_schema_is_no_difference(in_two_schemas, settings):
    in_two_schemas("public").invoke("migrate-stamp", "0", "--anyway")
    execute(settings, "ALTER TABLE migratehistory SET SCHEMA own")
    done = in_two_schemas("public,own").invoke("migrate-stamp", "3")
    assert done.returncode == 0, done
    assert len(execute(settings, "SELECT name FROM own.migratehistory")) == 4
