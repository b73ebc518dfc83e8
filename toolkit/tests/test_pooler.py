"""PgBouncer in transaction mode: a lost lock is noticed, and no statement is prepared."""

import logging
from dataclasses import replace

import pytest

from dbfoundation import SessionStore
from dbfoundation.errors import DatabaseError, LockError, MigrationFailedError
from dbfoundation.migrations.engine import Engine
from dbfoundation.migrations.stamp import Stamp
from dbfoundation.migrations.verification import Scratch
from dbfoundation.runtime.connection import dedicated
from dbfoundation.server import databases
from dbfoundation.server.databases import scratch_database
from models import Session, database
from tests.poolers import needs_pgbouncer, running_pooler
from tests.support import execute

pytestmark = needs_pgbouncer


@pytest.fixture
def pooler(server):
    """The port of a PgBouncer in front of the tests' server."""
    with running_pooler(server, ignored="options, extra_float_digits") as port:
        yield port


STEP = """
def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE {name} (id INTEGER)")

def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE {name}")
"""


def test_a_migration_fails_when_its_lock_belongs_to_another_backend(settings, pooler, tmp_path):
    for number, name in enumerate("ab", start=1):
        (tmp_path / f"00{number}_{name}.py").write_text(STEP.format(name=name))
    pooled = replace(settings, url=replace(settings.url, port=pooler))
    runner, stranger = dedicated(pooled, "runner"), dedicated(pooled, "stranger")
    # A stranger's transaction takes the backend with the lock, so the next step gets another one.
    with runner.connection_context(), stranger.connection_context():
        with pytest.raises(MigrationFailedError, match="set MIGRATION_DATABASE_URL") as caught:
            Engine(runner, tmp_path).up(on_step=lambda _: stranger.begin())
        stranger.rollback()
    assert "002_b" in str(caught.value)
    assert execute(settings, "SELECT name FROM migratehistory") == [("001_a",)]
    assert execute(settings, "SELECT to_regclass('b')") == [(None,)]


def test_a_stamp_fails_when_its_lock_belongs_to_another_backend(
    settings, db, pooler, tmp_path, monkeypatch
):
    for number, name in enumerate("ab", start=1):
        (tmp_path / f"00{number}_{name}.py").write_text(STEP.format(name=name))
    Engine(db, tmp_path).up(steps=1)
    db.execute_sql("CREATE TABLE b (id INTEGER)")
    pooled = replace(settings, url=replace(settings.url, port=pooler))
    runner, stranger = dedicated(pooled, "runner"), dedicated(pooled, "stranger")
    with scratch_database(settings) as empty, dedicated(empty, "scratch") as copy:
        scratch = Scratch(Engine(copy, tmp_path), copy)
        with runner.connection_context(), stranger.connection_context():
            engine = Engine(runner, tmp_path)
            stamp = Stamp(engine, "2", ())
            applied = stamp.apply(scratch)
            # Called between the comparison and the records.
            monkeypatch.setattr(engine, "ensure_history", stranger.begin)
            with pytest.raises(LockError, match="set MIGRATION_DATABASE_URL"):
                stamp.record(scratch, applied, anyway=False)
            stranger.rollback()
    assert stamp.differences == []
    assert execute(settings, "SELECT name FROM migratehistory") == [("001_a",)]


def test_migrations_use_the_direct_connection_and_seeds_the_pooler(app, settings, pooler):
    direct = app.environment["DATABASE_URL"]
    pooled = direct.replace(f":{settings.url.port}/", f":{pooler}/")
    done = app.invoke(
        *("migrate-up", "seed", "--yes"), DATABASE_URL=pooled, MIGRATION_DATABASE_URL=direct
    )
    assert done.returncode == 0, done
    assert "3 applied in" in done.stdout
    assert f"on 127.0.0.1:{settings.url.port}\n" in done.stdout
    assert f"seeded {settings.url.name} on 127.0.0.1:{pooler}" in done.stdout


@pytest.mark.usefixtures("migrated")
def test_sessions_leave_no_prepared_statement_on_a_shared_backend(settings, pooler, caplog):
    pooled = replace(settings, url=replace(settings.url, port=pooler))
    database.configure(pooled)
    store = SessionStore(Session)
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        for _ in range(2):
            store.set("one", {"a": 1})
            assert store.get("one") == {"a": 1}
    assert not [record for record in caplog.records if record.msg[0].startswith("EXECUTE")]
    database.close_all()
    # One client at a time: PgBouncer gives this one the same backend.
    query = "SELECT name FROM pg_prepared_statements WHERE from_sql"
    backends = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    assert execute(pooled, query) == []
    assert execute(pooled, f"{backends} AND pid <> pg_backend_pid()") == [(1,)]  # the fixture's


def test_a_pooler_that_refuses_options_is_an_error_with_both_settings(server):
    with running_pooler(server, ignored="extra_float_digits") as port:
        pooled = replace(server, url=replace(server.url, port=port))
        with pytest.raises(DatabaseError, match="Set MIGRATION_DATABASE_URL") as caught:
            databases.check(pooled)
    assert "ignore_startup_parameters" in str(caught.value)
