"""The session store: its verbs, races between processes, zones, and connect-pg-simple's own SQL."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Thread
from time import time

import psycopg2
import pytest

from models import Session, SessionStore
from models.jsonb import UnfitError
from tests.conftest import clean_environment, execute, until
from toolkit.database import configure, database, dedicated
from toolkit.settings import ROOT

# The statements of connect-pg-simple 10.0.0 (MIT), index.js.
NODE_GET = "SELECT sess FROM sessions WHERE sid = %s AND expire >= to_timestamp(%s)"
NODE_SET = (
    "INSERT INTO sessions (sess, expire, sid) SELECT %s, to_timestamp(%s), %s "
    "ON CONFLICT (sid) DO UPDATE SET sess=%s, expire=to_timestamp(%s) RETURNING sid"
)
NODE_TOUCH = "UPDATE sessions SET expire = to_timestamp(%s) WHERE sid = %s RETURNING sid"
NODE_PRUNE = "DELETE FROM sessions WHERE expire < to_timestamp(%s)"


@pytest.fixture
def store(pool):  # noqa: ARG001 # the store is on the pool
    return SessionStore()


def age(settings, sid, seconds):
    """Let a session expire so many seconds ago."""
    execute(
        settings,
        "UPDATE sessions SET expire = now() AT TIME ZONE 'UTC' - make_interval(secs => %s) "
        "WHERE sid = %s",
        seconds,
        sid,
    )


def left(settings, sid):
    """Seconds that a session still has."""
    query = "SELECT extract(epoch FROM expire - now() AT TIME ZONE 'UTC') FROM sessions"
    return float(execute(settings, f"{query} WHERE sid = %s", sid)[0][0])


def test_what_is_set_is_got(store):
    data = {"cart": [1, 2.5, None, True], "": {"ünï 😀": "\\u0000 \n\t'\"%s"}, "empty": {}}
    store.set("one", data)
    assert store.get("one") == data
    store.set("one", {"other": 1})
    assert store.get("one") == {"other": 1}
    assert store.get("two") is None
    assert store.all() == {"one": {"other": 1}}
    assert store.count() == 1


def test_a_session_lives_for_its_time(store, settings):
    store.set("default", {})
    store.set("short", {}, ttl=60)
    assert left(settings, "default") == pytest.approx(86_400, abs=30)
    assert left(settings, "short") == pytest.approx(60, abs=30)
    assert store.touch("short", ttl=3600)
    assert left(settings, "short") == pytest.approx(3600, abs=30)
    assert store.touch("short")
    assert left(settings, "short") == pytest.approx(86_400, abs=30)
    SessionStore(ttl=5).set("default", {})
    assert left(settings, "default") <= 5


def test_an_expired_session_counts_as_absent(store, settings):
    store.set("old", {"a": 1})
    age(settings, "old", 1)
    assert store.get("old") is None
    assert store.all() == {}
    assert store.count() == 0
    assert not store.touch("old")
    assert not store.save("old", {"b": 2})
    assert store.regenerate("old") is None
    assert execute(settings, "SELECT sess FROM sessions") == [({"a": 1},)]
    store.set("old", {"new": True})
    assert store.get("old") == {"new": True}


def test_touch_writes_the_time_alone(store, settings):
    store.set("one", {"a": 1})
    execute(settings, """UPDATE sessions SET sess = '{"by": "another"}'""")
    assert store.touch("one")
    assert store.get("one") == {"by": "another"}


def test_a_late_save_does_not_bring_back_what_was_destroyed(store, settings):
    store.set("one", {"a": 1}, ttl=60)
    assert store.save("one", {"a": 2})
    assert store.get("one") == {"a": 2}
    assert left(settings, "one") <= 60
    assert store.destroy("one")
    assert not store.save("one", {"a": 3})
    assert not store.touch("one")
    assert store.get("one") is None
    assert not store.destroy("one")


def test_regenerate_moves_the_data_to_a_new_id(store):
    store.set("one", {"a": 1})
    new = store.regenerate("one")
    assert new != "one"
    assert store.all() == {new: {"a": 1}}
    assert store.regenerate("one") is None


def test_of_many_that_regenerate_one_wins(store):
    store.set("one", {"a": 1})
    results = []
    threads = [Thread(target=lambda: results.append(store.regenerate("one"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [won] = [new for new in results if new]
    assert store.all() == {won: {"a": 1}}


def test_clear_ends_all(store, settings):
    for sid in ("one", "two", "old"):
        store.set(sid, {})
    age(settings, "old", 1)
    assert store.clear() == 3
    assert execute(settings, "SELECT count(*) FROM sessions") == [(0,)]


def test_ids_are_long_random_and_fit_for_a_cookie(store):
    ids = {store.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(sid) == 43 and sid.replace("-", "").replace("_", "").isalnum() for sid in ids)


UNFIT = [
    ({"a": [1, {"b": float("nan")}]}, r"data\['a'\]\[1\]\['b'\]: nan is no number in JSON"),
    ({"a": float("-inf")}, "inf is no number"),
    ({"a": "x\0y"}, r"data\['a'\]: a text with a NUL"),
    ({"a\0": 1}, "a text with a NUL"),
    ({"a": "\ud800"}, "half a surrogate pair"),
    ({"a": {1, 2}}, r"data\['a'\]: JSON has no form for a set"),
    ({"a": datetime.now(UTC)}, "no form for a datetime"),
    ({"a": b"bytes"}, "no form for a bytes"),
    ({"a": {1: "one"}}, r"data\['a'\]: the key 1 is no text"),
    ({None: 1}, "the key None is no text"),
    ([1], "a dict is wanted, and this is a list"),
    (None, "a dict is wanted"),
]


@pytest.mark.parametrize(("data", "told"), UNFIT, ids=[told for _, told in UNFIT])
def test_what_jsonb_cannot_hold_is_an_error_before_it_is_sent(store, data, told):
    store.set("one", {"a": 1})
    for write in (store.set, store.save):
        with pytest.raises(UnfitError, match=told):
            write("one", data)
    assert store.get("one") == {"a": 1}


def test_what_json_can_hold_survives(store):
    data = {
        "": [None, True, 1, 2**70, 0.1, -1.5e-7, "ünï 😀", {"b": {}, "a": []}],
        "B": r"%s \ \u0000",
    }
    store.set("one", data | {"tuple": (1, (2,))})
    assert store.get("one") == data | {"tuple": [1, [2]]}


def test_depth_survives_and_too_much_of_it_is_an_error(store):
    deep = {}
    for _ in range(400):  # 800 levels
        deep = {"down": [deep]}
    store.set("one", deep)
    assert store.get("one") == deep
    endless = {}
    endless["self"] = endless
    with pytest.raises(UnfitError, match="data: nested too deeply, or in itself"):
        store.set("one", endless)


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 1e300])
def test_a_life_of_no_time_or_without_end_is_an_error(store, ttl):
    with pytest.raises(ValueError, match="ttl: more than 0 seconds"):
        store.set("one", {}, ttl=ttl)
    with pytest.raises(ValueError, match="ttl: more than 0 seconds"):
        SessionStore(ttl=ttl)
    assert store.count() == 0


@pytest.mark.parametrize(
    ("sid", "told"),
    [
        (None, "sid: a text is wanted"),
        (5, "sid: a text is wanted, and this is a int"),
        ("a\0", "sid: a text with a NUL"),
        ("\ud800", "sid: a text with half"),
        ("x" * 601, "sid: 601 characters, and an index takes 600"),
    ],
)
def test_an_id_that_no_column_can_hold_is_an_error_without_the_data(store, sid, told):
    for verb in (
        store.get,
        store.touch,
        store.destroy,
        store.regenerate,
        lambda sid: store.set(sid, {"password": "hunter2"}),
        lambda sid: store.save(sid, {"password": "hunter2"}),
    ):
        with pytest.raises(UnfitError, match=told) as caught:
            verb(sid)
        assert "hunter2" not in str(caught.value)


def test_the_longest_id_fits(store):
    sid = "".join(chr(0x10000 + n) for n in range(600))  # four bytes each, and no two alike
    store.set(sid, {"a": 1})
    assert store.get(sid) == {"a": 1}


# Connections and transactions


def test_each_call_gives_its_connection_back(store, pool):
    store.set("one", {})
    store.get("one")
    assert pool.is_closed()
    assert len(pool._connections) == 1


def test_a_call_is_part_of_the_callers_transaction(store, pool):
    with pool.connection_context():
        with pool.atomic() as transaction:
            store.set("one", {})
            assert store.get("one") == {}
            transaction.rollback()
        assert store.get("one") is None


# Zones, and Node on the same rows

ZONES = ("America/New_York", "Asia/Kolkata", "Pacific/Kiritimati")


@pytest.fixture
def zoned(settings, migrated):  # noqa: ARG001 # the tables have to be there
    """Puts the whole of the database, and its sessions to come, into a zone."""
    name = settings.url.name

    def put(zone):
        execute(settings, f"""ALTER DATABASE "{name}" SET timezone = '{zone}'""")

    yield put
    database.close_all()


def session_in(settings, zone):
    """A connection of another client, in a zone of its own."""
    connection = psycopg2.connect(**settings.libpq(options=f"-c TimeZone={zone}"))
    connection.autocommit = True
    return connection


def test_a_session_means_the_same_in_every_zone(settings, zoned):
    """As where a pooler ignores the options with TimeZone=UTC."""
    store = SessionStore()
    for zone in ZONES:
        zoned(zone)
        configure(settings)
        database.connect_params.pop("options")
        with database.connection_context():
            assert database.execute_sql("SHOW TimeZone").fetchone() == (zone,)
        store.set(zone, {"by": zone}, ttl=60)
        assert left(settings, zone) == pytest.approx(60, abs=30)
        database.close_all()
    for zone in ZONES:
        zoned(zone)
        configure(settings)
        database.connect_params.pop("options")
        store.set("expired", {})
        age(settings, "expired", 60)
        assert store.all() == {zone: {"by": zone} for zone in ZONES}
        assert store.count() == len(ZONES)
        assert store.get(zone) == {"by": zone}
        assert store.save(zone, {"by": zone})
        assert store.touch(zone, ttl=60)
        assert store.get("expired") is None
        assert not store.save("expired", {})
        assert not store.touch("expired")
        assert store.regenerate("expired") is None
        assert store.prune() == 1
        database.close_all()


def test_connect_pg_simple_reads_what_we_write_and_we_what_it_writes(store, settings):
    with closing(session_in(settings, "UTC")) as node, node.cursor() as cursor:
        store.set("ours", {"cookie": {"maxAge": 60_000}}, ttl=60)
        cursor.execute(NODE_GET, ("ours", time()))
        assert cursor.fetchone() == ({"cookie": {"maxAge": 60_000}},)
        theirs = json.dumps({"cookie": {}, "views": 1})
        cursor.execute(NODE_SET, (theirs, time() + 60, "theirs", theirs, time() + 60))
        assert store.get("theirs") == {"cookie": {}, "views": 1}
        assert left(settings, "theirs") == pytest.approx(60, abs=30)
        cursor.execute(NODE_TOUCH, (time() + 600, "ours"))
        assert left(settings, "ours") == pytest.approx(600, abs=30)
        cursor.execute(NODE_PRUNE, (time(),))
        assert store.count() == 2
        cursor.execute(NODE_TOUCH, (time() - 5, "theirs"))
        assert store.get("theirs") is None
        assert store.prune() == 1


def test_the_model_itself_keeps_its_meaning(store, pool):
    with pool.connection_context():
        in_an_hour = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=1)
        Session.create(sid="by-model", sess={"a": 1}, expire=in_an_hour)
        assert store.get("by-model") == {"a": 1}
        row = Session.get(Session.sid == "by-model")
        row.sess = {"a": 2}
        row.save()
        assert store.get("by-model") == {"a": 2}
        row.delete_instance()
        assert store.get("by-model") is None


# Pruning


def test_a_batch_is_no_larger_whatever_the_planner_knows_of_the_table(store, settings):
    store.set("live", {})
    execute(settings, "ALTER TABLE sessions SET (autovacuum_enabled = false)")
    execute(settings, "ANALYZE sessions")  # of a single row
    execute(
        settings,
        "INSERT INTO sessions SELECT 'old' || n, '{}', now() AT TIME ZONE 'UTC' "
        "- interval '1 day' FROM generate_series(1, 1000) n",
    )
    heard = []
    assert store.prune(batch=100, on_batch=heard.append) == 1000
    assert heard == list(range(100, 1001, 100))


def test_prune_refuses_a_transaction_which_would_keep_the_rows_locked(store, pool):
    with (
        pool.connection_context(),
        pool.atomic(),
        pytest.raises(RuntimeError, match="not in a transaction"),
    ):
        store.prune()


def test_prune_deletes_what_has_expired_in_batches(store, settings):
    execute(
        settings,
        "INSERT INTO sessions SELECT 'old' || n, '{}', now() AT TIME ZONE 'UTC' "
        "- make_interval(secs => n) FROM generate_series(1, 25) n",
    )
    store.set("live", {})
    heard = []
    assert store.prune(batch=10, on_batch=heard.append) == 25
    assert heard == [10, 20, 25]
    assert list(store.all()) == ["live"]
    assert execute(settings, "SELECT count(*) FROM sessions") == [(1,)]
    assert store.prune() == 0
    with pytest.raises(ValueError, match="batch: 1 or more"):
        store.prune(batch=0)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_several_prune_at_once_whatever_isolation_is_the_default(store, settings, level):
    execute(
        settings,
        "INSERT INTO sessions SELECT 'old' || n, '{}', now() AT TIME ZONE 'UTC' "
        "- make_interval(secs => n) FROM generate_series(1, 4000) n",
    )
    name = settings.url.name
    execute(settings, f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = '{level}'")
    database.close_all()  # the next connection has it
    with ThreadPoolExecutor(4) as threads:
        pruned = sum(threads.map(lambda _: store.prune(batch=20), range(4)))
    assert pruned == 4000


def test_prune_waits_for_nobody(store, settings):
    store.set("busy", {})
    store.set("idle", {})
    age(settings, "busy", 5)
    age(settings, "idle", 5)
    other = dedicated(settings, "other")
    with other.connection_context(), other.atomic():
        other.execute_sql("UPDATE sessions SET expire = expire WHERE sid = 'busy'")
        execute(settings, f'ALTER DATABASE "{settings.url.name}" SET lock_timeout = 1000')
        database.close_all()  # the next connection has it
        assert store.prune() == 1
    assert store.prune() == 1


def test_what_is_touched_while_it_is_pruned_stays(store, settings):
    """The pruning process has found the row expired when another makes it live again."""
    store.set("one", {})
    age(settings, "one", 5)
    other = dedicated(settings, "other")
    with other.connection_context():
        with other.atomic():
            other.execute_sql("UPDATE sessions SET expire = now() + interval '1 day'")
            assert store.prune() == 0
        assert store.prune() == 0
    assert store.count() == 1


WORKER = """
import json, random, sys, time
from models import SessionStore
from toolkit.database import database

store, seed = SessionStore(ttl=0.005), int(sys.argv[1])
chance = random.Random(seed)
done = {"set": 0, "saved": 0, "destroyed": 0, "pruned": 0, "moved": 0}
ended = time.monotonic() + 3
while time.monotonic() < ended:
    sid = f"s{chance.randrange(20)}"
    match chance.randrange(5):
        case 0:
            store.set(sid, {"by": seed, "list": list(range(seed))})
            done["set"] += 1
        case 1:
            done["saved"] += store.save(sid, {"by": seed, "list": list(range(seed))})
        case 2:
            done["destroyed"] += store.destroy(sid)
        case 3:
            done["pruned"] += store.prune(batch=3)
        case 4:
            new = store.regenerate(sid)
            if new:
                done["moved"] += 1
                done["destroyed"] += store.destroy(new)
    data = store.get(sid)
    assert data is None or data["list"] == list(range(data["by"])), data
print(json.dumps(done))
"""


def test_processes_that_save_destroy_and_prune_the_same_sessions(store, settings):
    url = settings.url.render(with_password=True)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=clean_environment() | {"DATABASE_URL": url, "APP_ENV": "test"},
        )
        for number in range(1, 5)
    ]
    totals = {}
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")
        for what, count in json.loads(out).items():
            totals[what] = totals.get(what, 0) + count
    assert min(totals.values()) > 0, totals
    until(lambda: store.count() == 0)
    remaining = execute(settings, "SELECT count(*) FROM sessions")[0][0]
    assert store.prune() == remaining
    # Each row that went was set before, and each that was set is gone, once at most.
    assert totals["destroyed"] + totals["pruned"] + remaining <= totals["set"]
