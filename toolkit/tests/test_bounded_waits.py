"""A network or a server that goes silent: each wait of the pool ends by a setting's limit.

A test that waits for ever fails by the limit of `within`, which is far above the settings'.
"""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from dbfoundation.errors import ConnectionLostError, UnavailableError
from dbfoundation.server import binaries
from tests.pools import small_pool, take_all, take_one
from tests.silence import dropped_packets, needs_iptables, stopped_processes
from tests.support import at_database, backend_is_at, only_in_ci, until

pytestmark = [
    only_in_ci,
    pytest.mark.skipif(
        binaries.unavailable_reason() is not None,
        reason=f"a private server: {binaries.unavailable_reason()}",
    ),
]
SECONDS = 2
FAR_ABOVE = 60
SILENCES = [
    pytest.param(dropped_packets, marks=needs_iptables, id="dropped packets"),
    pytest.param(stopped_processes, id="stopped processes"),
]


@pytest.fixture
def own_pool(private_server):
    settings = at_database(private_server.settings, "postgres")
    limits = {"connect_timeout_seconds": SECONDS, "network_timeout_seconds": SECONDS}
    with small_pool(settings, **limits) as own:
        yield own


def within(work, *arguments):
    """Do the work on a thread and print how long it took; fails if it does not end."""
    began = monotonic()
    with ThreadPoolExecutor(1) as executor:
        done = executor.submit(work, *arguments)
        try:
            return done.result(FAR_ABOVE)
        finally:
            seconds = monotonic() - began
            print(f"{work.__name__}: {seconds:.1f} s, with limits of {SECONDS} s")  # noqa: T201 # the measurement


@pytest.mark.parametrize("silence", SILENCES)
def test_a_new_connection_to_a_silent_server_is_given_up(own_pool, private_server, silence):
    with silence(private_server), pytest.raises(UnavailableError):
        within(take_one, own_pool)
    take_all(own_pool)


@pytest.mark.parametrize("silence", SILENCES)
def test_a_connection_returns_from_a_silent_server(own_pool, private_server, silence):
    """With an open transaction, too: the pool sends no ROLLBACK."""

    def hold_and_return():
        with own_pool.connection_context():
            own_pool.execute_sql("BEGIN")
            silent.__enter__()

    silent = silence(private_server)
    try:
        within(hold_and_return)
    finally:
        silent.__exit__(None, None, None)
    take_all(own_pool)


@pytest.mark.parametrize("silence", SILENCES)
def test_an_idle_connection_to_a_silent_server_is_taken_without_a_wait(
    own_pool, private_server, silence
):
    def connect_and_close():
        own_pool.connect()
        own_pool.close()

    take_one(own_pool)
    with silence(private_server):
        within(connect_and_close)
    take_all(own_pool)


@needs_iptables
def test_a_statement_that_nobody_acknowledges_is_given_up(own_pool, private_server):
    def execute_in_silence():
        with own_pool.connection_context(), dropped_packets(private_server):
            own_pool.execute_sql("SELECT 1")

    with pytest.raises(ConnectionLostError):
        within(execute_in_silence)
    take_all(own_pool)


@needs_iptables
def test_a_statement_whose_answer_never_comes_is_given_up(own_pool, private_server):
    def execute_before_silence():
        with own_pool.connection_context():
            own_pool.execute_sql("SELECT pg_sleep(1000)")

    with ThreadPoolExecutor(1) as executor:
        asked = executor.submit(within, execute_before_silence)
        until(lambda: backend_is_at(own_pool._settings, "SELECT pg_sleep(1000)"))
        with dropped_packets(private_server), pytest.raises(ConnectionLostError):
            asked.result()
    take_all(own_pool)


@pytest.mark.parametrize("silence", SILENCES)
def test_a_ping_of_a_silent_server_ends_within_its_own_limit(own_pool, private_server, silence):
    with silence(private_server), pytest.raises(UnavailableError, match=r"within 0\.5 s"):
        within(own_pool.ping, 0.5)
    own_pool.ping()
