"""The pool: its limits, its connections' settings, and a server that restarts."""

from dataclasses import replace
from threading import Barrier, Event, Thread, Timer

import pytest
from playhouse.pool import MaxConnectionsExceeded

from tests.conftest import (
    PASSWORD,
    at_database,
    free_port,
    local_server,
)
from toolkit import binaries
from toolkit.database import configure, connected, database, dedicated
from toolkit.errors import AccessDeniedError, NoDatabaseError, UnavailableError


@pytest.fixture
def small_pool(server):
    """A pool of two connections that waits for one second."""
    configure(replace(server, pool_max_connections=2, pool_wait_seconds=1))
    yield database
    database.close_all()


def show(db, name):
    return db.execute_sql("SELECT current_setting(%s)", (name,)).fetchone()[0]


@pytest.fixture
def holders(small_pool):
    """Two threads that hold the pool's two connections, until they are told to let go."""
    taken, let_go = Barrier(3), Event()

    def hold():
        with small_pool.connection_context():
            taken.wait(10)
            let_go.wait(30)

    threads = [Thread(target=hold) for _ in range(2)]
    for thread in threads:
        thread.start()
    taken.wait(10)
    yield let_go
    let_go.set()
    for thread in threads:
        thread.join()


def test_connections_run_in_utc_under_the_applications_name(pool, settings):
    with pool.connection_context():
        assert show(pool, "TimeZone") == "UTC"
        assert show(pool, "application_name") == settings.application_name


def test_a_dedicated_connection_names_its_purpose(server):
    db = dedicated(server, "migrate")
    with connected(db, server):
        assert show(db, "application_name") == "tests/migrate"
        assert show(db, "TimeZone") == "UTC"
    assert db.is_closed()


def test_the_settings_reach_the_pool_and_its_connections(server):
    configure(
        replace(
            server,
            connect_timeout_seconds=7,
            pool_max_connections=3,
            pool_stale_seconds=11,
            pool_wait_seconds=2,
        )
    )
    try:
        limits = (database._max_connections, database._stale_timeout, database._wait_timeout)
        assert limits == (3, 11, 2)
        assert database.connect_params["connect_timeout"] == "7"
    finally:
        database.close_all()


def test_configuring_again_leaves_nothing_of_before(server):
    url = replace(server.url, parameters={"sslmode": "require"})
    configure(replace(server, url=url))
    configure(server)
    assert "sslmode" not in database.connect_params
    database.close_all()


def test_the_pool_keeps_a_connection_for_the_next_use(small_pool):
    def backend():
        with small_pool.connection_context():
            return small_pool.execute_sql("SELECT pg_backend_pid()").fetchone()

    assert backend() == backend()


@pytest.mark.usefixtures("holders")
def test_a_full_pool_waits_and_then_says_so(small_pool):
    with pytest.raises(MaxConnectionsExceeded, match="timed out"):
        small_pool.connect()


def test_a_full_pool_hands_on_what_comes_back(small_pool, holders):
    """The pool looks again at least every second, so that this waits for no longer."""
    Timer(0.2, holders.set).start()
    with small_pool.connection_context():
        assert small_pool.execute_sql("SELECT 1").fetchone() == (1,)


def test_a_server_restart_between_two_uses_is_not_noticed():
    if reason := binaries.obstacle():
        pytest.skip(f"needs a server to restart: {reason}")
    with local_server() as server:
        configure(at_database(server.settings, "postgres"))
        try:
            with database.connection_context():
                before = database.execute_sql("SELECT pg_backend_pid()").fetchone()
            server.stop(print)
            server.start(print)
            with database.connection_context():
                assert database.execute_sql("SELECT pg_backend_pid()").fetchone() != before
        finally:
            database.close_all()


@pytest.mark.parametrize(
    ("changes", "error", "advice"),
    [
        ({"port": free_port()}, UnavailableError, "invoke db-up"),
        ({"password": "not-it"}, AccessDeniedError, "DB_PASSWORD"),
        ({"name": "not-there"}, NoDatabaseError, "invoke db-reset"),
    ],
)
def test_a_failed_connection_says_why_and_what_to_do(server, changes, error, advice):
    settings = replace(server, url=replace(server.url, **changes))
    with (
        pytest.raises(error, match=advice) as caught,
        connected(dedicated(settings, "x"), settings),
    ):
        pass
    assert PASSWORD not in str(caught.value)
    assert "not-it" not in str(caught.value)
