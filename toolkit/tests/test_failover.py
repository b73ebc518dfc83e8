"""A primary server that fails under traffic, and its standby that is promoted: real servers."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from threading import Event

import pytest
from peewee import PeeweeException

from dbfoundation import SessionStore
from dbfoundation.errors import FoundationError
from dbfoundation.migrations.engine import Engine
from dbfoundation.runtime.connection import dedicated
from dbfoundation.server import binaries
from dbfoundation.server.databases import create_database
from models import AuditLog, Session, database
from tests.every_task import at
from tests.pools import small_pool, take_all
from tests.standby import (
    both,
    disconnect,
    make_read_only,
    promote,
    replicated_server,
    stop_at_once,
)
from tests.support import PROJECT, at_database, execute, ignore, only_in_ci, tables, until

pytestmark = [
    only_in_ci,
    pytest.mark.skipif(
        binaries.unavailable_reason() is not None,
        reason=f"private servers: {binaries.unavailable_reason()}",
    ),
]

THREADS = 20
AT_LEAST = 20


@dataclass(frozen=True)
class Attempt:
    """One try of a request, with a key of its own."""

    request: str
    key: str
    is_after: bool  # whether it began after the promotion
    is_acknowledged: bool


class Traffic:
    """Twenty threads that send requests to the pool; a request that fails is sent again."""

    def __init__(self):
        self.attempts: list[Attempt] = []
        self.promoted = Event()
        self.enough = Event()
        self.sessions = SessionStore(Session)

    def send(self, thread):
        for number in count():
            for attempt in count():
                if self.enough.is_set():
                    return
                if self.try_once(f"{thread}-{number}", f"{thread}-{number}-{attempt}"):
                    break
                self.promoted.wait(0.01)

    def try_once(self, request, key):
        is_after = self.promoted.is_set()
        try:
            serve(self.sessions, key)
        except (PeeweeException, FoundationError):
            is_acknowledged = False
        else:
            is_acknowledged = True
        self.attempts.append(Attempt(request, key, is_after, is_acknowledged))
        return is_acknowledged

    def served(self, *, is_after):
        """Whether each thread had some requests served, before or after the promotion."""
        served = Counter(
            attempt.request.partition("-")[0]
            for attempt in [*self.attempts]
            if attempt.is_acknowledged and attempt.is_after is is_after
        )
        return len(served) == THREADS and min(served.values()) >= AT_LEAST


@database.connection_context()
def serve(sessions, key):
    """A request that writes a session, its key, and two rows in one transaction."""
    sessions.set(key, {"key": key})
    database.execute_sql("INSERT INTO requests VALUES (%s)", (key,))
    with database.atomic():
        AuditLog.record("request.begin", entity=("request", key))
        AuditLog.record("request.end", entity=("request", key))


def migrate(settings):
    create_database(settings)
    connection = dedicated(settings, "test")
    with connection.connection_context():
        Engine(connection, PROJECT / "migrations").up()
        connection.execute_sql("CREATE TABLE requests (key text)")


def keys(settings, query):
    return Counter(key for (key,) in execute(settings, query))


@pytest.mark.parametrize("is_synchronous", [True, False], ids=["synchronous", "asynchronous"])
def test_a_promotion_under_traffic_fails_no_request_twice_and_writes_nothing_twice(is_synchronous):
    traffic = Traffic()
    with replicated_server(is_synchronous=is_synchronous) as (primary, standby):
        settings = both(primary, standby)
        migrate(primary.settings)
        database.configure(settings)
        with ThreadPoolExecutor(THREADS) as threads:
            tasks = [threads.submit(traffic.send, thread) for thread in range(THREADS)]
            try:
                until(lambda: traffic.served(is_after=False))
                stop_at_once(primary)
                promote(standby)
                traffic.promoted.set()
                until(lambda: traffic.served(is_after=True))
            finally:
                traffic.enough.set()
            for task in tasks:
                task.result()
        database.close_all()
        requests = keys(settings, "SELECT key FROM requests")
        audited = keys(settings, "SELECT entity_id FROM audit_log")
        sessions = keys(settings, "SELECT sid FROM sessions")

    failed = [attempt for attempt in traffic.attempts if not attempt.is_acknowledged]
    assert failed
    repeated = Counter(attempt.request for attempt in failed if attempt.is_after)
    assert max(repeated.values(), default=0) <= 1
    assert {*requests.values()} == {1}
    assert {*audited.values()} == {2}
    acknowledged = {
        attempt.key
        for attempt in traffic.attempts
        if attempt.is_acknowledged and (is_synchronous or attempt.is_after)
    }
    for written in (sessions, requests, audited):
        assert acknowledged <= written.keys()


def test_a_failover_between_two_requests_is_not_noticed():
    with (
        replicated_server(is_synchronous=False) as (primary, standby),
        small_pool(at_database(both(primary, standby), "postgres")) as pool,
    ):
        before = take_all(pool)
        stop_at_once(primary)
        promote(standby)
        assert before.isdisjoint(take_all(pool))


def test_a_second_pool_reads_from_the_standby_and_without_it_from_the_primary_server():
    with replicated_server(is_synchronous=False) as (primary, standby):
        settings = at_database(both(primary, standby, prefer="prefer-standby"), "postgres")
        with small_pool(settings) as pool:
            assert port(pool) == standby.settings.url.port
            standby.stop(ignore)
            assert port(pool) == primary.settings.url.port


def port(pool):
    """The port of the server that a pool takes."""
    with pool.connection_context():
        return pool.execute_sql("SELECT inet_server_port()").fetchone()[0]


def test_a_connection_to_a_server_that_became_read_only_is_replaced():
    """The server sends the change with its answer to a statement, so one request fails."""
    with (
        replicated_server(is_synchronous=False) as (primary, standby),
        small_pool(at_database(both(primary, standby), "postgres")) as pool,
    ):
        take_all(pool)
        promote(standby)
        make_read_only(primary)
        with pytest.raises(PeeweeException, match="read-only"), pool.connection_context():
            pool.execute_sql("CREATE TABLE news (id integer)")
        with pool.connection_context():
            pool.execute_sql("CREATE TABLE news (id integer)")
        assert tables(at_database(standby.settings, "postgres")) == ["news"]


WORKS = """from pathlib import Path
from time import sleep
{options}

def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE lost (id INTEGER)")
    Path("began").touch()
    while not Path("ended").exists():
        sleep(0.01)
    migrator.sql("SELECT 1")


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE lost")
"""
NUMBER = "SELECT pg_current_xact_id()::text::bigint"


@pytest.mark.parametrize("options", ["", "atomic = False\n"], ids=["atomic", "not atomic"])
def test_the_outcome_of_a_migration_is_not_read_from_another_servers_history(project, options):
    """The standby has other transactions of the same numbers, and they are committed."""
    with replicated_server(is_synchronous=False) as (primary, standby):
        create_database(primary.settings)
        app = at(project, both(primary, standby).url.render(with_password=True))
        assert app.invoke("migrate-up").returncode == 0
        disconnect(primary, standby)
        app.write("migrations/004_lost.py", WORKS.format(options=options))
        with app.start("migrate-up") as run:
            until((app.folder / "began").exists)
            [(last,)] = execute(primary.settings, NUMBER)
            stop_at_once(primary)
            promote(standby)
            until(lambda: execute(standby.settings, NUMBER)[0][0] > last)
            (app.folder / "ended").touch()
            _, errors = run.communicate()
        assert run.returncode == 2
        assert "unknown: the server that ran the step does not answer" in errors
        assert "1 pending" in app.invoke("migrate-status").stdout
