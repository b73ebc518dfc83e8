"""The tracking table: one row a migration, and a form that peewee-migrate can read and write."""

import peewee as pw
import pytest
from peewee_migrate import Router

from toolkit.engine import Engine
from toolkit.history import History

STOCK = """
CREATE TABLE migratehistory (
    id SERIAL PRIMARY KEY, name VARCHAR(255) NOT NULL, migrated_at TIMESTAMP NOT NULL
)
"""


@pytest.fixture
def history(db):
    return History(db)


def test_reading_creates_nothing(history, db):
    assert history.records() == []
    assert db.get_tables() == []


def test_a_name_stands_once(history):
    history.prepare()
    history.add("001_a", "sum")
    with pytest.raises(pw.IntegrityError):
        history.add("001_a", "sum")


def test_times_have_their_zone(history, db):
    history.prepare()
    history.add("001_a", "sum")
    [record] = history.records()
    assert record.applied_at.utcoffset().total_seconds() == 0
    kind = "SELECT pg_typeof(migrated_at)::text FROM migratehistory"
    assert db.execute_sql(kind).fetchone() == ("timestamp with time zone",)


def test_a_stock_table_is_read_before_it_is_changed(history, db):
    db.execute_sql(STOCK)
    db.execute_sql("INSERT INTO migratehistory (name, migrated_at) VALUES ('001_a', '2025-01-02')")
    [record] = history.records()
    assert (record.name, record.checksum) == ("001_a", None)
    assert record.applied_at.isoformat() == "2025-01-02T00:00:00+00:00"
    history.prepare()
    assert history.records() == [record]


def test_peewee_migrate_goes_on_writing_it(history, db, tmp_path):
    history.prepare()
    Router(db, tmp_path).model.create(name="001_a")
    assert [record.name for record in history.records()] == ["001_a"]


def test_the_table_is_found_where_the_search_path_leads(db, tmp_path):
    db.execute_sql("CREATE SCHEMA elsewhere")
    db.execute_sql("SET search_path = elsewhere")
    (tmp_path / "001_a.py").write_text(
        "def migrate(m, d, *, fake=False):\n    m.sql('CREATE TABLE a (id INTEGER)')\n"
        "irreversible = True\n"
    )
    engine = Engine(db, tmp_path)
    engine.up()
    assert engine.up() == []
    assert db.get_tables(schema="elsewhere") == ["a", "migratehistory"]
