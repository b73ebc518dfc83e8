"""New databases: of template0, with the encoding and locale of another one; none is left over."""

import subprocess
import sys
from contextlib import closing

import psycopg2
import pytest

from dbfoundation.server.databases import create_database, drop_database, scratch_database
from dbfoundation.testing import fresh_database
from tests.support import at_database, execute, only_in_ci, until

SCRATCH = "SELECT datname FROM pg_database WHERE datname LIKE 'migrate_verify%%' ORDER BY 1"
LOCALE = "SELECT pg_encoding_to_char(encoding), datcollate, datctype, datlocprovider, daticulocale"


@pytest.fixture
def busy_template(server):
    """A session on template1, of which CREATE DATABASE would make a copy otherwise."""
    with closing(psycopg2.connect(**at_database(server, "template1").connect_kwargs())):
        yield


def scratch_names(server):
    return [name for (name,) in execute(server, SCRATCH)]


@pytest.mark.usefixtures("busy_template")
def test_a_session_on_template1_prevents_no_new_database(server):
    with fresh_database(server) as fresh:
        assert execute(fresh, "SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "options",
    [
        "ENCODING 'LATIN1' LOCALE 'C'",
        "ENCODING 'UTF8' LOCALE 'C.UTF-8'",
        "ENCODING 'UTF8' LOCALE 'C.UTF-8' LOCALE_PROVIDER icu ICU_LOCALE 'de-AT'",
    ],
)
def test_a_scratch_database_has_the_encoding_and_locale_of_the_configured_one(server, options):
    configured = at_database(server, "test of locales")
    execute(server, f'CREATE DATABASE "test of locales" TEMPLATE template0 {options}')
    try:
        query = f"{LOCALE} FROM pg_database WHERE datname = current_database()"
        with scratch_database(configured) as scratch:
            assert execute(scratch, query) == execute(configured, query)
    finally:
        drop_database(configured)


def test_a_scratch_database_needs_no_configured_one(server):
    with scratch_database(at_database(server, "no such database")) as scratch:
        assert execute(scratch, "SELECT 1") == [(1,)]


def test_a_scratch_database_is_dropped_with_its_sessions(server):
    with scratch_database(server) as scratch:
        session = psycopg2.connect(**scratch.connect_kwargs())
    assert scratch_names(server) == []
    session.close()


# What a killed process leaves

CREATES = """
import sys
from dbfoundation.server.databases import scratch_database
from tests.support import make_settings
settings = make_settings(port=int(sys.argv[1]), user=sys.argv[2], password=sys.argv[3])
with scratch_database(settings) as scratch:
    print(scratch.url.name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def start(server):
    """Starts a process that has a scratch database, until its stdin ends."""
    processes = []

    def run():
        url = server.url
        words = [sys.executable, "-c", CREATES, str(url.port), url.user, url.password]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        processes.append(subprocess.Popen(words, text=True, **pipes))
        return processes[-1], processes[-1].stdout.readline().strip()

    yield run
    for process in processes:
        process.communicate()
    assert scratch_names(server) == []


def kill(process, server):
    """Kill a process, and wait until the server has noticed."""
    process.kill()
    process.wait()
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    until(lambda: execute(server, locks) == [(0,)])


def test_the_next_scratch_database_drops_those_of_killed_processes(start, server):
    process, left = start()
    kill(process, server)
    assert scratch_names(server) == [left]
    with scratch_database(server) as scratch:
        assert scratch_names(server) == [scratch.url.name]


def test_the_scratch_database_of_a_live_process_stays(start, server):
    process, kept = start()
    with scratch_database(server) as scratch:
        assert scratch_names(server) == sorted([kept, scratch.url.name])
    assert scratch_names(server) == [kept]
    assert process.poll() is None


def test_a_database_in_use_and_one_with_another_name_stay(start, server):
    process, left = start()
    with closing(psycopg2.connect(**at_database(server, left).connect_kwargs())):
        kill(process, server)
        other = at_database(server, "migrate_verify_by_hand")
        create_database(other)
        try:
            with scratch_database(server):
                assert {left, "migrate_verify_by_hand"} <= {*scratch_names(server)}
        finally:
            drop_database(other)
    until(lambda: not execute(server, "SELECT FROM pg_stat_activity WHERE datname = %s", left))
    with scratch_database(server):
        assert left not in scratch_names(server)


@only_in_ci
def test_many_at_once_drop_none_of_each_other(start, server):
    process, left = start()
    kill(process, server)
    started = [start() for _ in range(6)]
    assert sorted(name for _, name in started) == scratch_names(server)
    assert left not in scratch_names(server)
