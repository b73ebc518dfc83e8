"""Each connection is in UTC, whatever the server, the role, the program or a pooler does."""

import os
from contextlib import contextmanager
from dataclasses import replace

import pytest

from dbfoundation.errors import TimeZoneError
from dbfoundation.runtime.connection import dedicated
from tests.listeners import rewriting_proxy
from tests.poolers import needs_pgbouncer, running_pooler
from tests.pools import backend, small_pool, take_one
from tests.process_usage import usage_of
from tests.support import execute

ZONE = "America/New_York"


@contextmanager
def zone_of_the_role(settings):
    user = f'"{settings.url.user}"'
    execute(settings, f"ALTER ROLE {user} SET timezone = '{ZONE}'")
    try:
        yield
    finally:
        execute(settings, f"ALTER ROLE {user} RESET timezone")


def zone(database):
    return database.execute_sql("SELECT current_setting('TimeZone')").fetchone()[0]


def at_port(settings, port):
    return replace(settings, url=replace(settings.url, port=port))


def test_a_connection_is_in_utc_although_the_role_is_not(settings):
    with zone_of_the_role(settings), small_pool(settings) as pool, pool.connection_context():
        assert zone(pool) == "UTC"


def test_a_direct_connection_is_in_utc_without_a_statement(settings):
    with zone_of_the_role(settings), small_pool(settings) as pool, pool.connection_context():
        pid = pool.connection().info.backend_pid
        assert execute(settings, "SELECT query FROM pg_stat_activity WHERE pid = %s", pid) == [
            ("",)
        ]


@needs_pgbouncer
def test_a_connection_is_in_utc_behind_a_pooler_that_drops_the_option(settings):
    with (
        zone_of_the_role(settings),
        running_pooler(settings, ignored="options") as port,
        small_pool(at_port(settings, port)) as pool,
    ):
        single = dedicated(at_port(settings, port), "tests")
        with single.connection_context(), pool.connection_context():
            assert (zone(single), zone(pool)) == ("UTC", "UTC")


@needs_pgbouncer
def test_a_transaction_is_in_utc_on_a_backend_that_another_client_has_moved(settings):
    with (
        running_pooler(settings, ignored="options") as port,
        small_pool(at_port(settings, port)) as pool,
        pool.connection_context(),
    ):
        other = dedicated(at_port(settings, port), "tests")
        with other.connection_context():
            other.execute_sql(f"SET TimeZone = '{ZONE}'")
            moved = backend(other)
            assert (backend(pool), zone(pool)) == (moved, "UTC")
            assert zone(other) == ZONE


def test_a_connection_that_a_program_has_moved_to_another_zone_is_not_reused(settings):
    with small_pool(settings) as pool:
        with pool.connection_context():
            before = backend(pool)
            pool.execute_sql(f"SET TimeZone = '{ZONE}'")
        with pool.connection_context():
            assert zone(pool) == "UTC"
            assert backend(pool) != before


def in_gmt(sent):
    """What a client sends, with another zone in place of UTC."""
    return sent.replace(b"TimeZone=UTC", b"TimeZone=GMT").replace(b"'UTC'", b"'GMT'")


def test_a_session_that_cannot_be_set_to_utc_is_an_error_with_a_fix(settings):
    with (
        rewriting_proxy(settings, in_gmt) as port,
        small_pool(at_port(settings, port)) as pool,
    ):
        for _ in range(3):  # more often than the pool has places
            with pytest.raises(TimeZoneError, match=r"time zone is GMT.*\nFix: .*pooler"):
                take_one(pool)


def test_a_session_that_cannot_be_set_to_utc_ends_while_its_error_is_kept(settings):
    with (
        rewriting_proxy(settings, in_gmt) as port,
        small_pool(at_port(settings, port)) as pool,
        pytest.raises(TimeZoneError) as kept,
    ):
        take_one(pool)
    assert usage_of(os.getpid(), port).connections == 0
    assert kept
