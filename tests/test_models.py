"""The schema: what the migrations make, what the models say, and what was specified."""

import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from models import AuditLog, Session
from tests.conftest import execute
from toolkit.catalog import read
from toolkit.engine import Engine
from toolkit.history import TABLE
from toolkit.settings import ROOT

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
    """Every fact of ours, as the catalog has it."""
    return [fact for fact in read(db) if TABLE not in (fact.name, fact.table)]


@pytest.fixture
def specified(db):
    """The specified schema's facts, made in a transaction that is rolled back."""
    with db.atomic() as transaction:
        db.execute_sql(SPECIFIED)
        facts = schema(db)
        transaction.rollback()
    kinds = Counter(fact.kind for fact in facts)
    assert [kinds[kind] for kind in ("table", "column", "constraint", "index")] == [2, 10, 2, 4]
    return facts


def test_the_migrations_make_the_specified_schema(specified, db, project):
    Engine(db, project.folder / "migrations").up()
    assert schema(db) == specified


def test_the_models_say_the_specified_schema(specified, db):
    models = [AuditLog, Session]
    with db.bind_ctx(models):
        db.create_tables(models)
    assert schema(db) == specified


def test_rollbacks_leave_nothing_behind(db, project):
    engine = Engine(db, project.folder / "migrations")
    engine.up()
    engine.down(to="zero")
    assert {fact.kind for fact in schema(db)} == {"schema", "extension"}
    assert db.execute_sql("SELECT count(*) FROM migratehistory").fetchone() == (0,)


def test_all_migrations_and_models_of_the_project_pass_the_proofs(app):
    """Those as well that a user has added."""
    done = replace(app, folder=ROOT).invoke("migrate-up", "migrate-check", "migrate-verify")
    assert done.returncode == 0, done


def test_migrations_import_no_model_of_ours():
    for path in (ROOT / "migrations").glob("*.py"):
        assert not re.search(r"^\s*(from|import) (models|toolkit)", path.read_text(), re.MULTILINE)


def test_an_audit_row_has_its_time_from_the_server_and_its_details_as_json(pool, settings):
    details = {"nested": {"list": [1, 2.5, None, True]}, "text": "ünï"}
    with pool.connection_context():
        row = AuditLog.create(action="user.login", details=details)
        assert AuditLog.get_by_id(row.id).details == details
        assert AuditLog.select().where(AuditLog.details["text"] == "ünï").count() == 1
    age = "SELECT now() - timestamp < interval '1 minute' FROM audit_log"
    assert execute(settings, age) == [(True,)]


def test_expire_is_utc_whatever_zone_the_role_has(pool, settings):
    user = settings.url.user
    execute(settings, f"""ALTER ROLE "{user}" SET timezone = 'America/New_York'""")
    try:
        with pool.connection_context():
            in_an_hour = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
            Session.create(sid="s", sess={}, expire=in_an_hour)
            left = "SELECT round(extract(epoch FROM expire - now()) / 60) FROM sessions"
            assert pool.execute_sql(left).fetchone() == (60,)
    finally:
        execute(settings, f'ALTER ROLE "{user}" RESET timezone')
