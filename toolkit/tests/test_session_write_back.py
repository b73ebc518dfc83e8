"""SessionStore.write_back: one test for each decision at the end of a request."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from peewee import CharField
from playhouse.postgres_ext import BinaryJSONField

from dbfoundation import SessionStore, Timestamp6Field
from dbfoundation.errors import InvalidValueError
from models import BaseModel, Session
from tests.session_rows import count_rows, let_expire, seconds_left
from tests.support import execute, rounds

DATA = {"user": 1}


@pytest.fixture
def store(pool):  # noqa: ARG001 # the store uses the pool
    return SessionStore(Session, ttl=60)


@pytest.fixture
def one(store):
    """The id of a session with five seconds left."""
    store.set("one", {"cart": []}, ttl=5)
    return "one"


def test_an_unmodified_session_is_not_written(store, one, settings):
    before = execute(settings, "SELECT xmin::text, sess, expire FROM sessions")
    assert store.write_back(one, DATA, is_modified=False) is None
    assert store.write_back(None, {}, is_modified=False) is None
    assert execute(settings, "SELECT xmin::text, sess, expire FROM sessions") == before


def test_the_first_data_get_a_row_under_a_new_id(store, settings):
    sid = store.write_back(None, DATA, is_modified=True)
    assert store.all() == {sid: DATA}
    assert len(sid) == len(store.new_id())
    assert seconds_left(settings, sid) == pytest.approx(60, abs=30)


def test_modified_data_are_saved_under_the_same_id_and_lifetime(store, one, settings):
    assert store.write_back(one, DATA, is_modified=True) is None
    assert store.all() == {one: DATA}
    assert seconds_left(settings, one) <= 6


def test_data_that_have_become_empty_destroy_the_session(store, one, settings):
    assert store.write_back(one, {}, is_modified=True, needs_touch=True) is None
    assert count_rows(settings) == 0


def test_a_login_without_data_destroys_the_session(store, one, settings):
    assert store.write_back(one, {}, is_modified=False, needs_new_id=True) is None
    assert count_rows(settings) == 0


def test_empty_data_make_no_row(store, settings):
    assert store.write_back(None, {}, is_modified=True, needs_new_id=True) is None
    assert count_rows(settings) == 0


def test_an_ordinary_change_restores_no_session_that_is_gone(store, one, settings):
    store.destroy(one)
    assert store.write_back(one, DATA, is_modified=True, needs_touch=True) is None
    assert count_rows(settings) == 0


def test_a_login_moves_the_session_to_a_new_id_and_a_new_lifetime(store, one, settings):
    sid = store.write_back(one, DATA, is_modified=True, needs_new_id=True)
    assert sid != one
    assert store.all() == {sid: DATA}
    assert seconds_left(settings, sid) == pytest.approx(60, abs=30)


def test_a_login_gets_a_new_id_without_a_change_of_the_data(store, one):
    sid = store.write_back(one, {"cart": []}, is_modified=False, needs_new_id=True)
    assert sid != one
    assert store.all() == {sid: {"cart": []}}


class NotedSession(BaseModel):
    """A session with a column of the project's own."""

    sid = CharField(max_length=None, primary_key=True)
    sess = BinaryJSONField(index=False)
    expire = Timestamp6Field()
    note = CharField(null=True)


def test_a_login_keeps_the_other_columns_of_the_row(pool, settings):
    with pool.connection_context():
        NotedSession.create_table()
    store = SessionStore(NotedSession)
    store.set("one", {})
    execute(settings, "UPDATE notedsession SET note = 'kept'")
    sid = store.write_back("one", DATA, is_modified=True, needs_new_id=True)
    rows = execute(settings, "SELECT sid, sess, note FROM notedsession")
    assert rows == [(sid, DATA, "kept")]


@pytest.mark.parametrize("is_expired", [False, True])
def test_a_login_works_on_a_session_that_is_gone(store, one, settings, is_expired):
    let_expire(settings, one) if is_expired else store.destroy(one)
    sid = store.write_back(one, DATA, is_modified=True, needs_new_id=True)
    assert sid not in (None, one)
    assert store.all() == {sid: DATA}


def test_parallel_logins_of_one_session_get_an_id_each(store):
    for _ in range(rounds(20)):
        store.clear()
        store.set("one", {"cart": []})
        with ThreadPoolExecutor(4) as threads:
            logins = [
                threads.submit(
                    store.write_back, "one", {"n": n}, is_modified=True, needs_new_id=True
                )
                for n in range(4)
            ]
            written = {login.result(): {"n": n} for n, login in enumerate(logins)}
        assert store.all() == written


def test_a_login_that_cannot_be_stored_leaves_the_session_as_it_was(store, one):
    with pytest.raises(InvalidValueError, match="data: cannot be written as JSON"):
        store.write_back(one, {"a": object()}, is_modified=True, needs_new_id=True)
    assert store.all() == {one: {"cart": []}}


def test_needs_touch_restarts_the_lifetime_and_returns_the_id(store, one, settings):
    assert store.write_back(one, DATA, is_modified=False, needs_touch=True) == one
    assert store.get(one) == {"cart": []}
    assert seconds_left(settings, one) == pytest.approx(60, abs=30)


def test_modified_data_are_saved_and_the_lifetime_restarted(store, one, settings):
    assert store.write_back(one, DATA, is_modified=True, needs_touch=True) == one
    assert store.get(one) == DATA
    assert seconds_left(settings, one) == pytest.approx(60, abs=30)


def test_a_session_that_is_gone_is_not_touched(store, one, settings):
    let_expire(settings, one)
    assert store.write_back(one, DATA, is_modified=False, needs_touch=True) is None
    assert seconds_left(settings, one) < 0
