"""db-up beside a server that recovers, starts or stops: it waits, and never replaces the server."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import psycopg2
import pytest

from dbfoundation.errors import StartingError
from dbfoundation.server import binaries, databases, development, local, starting, waiting
from dbfoundation.server.development import DevelopmentServer
from dbfoundation.server.waiting import listens
from tests.recovery import crash, end_recovery, hold_recovery
from tests.support import at_database, execute, only_in_ci, until

pytestmark = pytest.mark.skipif(
    binaries.unavailable_reason() is not None,
    reason=f"db-up --via local: {binaries.unavailable_reason()}",
)


@pytest.fixture
def impatient(monkeypatch):
    """Every wait for a silent server is over at once, and a report comes with every poll."""
    monkeypatch.setattr(starting, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(development, "SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(development, "FOREIGN_SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(waiting, "REPORT_SECONDS", 0.2)
    monkeypatch.setattr(local, "START_SECONDS", 1)


@contextmanager
def db_up(server, folder, **providers):
    """db-up in a thread: its future result, and its reports so far."""
    reports = []
    settings = at_database(server.settings, "postgres")
    running = DevelopmentServer(folder, settings, reports.append, providers)
    with ThreadPoolExecutor(1) as executor:
        try:
            yield executor.submit(running.start), reports
        finally:
            end_recovery(server)


def waits(reports, words="the database system is"):
    return [
        line for line in reports if line.startswith("waiting for postgres on") and words in line
    ]


def start_without_waiting(server):
    (server.data / "postmaster.pid").unlink()  # of a process that nobody may have reaped
    options = f"-p {server.settings.url.port} -c listen_addresses=127.0.0.1"
    server._run(
        *("pg_ctl", "start", "-W", "-l", server.home / "log"),
        *("-o", f"{options} -c unix_socket_directories=''"),
    )
    until(lambda: listens("127.0.0.1", server.settings.url.port))


@only_in_ci
@pytest.mark.usefixtures("impatient")
def test_a_crashed_server_recovers_as_long_as_it_takes_and_keeps_its_data(private_server, tmp_path):
    settings = at_database(private_server.settings, "postgres")
    execute(settings, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id")
    crash(private_server)
    hold_recovery(private_server)
    with db_up(private_server, tmp_path, local=private_server) as (outcome, reports):
        until(lambda: len(waits(reports)) >= 3)
        pid = (private_server.data / "postmaster.pid").read_text().split()[0]
        assert not outcome.done()
        end_recovery(private_server)
        assert outcome.result().was_started
    assert (private_server.data / "postmaster.pid").read_text().split()[0] == pid
    assert execute(settings, "SELECT count(*) FROM kept") == [(1000,)]


@only_in_ci
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("is_ours", [True, False])
def test_a_server_that_is_recovering_already_is_waited_for(private_server, tmp_path, is_ours):
    crash(private_server)
    hold_recovery(private_server)
    start_without_waiting(private_server)
    providers = {"local": private_server} if is_ours else {}
    with db_up(private_server, tmp_path, **providers) as (outcome, reports):
        until(lambda: len(waits(reports)) >= 3)
        assert not outcome.done()
        end_recovery(private_server)
        assert not outcome.result().was_started


@only_in_ci
@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_shutting_down_is_started_again(private_server, tmp_path):
    settings = at_database(private_server.settings, "postgres")
    with closing(psycopg2.connect(**settings.connect_kwargs())):
        private_server._run("pg_ctl", "stop", "-W", "-m", "smart")
        until(lambda: is_starting(settings))
        with db_up(private_server, tmp_path, local=private_server) as (outcome, reports):
            until(lambda: len(waits(reports, "shutting down")) >= 3)
            private_server._run("pg_ctl", "stop", "-W", "-m", "fast")  # ends the session
            assert outcome.result().was_started


def is_starting(settings):
    try:
        databases.check(settings)
    except StartingError:
        return True
    return False
