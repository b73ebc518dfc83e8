"""SessionStore: each method, its data and ids, on the model of any table."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from peewee import CharField
from playhouse.postgres_ext import BinaryJSONField

from dbfoundation import SessionStore, Timestamp6Field
from models import AuditLog, BaseModel, Session
from tests.session_rows import count_rows, let_expire, seconds_left
from tests.support import execute, rounds

DAY = 86_400
RECORD_COMMITS = """
CREATE TABLE commits (id serial, mode text);
CREATE FUNCTION record_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO commits (mode) VALUES (current_setting('synchronous_commit'));
    RETURN new;
END $$;
CREATE TRIGGER record_commit BEFORE UPDATE ON sessions
FOR EACH ROW EXECUTE FUNCTION record_commit()
"""


@pytest.fixture
def store(pool):  # noqa: ARG001 # the store uses the pool
    return SessionStore(Session)


def test_get_returns_the_data_of_set(store):
    data = {"cart": [1, 2.5, None, True], "": {"ünï 😀": "\\u0000 \n\t'\"%s"}, "empty": {}}
    store.set("one", data)
    assert store.get("one") == data
    assert store.get("two") is None


def test_set_replaces_a_session(store):
    store.set("one", {"a": 1})
    store.set("one", {"b": 2})
    assert store.all() == {"one": {"b": 2}}
    assert store.count() == 1


def test_a_session_lives_as_long_as_its_ttl(store, settings):
    store.set("default", {})
    store.set("short", {}, ttl=60)
    assert seconds_left(settings, "default") == pytest.approx(DAY, abs=30)
    assert seconds_left(settings, "short") == pytest.approx(60, abs=30)
    SessionStore(Session, ttl=5).set("default", {})
    assert seconds_left(settings, "default") <= 6


@pytest.mark.parametrize("is_touched", [False, True], ids=["set", "touched"])
def test_a_lifetime_ends_with_a_second_and_not_earlier(store, settings, is_touched):
    """As in connect-pg-simple: the writes of one second change no index."""
    for _ in range(20):
        started = monotonic()
        store.set("one", {}, ttl=60 if is_touched else 3)
        if is_touched:
            store.touch("one", ttl=3)
        left = seconds_left(settings, "one")
        assert 3 - (monotonic() - started) <= left <= 4
        assert execute(
            settings, "SELECT extract(microseconds FROM expire) % 1e6 FROM sessions"
        ) == [(0,)]


def test_touch_restarts_the_lifetime(store, settings):
    store.set("one", {}, ttl=60)
    assert store.touch("one", ttl=3600)
    assert seconds_left(settings, "one") == pytest.approx(3600, abs=30)
    assert store.touch("one")
    assert seconds_left(settings, "one") == pytest.approx(DAY, abs=30)


def test_touch_keeps_the_data_that_another_process_has_written(store, settings):
    store.set("one", {"a": 1})
    execute(settings, """UPDATE sessions SET sess = '{"by": "another"}'""")
    assert store.touch("one")
    assert store.get("one") == {"by": "another"}


def test_touch_alone_waits_for_no_disk_and_leaves_a_callers_transaction_durable(
    store, pool, settings
):
    store.set("one", {})
    execute(settings, RECORD_COMMITS)
    for _ in range(2):  # the first one prepares the statement
        store.touch("one")
        store.save("one", {"a": 1})
    with pool.connection_context():
        store.touch("one")
        assert pool.execute_sql("SHOW synchronous_commit").fetchall() == [("on",)]
        with pool.atomic():
            store.touch("one")
    commits = execute(settings, "SELECT mode FROM commits ORDER BY id")
    assert commits == [(mode,) for mode in ("off", "on", "off", "on", "off", "on")]


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf"), 1e300])
def test_a_ttl_of_no_time_or_without_end_is_an_error(store, ttl):
    with pytest.raises(ValueError, match="ttl: must be more than 0 seconds"):
        store.set("one", {}, ttl=ttl)
    with pytest.raises(ValueError, match="ttl: must be more than 0 seconds"):
        store.touch("one", ttl=ttl)
    with pytest.raises(ValueError, match="ttl: must be more than 0 seconds"):
        SessionStore(Session, ttl=ttl)
    assert store.count() == 0


def test_an_expired_session_counts_as_absent(store, settings):
    store.set("old", {"a": 1})
    let_expire(settings, "old")
    assert store.get("old") is None
    assert store.all() == {}
    assert store.count() == 0
    assert not store.touch("old")
    assert not store.save("old", {"b": 2})
    assert store.regenerate("old") is None
    assert execute(settings, "SELECT sess FROM sessions") == [({"a": 1},)]


def test_set_makes_an_expired_session_live_again(store, settings):
    store.set("old", {"a": 1})
    let_expire(settings, "old")
    store.set("old", {"new": True})
    assert store.get("old") == {"new": True}


def test_save_replaces_the_data_and_keeps_the_lifetime(store, settings):
    store.set("one", {"a": 1}, ttl=60)
    assert store.save("one", {"a": 2})
    assert store.get("one") == {"a": 2}
    assert seconds_left(settings, "one") <= 61


def test_a_late_save_does_not_restore_a_destroyed_session(store):
    store.set("one", {"a": 1})
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


def test_one_of_many_parallel_calls_of_regenerate_wins(store):
    for number in range(rounds(20)):
        store.clear()
        store.set("one", {"a": number})
        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(lambda _: store.regenerate("one"), range(4)))
        [won] = [new for new in results if new]
        assert store.all() == {won: {"a": number}}


REFUSE_NEW_KEYS = """
CREATE FUNCTION refuse_new_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the partition key is not updated' USING ERRCODE = 'feature_not_supported';
END $$;
CREATE TRIGGER refuse_new_keys BEFORE UPDATE OF sid ON sessions
    FOR EACH ROW EXECUTE FUNCTION refuse_new_keys()
"""


def test_regenerate_updates_no_key_which_a_distributed_table_refuses(store, settings):
    execute(settings, REFUSE_NEW_KEYS)
    store.set("one", {"a": 1}, ttl=60)
    assert store.get(store.regenerate("one")) == {"a": 1}
    assert seconds_left(settings, store.all().popitem()[0]) == pytest.approx(60, abs=30)


def test_regenerate_in_a_transaction_is_undone_with_it(store, pool):
    store.set("one", {"a": 1})
    with pool.connection_context(), pool.atomic() as transaction:
        assert store.regenerate("one")
        transaction.rollback()
    assert store.all() == {"one": {"a": 1}}


def test_clear_deletes_every_session_expired_or_not(store, settings):
    for sid in ("one", "two", "old"):
        store.set(sid, {})
    let_expire(settings, "old")
    assert store.clear() == 3
    assert count_rows(settings) == 0


def test_a_new_id_is_random_and_fits_into_a_cookie(store):
    ids = {store.new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(len(sid) == 43 and sid.replace("-", "").replace("_", "").isalnum() for sid in ids)


def test_each_call_returns_its_connection(store, pool):
    store.set("one", {})
    assert pool.is_closed()
    store.get("one")
    assert pool.is_closed()


def test_a_call_is_part_of_the_callers_transaction(store, pool):
    with pool.connection_context():
        with pool.atomic() as transaction:
            store.set("one", {})
            assert store.get("one") == {}
            transaction.rollback()
        assert store.get("one") is None


# The model


class OtherSession(BaseModel):
    """Sessions in a table whose name needs quotes, in another schema, with a column more."""

    sid = CharField(max_length=None, primary_key=True)
    data = BinaryJSONField(index=False, column_name="sess")
    expire = Timestamp6Field()
    note = CharField(null=True)

    class Meta:
        schema = "Web App"
        table_name = "User Sessions"


def test_a_table_of_any_name_in_any_schema_has_sessions(pool, settings):
    execute(settings, 'CREATE SCHEMA "Web App"')
    with pool.connection_context():
        OtherSession.create_table()
    store = SessionStore(OtherSession)
    store.set("one", {"a": 1})
    store.set("old", {})
    execute(
        settings, """UPDATE "Web App"."User Sessions" SET expire = '2020-01-01' WHERE sid = 'old'"""
    )
    assert store.save("one", {"a": 2})
    assert store.touch("one", ttl=60)
    new = store.regenerate("one")
    assert store.get(new) == {"a": 2}
    assert store.all() == {new: {"a": 2}}
    assert store.count() == 1
    assert store.prune() == 1
    assert store.destroy(new)
    assert store.clear() == 0
    assert SessionStore(Session).count() == 0


def test_a_model_without_the_columns_of_a_session_is_an_error():
    with pytest.raises(TypeError, match="AuditLog has no column expire, sess, sid"):
        SessionStore(AuditLog)


def test_rows_written_by_the_model_are_sessions(store, pool):
    with pool.connection_context():
        Session.create(sid="by-model", sess={"a": 1}, expire="9999-01-01")
        assert store.get("by-model") == {"a": 1}
        row = Session.get(Session.sid == "by-model")
        row.sess = {"a": 2}
        row.save()
        assert store.get("by-model") == {"a": 2}
        row.delete_instance()
        assert store.get("by-model") is None
