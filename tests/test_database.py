"""The pool: its limits, its connections' settings, and a server that restarts."""

import linecache
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier, Event, Thread, Timer
from time import monotonic

import pytest
from peewee import OperationalError, PeeweeException
from playhouse.pool import MaxConnectionsExceeded, PoolConnection
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from tests.conftest import (
    PASSWORD,
    at_database,
    clean_environment,
    execute,
    free_port,
    local_server,
    until,
)
from toolkit import binaries
from toolkit.database import Pool, PooledConnection, configure, connected, database, dedicated
from toolkit.errors import (
    AccessDeniedError,
    NoDatabaseError,
    UnavailableError,
    connection_error,
)
from toolkit.settings import ROOT


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
            pool_ping_after_seconds=5,
        )
    )
    try:
        assert database.ping_after == 5
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
    with pytest.raises(MaxConnectionsExceeded, match="all 2 connections were in use for 1 s"):
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


def backend(pool):
    """The server process behind this thread's connection."""
    return pool.execute_sql("SELECT pg_backend_pid()").fetchone()[0]


def used(pool):
    return len(pool._in_use)


@pytest.mark.parametrize(
    ("threads", "connections", "seconds"), [(50, 10, 0.002), (50, 10, 0.3), (20, 1, 0.1)]
)
def test_threads_share_connections_and_none_fails_within_the_wait(
    pool, settings, threads, connections, seconds
):
    """For longer than the wait, and without a pause: who waits has their turn in order."""
    configure(replace(settings, pool_wait_seconds=3, pool_max_connections=connections))
    backends = set()
    end = monotonic() + 5

    def work(_):
        turns = 0
        while monotonic() < end:
            with pool.connection_context():
                pool.execute_sql("SELECT pg_sleep(%s)", (seconds,))
                backends.add(pool.connection().info.backend_pid)
            turns += 1
        return turns

    with ThreadPoolExecutor(threads) as executor:
        turns = list(executor.map(work, range(threads)))
    assert min(turns) > max(turns) / 2
    assert len(backends) <= connections
    assert used(pool) == 0
    assert len(pool._connections) == len(backends)


class Impatient(Event):
    """For who must not have to wait."""

    def wait(self, _timeout=None):
        assert self.is_set(), "it waits"
        return True


def test_a_connection_that_comes_free_as_one_begins_to_wait_is_noticed(small_pool, monkeypatch):
    """Given back between the look at a full pool and the place in the line."""
    taken, let_go = Event(), Event()

    def hold():
        with small_pool.connection_context():
            taken.set()
            let_go.wait(10)

    small_pool._max_connections = 1
    holder = Thread(target=hold)
    holder.start()
    taken.wait(10)
    real = small_pool._await_turn

    def late(*values):
        let_go.set()
        holder.join()
        real(*values)

    monkeypatch.setattr(small_pool, "_await_turn", late)
    monkeypatch.setattr("toolkit.database.Event", Impatient)
    with small_pool.connection_context():
        assert used(small_pool) == 1


STEPS = ("connect", "_take_idle", "_keep", "_give_back", "close")


def interrupted(work, at):
    """Do the work with Ctrl-C at a line of the pool's; False when it has not so many."""
    left = at

    def trace(frame, event, _):
        nonlocal left
        ours = frame.f_code.co_filename.endswith("toolkit/database.py")
        if not (ours and frame.f_code.co_name in STEPS):
            return None
        # Python itself looks for signals at no `with`, whose lock would stay taken.
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        if event in ("line", "return") and not line.lstrip().startswith("with "):
            left -= 1
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


def test_ctrl_c_at_any_line_lends_no_connection_twice_and_loses_no_slot(small_pool):
    def use():
        with small_pool.connection_context():
            pass

    def others():
        with small_pool.connection_context():
            return id(small_pool.connection())

    use()
    at = 1
    with ThreadPoolExecutor(1) as executor:
        while interrupted(use, at):
            if not small_pool.is_closed():
                assert executor.submit(others).result(10) != id(small_pool.connection())
                small_pool.close()
            use()
            assert used(small_pool) == 0, f"line {at}"
            at += 1
    assert at > 20


def test_a_connection_that_is_no_more_in_autocommit_is_not_handed_on(small_pool):
    with small_pool.connection_context():
        connection = small_pool.connection()
        connection.autocommit = False
    with small_pool.connection_context():
        assert small_pool.connection() is not connection
        assert small_pool.connection().autocommit


def test_a_pool_of_ones_own_stands_beside_and_keeps_its_connections(server):
    """Its timeouts are Peewee's: without one, nothing goes stale."""
    own = Pool(server.url.name, **server.libpq())
    try:
        pids = set()
        for _ in range(3):
            with own.connection_context():
                pids.add(backend(own))
        assert len(pids) == 1
    finally:
        own.close_all()


def test_a_farewell_behind_other_messages_is_heard(small_pool, server):
    with small_pool.connection_context():
        small_pool.execute_sql("LISTEN news")
        before = backend(small_pool)
    for _ in range(3):
        execute(server, "SELECT pg_notify('news', repeat('n', 7000))")
    execute(server, "SELECT pg_terminate_backend(%s)", before)
    gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
    until(lambda: execute(server, gone, before) == [(0,)])
    with small_pool.connection_context():
        assert backend(small_pool) != before


def test_what_fails_in_a_block_gives_the_connection_back(small_pool):
    for _ in range(3):
        with pytest.raises(PeeweeException), small_pool.connection_context(), small_pool.atomic():
            small_pool.execute_sql("SELECT nonsense")
    assert (used(small_pool), len(small_pool._connections)) == (0, 1)


def test_a_thread_that_ends_without_giving_back_frees_its_slot(small_pool, server):
    left = []

    def leave_open():
        small_pool.connect()
        small_pool.execute_sql("BEGIN")
        left.append(backend(small_pool))

    for _ in range(5):
        thread = Thread(target=leave_open)
        thread.start()
        thread.join()
        assert used(small_pool) == 0
    gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
    until(lambda: execute(server, gone, left) == [(0,)])


def test_a_thread_that_ends_leaves_alone_what_it_gave_back(small_pool):
    given_back, end = Event(), Event()

    def visit():
        with small_pool.connection_context():
            pass
        given_back.set()
        end.wait(10)

    thread = Thread(target=visit)
    thread.start()
    given_back.wait(10)
    with small_pool.connection_context():
        before = backend(small_pool)
        end.set()
        thread.join()
        assert backend(small_pool) == before


def test_a_connection_of_old_is_replaced(small_pool):
    with small_pool.connection_context():
        before = backend(small_pool)
    [(*_, connection)] = small_pool._connections
    connection.timestamp -= small_pool._stale_timeout + 1
    with small_pool.connection_context():
        assert backend(small_pool) != before
    assert connection.closed


def test_a_block_inside_a_block_is_on_the_same_connection(small_pool):
    with small_pool.connection_context():
        outer = backend(small_pool)
        with small_pool.connection_context():
            assert backend(small_pool) == outer
        assert backend(small_pool) == outer
    assert used(small_pool) == 0


def test_a_block_leaves_open_what_was_open_before(small_pool):
    small_pool.connect()
    with small_pool.connection_context(), small_pool.connection_context():
        pass
    assert not small_pool.is_closed()
    small_pool.close()


def test_a_decorated_function_has_a_connection_on_every_thread_and_level(small_pool):
    @small_pool.connection_context()
    def depth(levels):
        assert not small_pool.is_closed()
        return 1 + depth(levels - 1) if levels else 0

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(depth, [3] * 40)) == [3] * 40
    assert used(small_pool) == 0


async def coroutine():
    """Waits, in a web application, for others on the same thread."""


def generator():
    yield


async def asynchronous_generator():
    yield


@pytest.mark.parametrize("function", [coroutine, generator, asynchronous_generator])
def test_what_goes_on_after_it_has_returned_is_refused(small_pool, function):
    with pytest.raises(TypeError, match=rf"{function.__name__} .*goes on .*asyncio.to_thread"):
        small_pool.connection_context()(function)


def test_one_lease_may_be_entered_again_and_by_several_threads(small_pool):
    lease = small_pool.connection_context()

    def enter(_):
        with lease, lease:
            return backend(small_pool)

    with lease, lease:
        pass
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(enter, range(20)))
    assert used(small_pool) == 0


@pytest.mark.parametrize("close", ["close", "manual_close", "close_all"])
def test_a_block_that_closes_the_database_has_its_own_error(small_pool, close):
    @small_pool.connection_context()
    def closing():
        try:
            small_pool.execute_sql("SELECT nonsense")
        finally:
            getattr(small_pool, close)()

    with pytest.raises(PeeweeException, match="nonsense"):
        closing()
    assert used(small_pool) == 0


def test_an_error_while_an_idle_connection_is_looked_at_loses_no_slot(small_pool, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    for _ in range(3):
        with small_pool.connection_context():
            pass
        with monkeypatch.context() as patch:
            patch.setattr(PooledConnection, "has_ended", interrupted)
            with pytest.raises(KeyboardInterrupt):
                small_pool.connect()
        assert used(small_pool) == 0


def test_an_idle_connection_that_the_server_ended_is_replaced(small_pool, server):
    with small_pool.connection_context():
        before = backend(small_pool)
    execute(server, "SELECT pg_terminate_backend(%s)", before)
    gone = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
    until(lambda: execute(server, gone, before) == [(0,)])
    with small_pool.connection_context():
        assert backend(small_pool) != before
    assert (used(small_pool), len(small_pool._connections)) == (0, 1)


def test_an_idle_connection_that_somebody_closed_is_replaced(small_pool):
    with small_pool.connection_context():
        connection = small_pool.connection()
    connection.close()
    with small_pool.connection_context():
        assert small_pool.connection() is not connection


@pytest.mark.parametrize("last", ["DO $$ BEGIN RAISE NOTICE 'heard'; END $$", "NOTIFY news"])
def test_what_is_no_farewell_does_not_end_a_connection(small_pool, server, last):
    """A notice of its last use, which the next one does not see, and a notification."""
    with small_pool.connection_context():
        small_pool.execute_sql("LISTEN news")
        small_pool.execute_sql(last)
        pid = backend(small_pool)
    execute(server, "NOTIFY news")
    with small_pool.connection_context():
        assert backend(small_pool) == pid
        assert small_pool.connection().notices == []


def test_a_connection_is_asked_only_after_it_was_idle_for_long(small_pool, server):
    def last_query():
        with small_pool.connection_context():
            pid = small_pool.connection().info.backend_pid
            [(query,)] = execute(server, "SELECT query FROM pg_stat_activity WHERE pid = %s", pid)
            return query

    with small_pool.connection_context():
        small_pool.execute_sql("SELECT 2")
        connection = small_pool.connection()
    assert last_query() == "SELECT 2"
    connection.idle_since -= small_pool.ping_after
    assert last_query() == "SELECT 1"
    with small_pool.connection_context():
        small_pool.execute_sql("SELECT 2")
    assert last_query() == "SELECT 2"


def test_a_connection_is_not_given_back_in_a_transaction(small_pool):
    with small_pool.connection_context():
        small_pool.execute_sql("BEGIN")
    with small_pool.connection_context():
        assert small_pool.connection().info.transaction_status == TRANSACTION_STATUS_IDLE
    with (
        small_pool.connection_context(),
        small_pool.manual_commit(),
        pytest.raises(OperationalError, match="transaction is open"),
    ):
        small_pool.close()


def test_a_connection_that_is_closed_by_hand_is_not_given_back(small_pool):
    small_pool.connect()
    small_pool.manual_close()
    assert (used(small_pool), small_pool._connections) == (0, [])


def test_nothing_is_tried_again_behind_the_callers_back(small_pool, server):
    with small_pool.connection_context():
        execute(server, "SELECT pg_terminate_backend(%s)", backend(small_pool))
        with pytest.raises(OperationalError):
            small_pool.execute_sql("SELECT 1")
    with small_pool.connection_context():
        small_pool.execute_sql("SELECT 1")


def test_a_restart_amid_traffic_fails_no_request_twice():
    if reason := binaries.obstacle():
        pytest.skip(f"needs a server to restart: {reason}")
    with local_server() as server:
        configure(at_database(server.settings, "postgres"))
        up_again, enough = Event(), Event()

        def traffic(_):
            failed_since_restart = served_since_restart = 0
            while not enough.is_set():
                after = up_again.is_set()
                try:
                    with database.connection_context():
                        database.execute_sql("SELECT pg_sleep(0.001)")
                except PeeweeException:
                    failed_since_restart += after
                else:
                    served_since_restart += after
            return failed_since_restart, served_since_restart

        try:
            with ThreadPoolExecutor(8) as threads:
                results = threads.map(traffic, range(8))
                until(lambda: used(database) > 0)
                server.stop(print)
                server.start(print)
                up_again.set()
                Timer(1, enough.set).start()
                for failed, served in results:
                    assert failed <= 1
                    assert served > 0
            assert used(database) == 0
        finally:
            database.close_all()


def run(code, settings, **options):
    """Run a program on the pool, with nothing exported but its address."""
    url = settings.url.render(with_password=True)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=clean_environment() | {"DATABASE_URL": url, "APP_ENV": "test"},
        **options,
    )


def test_a_program_that_ends_with_a_connection_open_ends_in_silence(settings):
    code = (
        "from toolkit.database import database; print(database.execute_sql('SELECT 1').fetchone())"
    )
    done = run(code, settings)
    assert (done.returncode, done.stdout, done.stderr) == (0, "(1,)\n", "")


FORK = """
import os, sys, threading
from toolkit.database import database

def pid():
    return database.execute_sql("SELECT pg_backend_pid()").fetchone()[0]

held, let_go = threading.Event(), threading.Event()

def hold():
    with database.connection_context():
        before = pid()
        held.set()
        let_go.wait()
        assert pid() == before

thread = threading.Thread(target=hold)
thread.start()
held.wait()
with database.connection_context():
    parent = pid()
    child = os.fork()
    if not child:
        with database.connection_context():
            own = pid()
        os._exit(0 if own != parent else 1)
    _, status = os.waitpid(child, 0)
    assert pid() == parent
let_go.set()
thread.join()
sys.exit(os.waitstatus_to_exitcode(status))
"""


def test_a_forked_process_has_a_pool_of_its_own(settings):
    done = run(FORK, settings)
    assert (done.returncode, done.stderr) == (0, ""), done


BUSY_FORK = """
import os, threading
from toolkit.database import database

enough = threading.Event()

def make_connections():
    while not enough.is_set():
        database.connect()
        database.manual_close()

with database.connection_context():
    pass
threads = [threading.Thread(target=make_connections) for _ in range(2)]
for thread in threads:
    thread.start()
for _ in range(20):
    if not (child := os.fork()):
        database.close_all()  # takes every lock; to connect, libpq's libraries have locks too
        os._exit(0)
    os.waitpid(child, 0)
enough.set()
for thread in threads:
    thread.join()
"""


def test_a_fork_beside_a_thread_that_connects_does_not_hang(settings):
    done = run(BUSY_FORK, settings, timeout=60)
    assert (done.returncode, done.stderr) == (0, ""), done


def test_the_seams_of_playhouses_pool_are_there(small_pool):
    for name in PoolConnection._fields:
        assert hasattr(PooledConnection, name)
    with small_pool.connection_context():
        [(key, entry)] = small_pool._in_use.items()
        connection = small_pool.connection()
        assert key == id(connection) == id(entry.connection)
        assert small_pool._connections == []
    [(created, _, idle)] = small_pool._connections
    assert (idle, created) == (connection, connection.timestamp)


def test_how_long_a_connection_is_in_use_counts_from_its_check_out(small_pool):
    with small_pool.connection_context():
        connection = small_pool.connection()
    connection.checked_out -= 120
    with small_pool.connection_context():
        assert small_pool.close_stale(age=60) == 0
        connection.checked_out -= 120
        assert small_pool.close_stale(age=60) == 1
        assert connection.closed
    assert used(small_pool) == 0


def test_a_pooler_that_takes_no_options_is_told_with_the_way_out():
    """In the words of PgBouncer as it comes, without ignore_startup_parameters."""
    told = connection_error("FATAL:  unsupported startup parameter: options", "there")
    assert "MIGRATION_DATABASE_URL" in str(told)
