"""The history: one record a migration, in a table that peewee-migrate can read and write."""

import peewee as pw
import pytest
from peewee_migrate import Router

from dbfoundation.errors import PlanError
from dbfoundation.migrations.engine import Engine
from dbfoundation.migrations.history import History
from tests.migration_files import applied, creates, tables
from tests.support import PROJECT

PEEWEE_MIGRATE_TABLE = """
CREATE TABLE migratehistory (
    id SERIAL PRIMARY KEY, name VARCHAR(255) NOT NULL, migrated_at TIMESTAMP NOT NULL
)
"""


@pytest.fixture
def history(db):
    return History(db)


@pytest.fixture
def engine(db, tmp_path, write):
    """Two migrations in a folder of the test."""
    write("001_a", creates("a"))
    write("002_b", creates("b"))
    return Engine(db, tmp_path)


def test_reading_creates_no_table(history, db):
    assert history.records() == []
    assert db.get_tables() == []


def test_a_name_is_recorded_once(history):
    history.ensure_table()
    history.add("001_a", "sum", "code")
    with pytest.raises(pw.IntegrityError):
        history.add("001_a", "sum", "code")


def test_a_record_has_the_time_with_its_zone(history, db):
    history.ensure_table()
    history.add("001_a", "sum", "code")
    [record] = history.records()
    assert record.applied_at.utcoffset().total_seconds() == 0
    query = "SELECT pg_typeof(migrated_at)::text, now() - migrated_at < interval '1 minute' FROM "
    assert db.execute_sql(query + "migratehistory").fetchone() == ("timestamp with time zone", True)


def test_a_table_of_peewee_migrate_is_read_before_it_is_converted(history, db):
    db.execute_sql(PEEWEE_MIGRATE_TABLE)
    db.execute_sql("INSERT INTO migratehistory (name, migrated_at) VALUES ('001_a', '2025-01-02')")
    [record] = history.records()
    assert (record.name, record.checksum, record.code_checksum) == ("001_a", None, None)
    assert record.applied_at.isoformat() == "2025-01-02T00:00:00+00:00"
    history.ensure_table()
    assert history.records() == [record]


def test_peewee_migrate_can_write_a_converted_table(history, db, tmp_path):
    history.ensure_table()
    Router(db, tmp_path).model.create(name="001_a")
    assert [record.name for record in history.records()] == ["001_a"]


def test_peewee_migrate_reads_our_history(migrated):
    router = Router(migrated, PROJECT / "migrations")
    assert router.done == [path.stem for path in sorted(PROJECT.glob("migrations/0*.py"))]
    assert router.diff == []


def test_migrations_that_peewee_migrate_applied_are_adopted(engine, db, tmp_path):
    Router(db, tmp_path).run("001_a")
    assert applied(engine) == ["001_a"]
    assert [done.name for done in engine.up()] == ["002_b"]
    assert Router(db, tmp_path).done == ["001_a", "002_b"]
    assert [step.name for step in engine.accept("001_a")] == ["001_a"]
    engine.down("zero")
    assert tables(db) == []


def test_taking_over_a_history_of_peewee_migrate_is_reported_once(engine, db, tmp_path):
    Router(db, tmp_path).run("001_a")
    reported = []
    engine.report = reported.append
    engine.plan()
    assert reported == []
    engine.up()
    [line] = reported
    assert line.startswith("warning: public.migratehistory is a history of peewee-migrate")
    assert "its times have no zone, and count as UTC; " in line
    assert "without a checksum, whose edits nobody sees: 1. `invoke migrate-accept --all`" in line
    engine.redo()
    assert len(reported) == 1


def test_accepting_all_makes_the_edits_of_an_adopted_history_visible(engine, db, tmp_path, write):
    router = Router(db, tmp_path)
    router.run("001_a")
    router.run("002_b")
    write("001_a", creates("other"))
    assert engine.up() == []  # nobody can see it
    write("001_a", creates("a"))
    assert [step.name for step in engine.accept_all()] == ["001_a", "002_b"]
    assert engine.accept_all() == []
    write("001_a", creates("other"))
    with pytest.raises(PlanError, match="001_a: edited"):
        engine.up()


def test_a_history_without_checksums_of_the_code_is_extended(engine, db, write):
    engine.up(steps=1)
    db.execute_sql("ALTER TABLE migratehistory DROP code_checksum")
    assert applied(engine) == ["001_a"]
    reported = []
    engine.report = reported.append
    write("001_a", creates("a") + "# a comment\n")
    with pytest.raises(PlanError, match="001_a: edited"):
        engine.up()
    assert [step.name for step in engine.accept("001_a")] == ["001_a"]
    write("001_a", creates("a"))
    assert [done.name for done in engine.up()] == ["002_b"]
    assert reported == []


def test_a_name_that_peewee_migrate_recorded_twice_is_kept_once(engine, db, tmp_path):
    router = Router(db, tmp_path)
    router.run("001_a")
    router.model.create(name="001_a")
    assert applied(engine) == ["001_a"]
    engine.up()
    assert applied(engine) == ["001_a", "002_b"]
    rows = db.execute_sql("SELECT count(*) FROM migratehistory WHERE name = '001_a'").fetchone()
    assert rows == (1,)


def test_the_table_is_in_the_first_schema_of_the_search_path(engine, db):
    db.execute_sql("CREATE SCHEMA elsewhere")
    db.execute_sql("SET search_path = elsewhere")
    engine.up()
    assert engine.up() == []
    assert db.get_tables(schema="elsewhere") == ["a", "b", "migratehistory"]
