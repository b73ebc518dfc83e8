"""A health check of the database, which needs no place in the pool."""

from dataclasses import replace

import pytest

from dbfoundation.errors import UnavailableError
from dbfoundation.runtime.pool import Pool
from tests.listeners import Http, Mute, listener
from tests.pools import small_pool
from tests.support import PASSWORD, PROJECT, execute, free_port, make_settings

OPEN = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE '%%/ping'"


def test_a_ping_returns_when_the_database_answers_and_leaves_no_connection(settings):
    with small_pool(settings) as pool:
        assert pool.ping() is None
    assert execute(settings, OPEN) == [(0,)]


def test_a_ping_needs_no_place_in_a_full_pool(settings):
    with small_pool(settings, pool_max_connections=1) as pool, pool.connection_context():
        pool.ping()


def test_a_ping_reads_the_settings_of_a_pool_that_has_none(settings, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", settings.url.render(with_password=True))
    pool = Pool(PROJECT / ".env")
    pool.ping()
    assert pool.deferred


def test_a_ping_of_a_closed_port_gives_the_reason_without_the_password():
    with (
        small_pool(make_settings(port=free_port())) as pool,
        pytest.raises(UnavailableError, match=r"app on 127.0.0.1:.*refused.*\nFix: ") as caught,
    ):
        pool.ping()
    assert PASSWORD not in str(caught.value)


def test_a_ping_gives_the_servers_reason(settings):
    wrong = replace(settings, url=replace(settings.url, name="missing"))
    with (
        small_pool(wrong) as pool,
        pytest.raises(UnavailableError, match='"missing" does not exist'),
    ):
        pool.ping()


@pytest.mark.parametrize("handler", [Mute, Http])
def test_a_ping_of_another_program_ends(handler):
    with (
        listener(handler) as port,
        small_pool(make_settings(port=port)) as pool,
        pytest.raises(UnavailableError),
    ):
        pool.ping(timeout_seconds=0.2)


def test_a_ping_tries_each_host_for_the_time(settings):
    with listener(Mute) as mute:
        url = replace(settings.url, host="127.0.0.1,127.0.0.1", port=f"{mute},{settings.url.port}")
        with small_pool(replace(settings, url=url)) as pool:
            pool.ping(timeout_seconds=1)
