"""Migrations up and down on a real database, and what is left after one that fails."""

import pytest

from toolkit.engine import Engine, create
from toolkit.errors import MigrationError, MigrationFailedError
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


def ignore(_):
    pass


def tables(db):
    return [name for name in db.get_tables() if name != "migratehistory"]


def applied(engine):
    return [step.name for step in engine.status() if step.applied_at]


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
    assert engine.up(told.append) == told
    assert [done.name for done in told] == applied(engine) == ["001_one", "002_two", "003_three"]
    assert tables(db) == ["one", "three", "two"]


def test_up_with_nothing_pending_does_nothing(engine):
    engine.up(ignore)
    assert engine.up(ignore) == []


def test_down_rolls_back_the_last_one(engine, db):
    engine.up(ignore)
    assert [done.name for done in engine.down(ignore)] == ["003_three"]
    assert applied(engine) == ["001_one", "002_two"]
    assert tables(db) == ["one", "two"]


def test_down_with_nothing_applied_does_nothing(engine, db):
    assert engine.down(ignore) == []
    assert db.get_tables() == []


def test_status_writes_nothing(engine, db):
    assert [step.applied_at for step in engine.status()] == [None] * 3
    assert db.get_tables() == []


def test_history_has_the_name_and_the_time_with_its_zone(engine, db):
    engine.up(ignore)
    row = db.execute_sql(
        "SELECT name, pg_typeof(migrated_at)::text, now() - migrated_at < interval '1 minute' "
        "FROM migratehistory WHERE name = '001_one'"
    ).fetchone()
    assert row == ("001_one", "timestamp with time zone", True)


def test_a_failure_leaves_no_trace_and_the_earlier_ones_stay(engine, db, folder):
    (folder / "003_three.py").write_text(BROKEN)
    with pytest.raises(MigrationFailedError) as caught:
        engine.up(ignore)
    assert applied(engine) == ["001_one", "002_two"]
    assert tables(db) == ["one", "two"]
    assert "003_three.py" in str(caught.value)
    assert 'relation "nowhere" does not exist' in str(caught.value)
    assert "31337" not in str(caught.value)


def test_a_failed_rollback_leaves_the_migration_applied(engine, db, folder):
    (folder / "003_three.py").write_text(BROKEN.replace("nowhere", "half"))
    engine.up(ignore)
    with pytest.raises(
        MigrationFailedError, match=r'003_three\.py: its rollback .* "half" does not'
    ):
        engine.down(ignore)
    assert applied(engine) == ["001_one", "002_two", "003_three"]
    assert tables(db) == ["half", "one", "two"]


def test_peewee_migrate_says_nothing_of_a_failure_itself(engine, folder, caplog):
    (folder / "003_three.py").write_text(BROKEN)
    with pytest.raises(MigrationFailedError):
        engine.up(ignore)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("add_users", "add_users"),
        ("add-users", "add_users"),
        ("Add Users", "add_users"),
        ("AddUsers", "add_users"),
        ("v2", "v2"),
    ],
)
def test_create_takes_the_next_number_and_a_plain_name(folder, given, name):
    (folder / "002_two.py").unlink()
    path = create(folder, given)
    assert path.name == f"004_{name}.py"
    compile(path.read_text(), path, "exec")


@pytest.mark.parametrize("name", ["", " ", "../x", "-", "2fa", "a.b", "x" * 101, "ünï", "a/b"])
def test_create_refuses_what_is_no_name(folder, name):
    before = sorted(folder.iterdir())
    with pytest.raises(MigrationError, match="is no name for a migration"):
        create(folder, name)
    assert sorted(folder.iterdir()) == before


def test_create_refuses_a_name_that_is_taken(folder):
    with pytest.raises(MigrationError, match="002_two"):
        create(folder, "Two")


def test_the_next_number_after_a_gap_overwrites_nothing(tmp_path):
    (tmp_path / "007_seven.py").write_text("")
    assert create(tmp_path, "eight").name == "008_eight.py"
    assert (tmp_path / "007_seven.py").read_text() == ""


def test_peewee_migrate_reads_our_history(migrated):
    from peewee_migrate import Router

    router = Router(migrated, ROOT / "migrations")
    assert router.done == ["001_create_audit_log", "002_create_sessions"]
    assert router.diff == []
