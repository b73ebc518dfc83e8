"""Migrations up and down on a real database, and what is left after one that fails."""

import pytest

from toolkit.engine import Engine
from toolkit.errors import MigrationFailedError
from toolkit.settings import ROOT

TABLE = """
def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE {name} (id INTEGER PRIMARY KEY)")

def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE {name}")
"""
BROKEN = """
def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE half (id INTEGER)")
    migrator.sql("INSERT INTO half VALUES (%s)", 31337)
    migrator.sql("INSERT INTO nowhere VALUES (%s)", 31337)

def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE half")
    migrator.sql("DROP TABLE nowhere")
"""


def tables(db):
    return [name for name in db.get_tables() if name != "migratehistory"]


def applied(engine):
    return [step.name for step in engine.plan().steps if step.applied]


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("one", "two", "three"), start=1):
        (tmp_path / f"{number:03}_{name}.py").write_text(TABLE.format(name=name))
    return tmp_path


@pytest.fixture
def engine(db, folder):
    return Engine(db, folder)


def test_up_applies_what_is_pending_in_order(engine, db):
    told = []
    assert engine.up(on_step=told.append) == told
    assert [done.name for done in told] == applied(engine) == ["001_one", "002_two", "003_three"]
    assert tables(db) == ["one", "three", "two"]


def test_up_with_nothing_pending_does_nothing(engine):
    engine.up()
    assert engine.up() == []


def test_down_rolls_back_the_last_one(engine, db):
    engine.up()
    assert [done.name for done in engine.down()] == ["003_three"]
    assert applied(engine) == ["001_one", "002_two"]
    assert tables(db) == ["one", "two"]


def test_down_with_nothing_applied_does_nothing(engine, db):
    assert engine.down() == []
    assert db.get_tables() == []


def test_status_writes_nothing(engine, db):
    assert [step.applied for step in engine.plan().steps] == [False] * 3
    assert db.get_tables() == []


def test_history_has_the_name_and_the_time_with_its_zone(engine, db):
    engine.up()
    row = db.execute_sql(
        "SELECT name, pg_typeof(migrated_at)::text, now() - migrated_at < interval '1 minute' "
        "FROM migratehistory WHERE name = '001_one'"
    ).fetchone()
    assert row == ("001_one", "timestamp with time zone", True)


def test_a_failure_leaves_no_trace_and_the_earlier_ones_stay(engine, db, folder):
    (folder / "003_three.py").write_text(BROKEN)
    with pytest.raises(MigrationFailedError) as caught:
        engine.up()
    assert applied(engine) == ["001_one", "002_two"]
    assert tables(db) == ["one", "two"]
    assert "003_three.py" in str(caught.value)
    assert 'relation "nowhere" does not exist' in str(caught.value)
    assert "31337" not in str(caught.value)


def test_a_failed_rollback_leaves_the_migration_applied(engine, db, folder):
    (folder / "003_three.py").write_text(BROKEN.replace("nowhere", "half"))
    engine.up()
    with pytest.raises(
        MigrationFailedError, match=r'003_three\.py:9: its rollback .* "half" does not'
    ):
        engine.down()
    assert applied(engine) == ["001_one", "002_two", "003_three"]
    assert tables(db) == ["half", "one", "two"]


def test_peewee_migrate_says_nothing_of_a_failure_itself(engine, folder, caplog):
    (folder / "003_three.py").write_text(BROKEN)
    with pytest.raises(MigrationFailedError):
        engine.up()
    assert caplog.records == []


def test_peewee_migrate_reads_our_history(migrated):
    from peewee_migrate import Router

    router = Router(migrated, ROOT / "migrations")
    assert router.done == [path.stem for path in sorted(ROOT.glob("migrations/0*.py"))]
    assert router.diff == []
