"""Migrations applied and rolled back on a real database, and the state after a failed one."""

import pytest

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.engine import Engine
from tests.migration_files import applied, creates, migration, tables

BROKEN = migration(
    """migrator.sql("CREATE TABLE half (id INTEGER)")
    migrator.sql("INSERT INTO half VALUES (%s)", 31337)
    migrator.sql("INSERT INTO nowhere VALUES (%s)", 31337)""",
    """migrator.sql("DROP TABLE half")
    migrator.sql("DROP TABLE nowhere")""",
)


@pytest.fixture
def engine(db, tmp_path, write):
    for number, name in enumerate(("one", "two", "three"), start=1):
        write(f"{number:03}_{name}", creates(name))
    return Engine(db, tmp_path)


def test_up_applies_the_pending_migrations_in_order(engine, db):
    reported = []
    assert engine.up(on_step=reported.append) == reported
    assert [done.name for done in reported] == ["001_one", "002_two", "003_three"]
    assert applied(engine) == ["001_one", "002_two", "003_three"]
    assert tables(db) == ["one", "three", "two"]


def test_up_with_nothing_pending_does_nothing(engine):
    engine.up()
    assert engine.up() == []


def test_down_rolls_back_the_last_migration(engine, db):
    engine.up()
    assert [done.name for done in engine.down()] == ["003_three"]
    assert applied(engine) == ["001_one", "002_two"]
    assert tables(db) == ["one", "two"]


def test_down_with_nothing_applied_does_nothing(engine, db):
    assert engine.down() == []
    assert db.get_tables() == []


def test_planning_writes_nothing(engine, db):
    assert [step.applied for step in engine.plan().steps] == [False] * 3
    assert db.get_tables() == []


def test_a_failed_migration_leaves_no_table_and_the_earlier_ones_stay(engine, db, write):
    write("003_three", BROKEN)
    with pytest.raises(MigrationFailedError) as caught:
        engine.up()
    assert applied(engine) == ["001_one", "002_two"]
    assert tables(db) == ["one", "two"]
    assert "003_three.py:5: migrate() failed" in str(caught.value)
    assert 'relation "nowhere" does not exist' in str(caught.value)
    assert "31337" not in str(caught.value)


def test_a_failed_rollback_leaves_the_migration_applied(engine, db, write):
    write("003_three", BROKEN.replace("nowhere", "half"))
    engine.up()
    with pytest.raises(
        MigrationFailedError, match=r'003_three\.py:9: rollback\(\) failed: .* "half" does not'
    ):
        engine.down()
    assert applied(engine) == ["001_one", "002_two", "003_three"]
    assert tables(db) == ["half", "one", "two"]


def test_peewee_migrate_logs_no_failure_itself(engine, write, caplog):
    write("003_three", BROKEN)
    with pytest.raises(MigrationFailedError):
        engine.up()
    assert caplog.records == []
