"""The first three migrations make the specified schema, whatever the later ones add."""

import shutil
from pathlib import Path

import pytest
from dbfoundation.migrations.engine import Engine
from dbfoundation.migrations.history import TABLE
from dbfoundation.schema.catalog import read

MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations"
FIRST = ("001_create_audit_log.py", "002_create_sessions.py", "003_index_audit_log.py")
SPECIFIED = """
CREATE TABLE audit_log (
  id SERIAL PRIMARY KEY,
  action VARCHAR(100) NOT NULL,
  entity_type VARCHAR(100),
  entity_id VARCHAR(100),
  user_id VARCHAR(100),
  timestamp TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
  details JSONB
);
CREATE TABLE sessions (
  sid VARCHAR NOT NULL PRIMARY KEY,
  sess JSONB NOT NULL,
  expire TIMESTAMP(6) NOT NULL
);
CREATE INDEX idx_sessions_expire ON sessions (expire);
CREATE INDEX idx_audit_log_entity ON audit_log (entity_type, entity_id, id);
CREATE INDEX idx_audit_log_user ON audit_log (user_id, id);
CREATE INDEX idx_audit_log_timestamp ON audit_log (timestamp, id);
"""


def schema(db):
    """Every object of the database, except the history of migrations."""
    return [thing for thing in read(db) if TABLE not in (thing.name, thing.table)]


@pytest.fixture
def specified(empty_db):
    """The specified schema, created in a transaction that is rolled back."""
    with empty_db.atomic() as transaction:
        empty_db.execute_sql(SPECIFIED)
        objects = schema(empty_db)
        transaction.rollback()
    return objects


def test_the_first_three_migrations_make_the_specified_schema(specified, empty_db, tmp_path):
    for name in FIRST:
        if not (path := MIGRATIONS / name).exists():
            pytest.skip(f"this project has no {name}")
        shutil.copy(path, tmp_path)
    Engine(empty_db, tmp_path).up()
    assert schema(empty_db) == specified
    kinds = [thing.kind for thing in specified]
    assert [kinds.count(kind) for kind in ("table", "column", "index")] == [2, 10, 4]
