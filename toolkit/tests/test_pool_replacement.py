"""Idle connections that have ended, are too old or do not answer: the pool replaces them."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Timer

import pytest

from dbfoundation.errors import DatabaseError
from dbfoundation.runtime.pooled_connection import PooledConnection
from dbfoundation.server import binaries
from tests.pools import backend, small_pool, take_all, take_one, terminate
from tests.support import at_database, execute, ignore, until

needs_server = pytest.mark.skipif(
    binaries.unavailable_reason() is not None,
    reason=f"a private server: {binaries.unavailable_reason()}",
)


@pytest.fixture
def pool(server):
    with small_pool(server) as pool:
        yield pool


def test_an_idle_connection_that_the_server_has_closed_is_replaced(pool, server):
    before = take_one(pool)
    terminate(server, before)
    assert take_one(pool) not in (before, None)
    take_all(pool)


def test_an_idle_connection_that_the_program_has_closed_is_replaced(pool):
    with pool.connection_context():
        connection = pool.connection()
    connection.close()
    with pool.connection_context():
        assert pool.connection() is not connection


def test_the_servers_farewell_is_read_after_other_messages(pool, server):
    with pool.connection_context():
        pool.execute_sql("LISTEN news")
        before = backend(pool)
    for _ in range(3):
        execute(server, "SELECT pg_notify('news', repeat('n', 7000))")
    terminate(server, before)
    assert take_one(pool) != before


@pytest.mark.parametrize("last", ["DO $$ BEGIN RAISE NOTICE 'news'; END $$", "NOTIFY news"])
def test_a_notice_or_a_notification_does_not_replace_a_connection(pool, server, last):
    """The next block does not see a notice of the last one."""
    with pool.connection_context():
        pool.execute_sql("LISTEN news")
        pool.execute_sql(last)
        before = backend(pool)
    execute(server, "NOTIFY news")
    with pool.connection_context():
        assert backend(pool) == before
        assert pool.connection().notices == []


def test_a_connection_is_replaced_after_its_maximum_lifetime(server):
    with small_pool(server, pool_max_lifetime_seconds=0.2) as pool:
        with pool.connection_context():
            connection, before = pool.connection(), backend(pool)
        until(lambda: take_one(pool) != before)
        assert connection.closed


@pytest.mark.parametrize(("max_idle", "is_kept"), [(0, False), (60, True)])
def test_a_connection_is_replaced_after_its_maximum_idleness(server, max_idle, is_kept):
    with small_pool(server, pool_max_idle_seconds=max_idle) as pool:
        assert (take_one(pool) == take_one(pool)) is is_kept


def test_ctrl_c_while_an_idle_connection_is_checked_loses_no_place(pool, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    for _ in range(3):
        take_one(pool)
        with monkeypatch.context() as patch:
            patch.setattr(PooledConnection, "has_ended", interrupted)
            with pytest.raises(KeyboardInterrupt):
                pool.connect()
        take_all(pool)


@needs_server
def test_a_restart_between_two_blocks_is_not_noticed(private_server):
    with small_pool(at_database(private_server.settings, "postgres")) as pool:
        before = take_all(pool)
        private_server.stop(ignore)
        private_server.start(ignore)
        assert before.isdisjoint(take_all(pool))


@needs_server
def test_a_restart_during_traffic_fails_each_thread_once_at_most(private_server):
    settings = at_database(private_server.settings, "postgres")
    with small_pool(settings, pool_max_connections=10, pool_wait_seconds=5) as pool:
        started, restarted, enough = Event(), Event(), Event()

        def traffic(_):
            failed = served = 0
            while not enough.is_set():
                after = restarted.is_set()
                try:
                    with pool.connection_context():
                        pool.execute_sql("SELECT pg_sleep(0.001)")
                except DatabaseError:
                    failed += after
                else:
                    served += after
                    started.set()
            return failed, served

        with ThreadPoolExecutor(8) as threads:
            results = threads.map(traffic, range(8))
            assert started.wait(10)
            private_server.stop(ignore)
            private_server.start(ignore)
            restarted.set()
            Timer(0.5, enough.set).start()
            for failed, served in results:
                assert failed <= 1
                assert served > 0
        take_all(pool, 10)
