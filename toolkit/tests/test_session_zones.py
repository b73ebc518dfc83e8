"""A session lasts equally long in every time zone, and for connect-pg-simple on the same table."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta
from time import time

import psycopg2
import pytest

from dbfoundation import SessionStore
from models import Session
from tests.session_rows import let_expire, seconds_left
from tests.support import execute

ZONES = ("America/New_York", "Asia/Kolkata", "Pacific/Kiritimati")

# The statements of connect-pg-simple 10.0.0 (MIT), index.js.
NODE_GET = "SELECT sess FROM sessions WHERE sid = %s AND expire >= to_timestamp(%s)"
NODE_SET = (
    "INSERT INTO sessions (sess, expire, sid) SELECT %s, to_timestamp(%s), %s "
    "ON CONFLICT (sid) DO UPDATE SET sess=%s, expire=to_timestamp(%s) RETURNING sid"
)
NODE_TOUCH = "UPDATE sessions SET expire = to_timestamp(%s) WHERE sid = %s RETURNING sid"
NODE_PRUNE = "DELETE FROM sessions WHERE expire < to_timestamp(%s)"


@pytest.fixture
def move_to_zone(pool):
    """Puts the thread's connection into a zone, as a program may do in a context of its own."""
    with pool.connection_context():
        yield lambda zone: pool.execute_sql("SELECT set_config('TimeZone', %s, false)", (zone,))


def test_a_session_of_one_zone_is_live_in_every_other(settings, move_to_zone):
    store = SessionStore(Session)
    for zone in ZONES:
        move_to_zone(zone)
        store.set(zone, {"by": zone}, ttl=60)
        assert seconds_left(settings, zone) == pytest.approx(60, abs=30)
    for zone in ZONES:
        move_to_zone(zone)
        assert store.all() == {zone: {"by": zone} for zone in ZONES}
        assert store.count() == len(ZONES)
        assert store.get(zone) == {"by": zone}
        assert store.save(zone, {"by": zone})
        assert store.touch(zone, ttl=60)
        assert store.prune() == 0


@pytest.mark.parametrize("zone", ZONES)
def test_an_expired_session_is_absent_in_every_zone(settings, move_to_zone, zone):
    move_to_zone(zone)
    store = SessionStore(Session)
    store.set("expired", {})
    let_expire(settings, "expired", seconds=60)
    assert store.get("expired") is None
    assert store.all() == {}
    assert store.count() == 0
    assert not store.save("expired", {})
    assert not store.touch("expired")
    assert store.regenerate("expired") is None
    assert store.prune() == 1


def test_a_model_stores_utc_although_the_role_has_another_zone(pool, settings):
    user = settings.url.user
    execute(settings, f"""ALTER ROLE "{user}" SET timezone = 'America/New_York'""")
    try:
        with pool.connection_context():
            in_an_hour = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
            Session.create(sid="one", sess={}, expire=in_an_hour)
            left = "SELECT round(extract(epoch FROM expire - now()) / 60) FROM sessions"
            assert pool.execute_sql(left).fetchone() == (60,)
    finally:
        execute(settings, f'ALTER ROLE "{user}" RESET timezone')


# connect-pg-simple


@pytest.fixture
def node(settings):
    """A cursor of another client, whose session is in UTC."""
    with closing(psycopg2.connect(**settings.connect_kwargs())) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


@pytest.fixture
def store(pool):  # noqa: ARG001 # the store uses the pool
    return SessionStore(Session)


def test_connect_pg_simple_reads_touches_and_keeps_our_session(store, settings, node):
    store.set("ours", {"cookie": {"maxAge": 60_000}}, ttl=60)
    node.execute(NODE_GET, ("ours", time()))
    assert node.fetchone() == ({"cookie": {"maxAge": 60_000}},)
    node.execute(NODE_TOUCH, (time() + 600, "ours"))
    assert seconds_left(settings, "ours") == pytest.approx(600, abs=30)
    node.execute(NODE_PRUNE, (time(),))
    assert store.count() == 1


def test_a_session_of_connect_pg_simple_is_read_expires_and_is_pruned(store, settings, node):
    theirs = json.dumps({"cookie": {}, "views": 1})
    node.execute(NODE_SET, (theirs, time() + 60, "theirs", theirs, time() + 60))
    assert store.get("theirs") == {"cookie": {}, "views": 1}
    assert seconds_left(settings, "theirs") == pytest.approx(60, abs=30)
    node.execute(NODE_TOUCH, (time() - 5, "theirs"))
    assert store.get("theirs") is None
    assert store.prune() == 1
