"""The pool in one thread: its settings, its blocks, and the return of a connection."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from time import time

import pytest
from peewee import OperationalError, PeeweeException
from playhouse.pool import PoolConnection

from dbfoundation.runtime.pool import Pool
from tests.pools import await_end, backend, small_pool, take_all, take_one
from tests.support import PROJECT, at_database, execute


@pytest.fixture
def pool(server):
    with small_pool(server) as pool:
        yield pool


def test_the_settings_reach_the_connections(server):
    with small_pool(server, connect_timeout_seconds=7) as pool:
        assert pool.connect_params["connect_timeout"] == "7"


def test_configuring_again_removes_the_earlier_parameters(pool, server):
    url = replace(server.url, parameters={"sslmode": "require"})
    pool.configure(replace(server, url=url))
    pool.configure(server)
    assert "sslmode" not in pool.connect_params


def test_configuring_again_leads_to_the_other_database(pool, settings):
    with pool.connection_context():
        pool.configure(settings)
        assert pool.is_closed()
    with pool.connection_context():
        ((name,),) = pool.execute_sql("SELECT current_database()").fetchall()
    assert name == settings.url.name


def test_a_second_pool_has_connections_of_its_own(pool, server):
    with small_pool(at_database(server, "template1")) as second:
        with pool.connection_context(), second.connection_context():
            assert backend(pool) != backend(second)
            ((name,),) = second.execute_sql("SELECT current_database()").fetchall()
        assert name == "template1"


def test_the_pool_keeps_a_connection_for_the_next_block(pool):
    assert take_one(pool) == take_one(pool)


def test_without_a_lifetime_a_connection_is_kept(server):
    """A pool that Peewee's own init() configures has no lifetime and no limit of a wait."""
    own = Pool(PROJECT / ".env")
    own.init(server.url.name, **server.connect_kwargs())
    try:
        assert len({take_one(own) for _ in range(3)}) == 1
    finally:
        own.close_all()


def test_a_block_inside_of_a_block_has_the_same_connection(pool):
    with pool.connection_context():
        outer = backend(pool)
        with pool.connection_context():
            assert backend(pool) == outer
        assert backend(pool) == outer
    assert pool.is_closed()


def test_a_block_leaves_an_open_connection_open(pool):
    pool.connect()
    with pool.connection_context(), pool.connection_context():
        pass
    assert not pool.is_closed()
    pool.close()


def test_a_second_connect_is_an_error_unless_reuse_is_asked_for(pool):
    with pool.connection_context():
        with pytest.raises(OperationalError, match="already opened"):
            pool.connect()
        assert pool.connect(reuse_if_open=True) is False


def test_close_reports_whether_a_connection_was_open(pool):
    pool.connect()
    assert (pool.close(), pool.close()) == (True, False)


def test_a_decorated_function_has_a_connection_on_every_thread_and_level(pool):
    @pool.connection_context()
    def depth(levels):
        assert not pool.is_closed()
        return 1 + depth(levels - 1) if levels else 0

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(depth, [3] * 40)) == [3] * 40
    take_all(pool)


async def coroutine():
    """Would share the connection of its thread with others while it waits."""


def generator():
    yield


async def asynchronous_generator():
    yield


@pytest.mark.parametrize("function", [coroutine, generator, asynchronous_generator])
def test_a_function_that_continues_after_its_return_cannot_be_decorated(pool, function):
    with pytest.raises(TypeError, match=rf"{function.__name__} .*continues .*asyncio.to_thread"):
        pool.connection_context()(function)


def test_one_scope_may_be_entered_again_and_by_several_threads(pool):
    scope = pool.connection_context()

    def enter(_):
        with scope, scope:
            return backend(pool)

    with scope, scope:
        pass
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(enter, range(20)))
    take_all(pool)


@pytest.mark.parametrize("close", ["close", "manual_close", "close_all"])
def test_an_error_in_a_block_that_closes_the_database_is_raised(pool, close):
    @pool.connection_context()
    def closing():
        try:
            pool.execute_sql("SELECT nonsense")
        finally:
            getattr(pool, close)()

    with pytest.raises(PeeweeException, match="nonsense"):
        closing()
    take_all(pool)


def test_a_block_that_fails_returns_the_connection(pool):
    before = take_one(pool)
    for _ in range(3):
        with pytest.raises(PeeweeException), pool.connection_context(), pool.atomic():
            pool.execute_sql("SELECT nonsense")
    assert take_one(pool) == before
    take_all(pool)


def test_a_connection_that_is_not_in_autocommit_is_not_kept(pool):
    with pool.connection_context():
        connection = pool.connection()
        connection.autocommit = False
    with pool.connection_context():
        assert pool.connection() is not connection
        assert pool.connection().autocommit


def test_a_transaction_that_sql_has_opened_is_undone_at_the_return(pool, settings):
    """By closing the connection: a ROLLBACK could wait for a silent server."""
    pool.configure(settings)
    with pool.connection_context():
        before = backend(pool)
        pool.execute_sql("BEGIN")
        pool.execute_sql("CREATE TABLE lost (id INTEGER)")
    await_end(settings, before)
    assert execute(settings, "SELECT to_regclass('lost')") == [(None,)]
    assert take_one(pool) != before


def test_a_connection_in_a_transaction_of_peewee_cannot_be_closed(pool):
    with (
        pool.connection_context(),
        pool.manual_commit(),
        pytest.raises(OperationalError, match="transaction is open"),
    ):
        pool.close()
    take_all(pool)


def test_a_connection_that_is_closed_by_hand_is_not_kept(pool):
    before = take_one(pool)
    pool.connect()
    pool.manual_close()
    assert before not in take_all(pool)


def test_close_stale_counts_from_the_check_out(pool, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("dbfoundation.runtime.queued_pool.time", lambda: time() - 120)
        take_one(pool)
    with pool.connection_context():
        connection = pool.connection()
        assert pool.close_stale(age=60) == 0
        assert pool.close_stale(age=-1) == 1
        assert connection.closed
    take_all(pool)


def test_the_seam_of_playhouses_pool_is_as_the_pool_uses_it(pool):
    """The pool writes what close_idle(), close_stale(), close_all() and manual_close() read."""
    with pool.connection_context():
        [(key, entry)] = pool._in_use.items()
        assert isinstance(entry, PoolConnection)
        assert key == pool.conn_key(pool.connection()) == id(entry.connection)
        assert pool._connections == []
    assert pool._in_use == {}
    [(opened, count, idle)] = pool._connections
    assert (opened, count, idle) == (entry.timestamp, pool._heap_counter, entry.connection)
    pool.close_idle()
    assert (pool._connections, idle.closed) == ([], 1)
