"""Development data: realistic, once, and none in production."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import seeds
from models import AuditLog, Session


def contents():
    return [
        list(AuditLog.select().order_by(AuditLog.id).dicts()),
        list(Session.select().order_by(Session.sid).dicts()),
    ]


def test_a_second_seeding_changes_nothing(pool):
    with pool.connection_context():
        first = seeds.seed()
        before = contents()
        second = seeds.seed()
        assert contents() == before
    assert (first.inserted, first.unchanged) == (42, 0)
    assert (second.inserted, second.unchanged) == (0, 42)


def test_what_is_missing_comes_back(pool):
    with pool.connection_context():
        seeds.seed()
        pool.execute_sql("DELETE FROM audit_log WHERE action = 'user.login'")
        Session.delete_by_id("seed-07")
        assert seeds.seed().inserted == 6


def test_two_at_once_seed_once(pool):
    def work(_):
        with pool.connection_context():
            return seeds.seed().inserted

    with ThreadPoolExecutor(4) as executor:
        assert sorted(executor.map(work, range(4))) == [0, 0, 0, 42]


def test_some_sessions_are_live_and_some_have_expired(pool):
    with pool.connection_context():
        seeds.seed()
        live = [row.expire > datetime.now(UTC).replace(tzinfo=None) for row in Session.select()]
    assert (live.count(True), live.count(False)) == (9, 3)
