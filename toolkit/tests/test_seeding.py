"""Seeding: a row is inserted once, in any number of runs and threads; the task seed."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from peewee import CharField, IntegerField, IntegrityError

import seeds
from dbfoundation import Row, Seeded, insert_missing
from models import AuditLog, BaseModel, Session, database
from tests.support import execute, rounds

COUNTS = "SELECT (SELECT count(*) FROM audit_log), (SELECT count(*) FROM sessions)"


class City(BaseModel):
    name = CharField(unique=True)
    country = CharField(null=True)
    people = IntegerField(default=0)


@pytest.fixture
def cities(pool):
    with pool.connection_context():
        City.create_table()
        yield City


def city(name, **values):
    return Row(City, {"name": name, "country": None}, values)


def test_a_row_is_inserted_with_its_key_and_its_values(cities):
    assert insert_missing(database, [city("Bonn", people=3)]) == Seeded(inserted=1, unchanged=0)
    assert list(cities.select(City.name, City.people).tuples()) == [("Bonn", 3)]


def test_a_row_that_exists_stays_as_it_is(cities):
    insert_missing(database, [city("Bonn", people=3)])
    seeded = insert_missing(database, [city("Bonn", people=9), city("Ulm")])
    assert seeded == Seeded(inserted=1, unchanged=1)
    people = list(cities.select(City.name, City.people).order_by(City.name).tuples())
    assert people == [("Bonn", 3), ("Ulm", 0)]


def test_a_failed_row_leaves_no_row_inserted(cities):
    with pytest.raises(IntegrityError):
        insert_missing(database, [city("Bonn"), Row(City, {"name": None})])
    assert cities.select().count() == 0


def test_seeding_without_rows_inserts_nothing(pool):
    with pool.connection_context():
        assert insert_missing(database, iter([])) == Seeded(inserted=0, unchanged=0)


def contents():
    events = AuditLog.select().order_by(AuditLog.id)
    return [list(events.dicts()), list(Session.select().order_by(Session.sid).dicts())]


def test_a_second_run_changes_nothing(pool):
    with pool.connection_context():
        assert seeds.seed() == Seeded(inserted=12, unchanged=0)
        before = contents()
        assert seeds.seed() == Seeded(inserted=0, unchanged=12)
        assert contents() == before


def test_a_deleted_row_is_inserted_again(pool):
    with pool.connection_context():
        seeds.seed()
        pool.execute_sql("DELETE FROM audit_log WHERE action = 'user.login'")
        Session.delete_by_id("seed-03")
        assert seeds.seed() == Seeded(inserted=5, unchanged=7)


def test_parallel_runs_insert_each_row_once(pool, settings):
    @pool.connection_context()
    def work(_):
        return seeds.seed().inserted

    for _ in range(rounds(10)):
        execute(settings, "TRUNCATE audit_log, sessions")
        with ThreadPoolExecutor(4) as threads:
            assert sorted(threads.map(work, range(4))) == [0, 0, 0, 12]


def test_the_task_seed_inserts_the_missing_rows(app, settings):
    app.invoke("migrate-up", "seed", "--yes")
    execute(settings, "DELETE FROM sessions WHERE sid = 'seed-03'")
    done = app.invoke("seed", "--yes")
    assert done.returncode == 0, done
    assert done.stdout.endswith(": inserted 1, unchanged 11\n")
    assert execute(settings, COUNTS) == [(8, 4)]


def test_the_task_seed_requires_that_seeds_return_their_result(app, settings):
    app.invoke("migrate-up")
    app.write("seeds.py", "def seed():\n    pass\n")
    done = app.invoke("seed", "--yes")
    assert done.returncode == 2
    assert "seeds:seed returned no dbfoundation.Seeded" in done.stderr
    assert "Fix: return the result of insert_missing()" in done.stderr
    assert execute(settings, COUNTS) == [(0, 0)]


def test_the_task_seed_refuses_production(app, settings):
    app.invoke("migrate-up")
    done = app.invoke("seed", APP_ENV="production")
    assert done.returncode == 2
    assert "APP_ENV is production" in done.stderr
    assert execute(settings, COUNTS) == [(0, 0)]
