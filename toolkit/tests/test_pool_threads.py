"""Threads that share the pool, wait for a connection, end without returning one, or get Ctrl-C."""

import linecache
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Event, Thread, current_thread, main_thread
from time import monotonic

import pytest

from dbfoundation.errors import PoolTimeoutError
from dbfoundation.runtime import pool as pool_module
from dbfoundation.runtime import pooled_connection, queued_pool, scope
from tests.pools import await_end, backend, small_pool, take_all, take_one
from tests.support import IS_CI


@pytest.fixture
def pool(server):
    with small_pool(server) as pool:
        yield pool


@pytest.fixture
def holder():
    """Starts a thread that takes a connection, awaits its release and then does something else."""
    threads, releases = [], []

    def start(pool, last=lambda _: None):
        taken, release = Event(), Event()

        def hold():
            pool.connect()
            taken.set()
            release.wait(10)
            last(pool)

        thread = Thread(target=hold)
        threads.append(thread)
        releases.append(release)
        thread.start()
        assert taken.wait(10)
        return thread, release

    yield start
    for release in releases:
        release.set()
    for thread in threads:
        thread.join()


def test_a_full_pool_waits_and_then_raises_an_error(pool, holder):
    holder(pool)
    holder(pool)
    before = monotonic()
    with pytest.raises(PoolTimeoutError, match="all 2 connections were in use for 1 s"):
        pool.connect()
    assert monotonic() - before >= 1


WAYS = {
    "close": lambda pool: pool.close(),
    "manual_close": lambda pool: pool.manual_close(),
    "close_all": lambda pool: pool.close_all(),
    "close_stale": lambda pool: pool.close_stale(age=-1),
    "dispose": lambda pool: pool.dispose(),
    "end of the thread": lambda _: None,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_waiting_thread_takes_a_place_as_soon_as_it_is_free(server, holder, monkeypatch, way):
    with small_pool(server, pool_max_connections=1, pool_wait_seconds=10) as pool:
        _, release = holder(pool, WAYS[way])

        class Announced(Event):
            def wait(self, timeout=None):
                release.set()
                return super().wait(timeout)

        monkeypatch.setattr(queued_pool, "Event", Announced)
        with pool.connection_context():
            assert pool.execute_sql("SELECT 1").fetchone() == (1,)


def test_a_connection_that_is_returned_just_before_the_wait_is_noticed(server, holder, monkeypatch):
    """The pool looks at the clock between its look at the connections and the wait."""
    looks = count()

    class Waiting(Event):
        def wait(self, timeout=None):  # noqa: ARG002 # Event's
            assert self.is_set(), "it would wait for a connection that is idle"

    def look_at_the_clock():
        if current_thread() is main_thread() and next(looks) == 1:
            release.set()
            thread.join()
        return monotonic()

    with small_pool(server, pool_max_connections=1) as pool:
        thread, release = holder(pool, lambda pool: pool.close())
        monkeypatch.setattr(queued_pool, "Event", Waiting)
        monkeypatch.setattr(queued_pool, "monotonic", look_at_the_clock)
        take_one(pool)
        assert next(looks) > 2


@pytest.mark.parametrize(
    ("threads", "connections", "seconds"), [(50, 10, 0.002), (50, 10, 0.2), (20, 1, 0.06)]
)
def test_threads_share_connections_and_none_fails_within_the_wait(
    server, threads, connections, seconds
):
    """For longer than the wait, and without a pause: waiting threads have their turns in order."""
    end = monotonic() + (10 if IS_CI else 3)
    backends = set()

    def work(_):
        turns = 0
        while monotonic() < end:
            with pool.connection_context():
                pool.execute_sql("SELECT pg_sleep(%s)", (seconds,))
                backends.add(pool.connection().info.backend_pid)
            turns += 1
        return turns

    with small_pool(server, pool_wait_seconds=2, pool_max_connections=connections) as pool:
        with ThreadPoolExecutor(threads) as executor:
            turns = list(executor.map(work, range(threads)))
        assert min(turns) > max(turns) / 2
        assert len(backends) <= connections
        assert take_all(pool, connections) == backends


def test_a_thread_that_ends_without_returning_its_connection_frees_the_place(pool, server):
    pids = []

    def leave_open():
        pool.connect()
        pool.execute_sql("BEGIN")
        pids.append(backend(pool))

    for _ in range(5):
        thread = Thread(target=leave_open)
        thread.start()
        thread.join()
    take_all(pool)
    assert len(pids) == 5
    await_end(server, *pids)


def test_the_end_of_a_thread_leaves_a_connection_that_it_has_returned(pool):
    returned, end = Event(), Event()

    def visit():
        take_one(pool)
        returned.set()
        end.wait(10)

    thread = Thread(target=visit)
    thread.start()
    assert returned.wait(10)
    with pool.connection_context():
        before = backend(pool)
        end.set()
        thread.join()
        assert backend(pool) == before


def interrupt(work, at):
    """Do the work with Ctrl-C at a line of the pool; False when it has fewer lines."""
    left = at
    modules = (pool_module, queued_pool, pooled_connection, scope)
    files = {module.__file__ for module in modules}

    def trace(frame, event, _):
        nonlocal left
        if frame.f_code.co_filename not in files:
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


def use(pool):
    with pool.connection_context():
        return id(pool.connection())


@pytest.mark.parametrize("is_new", [False, True])
def test_ctrl_c_at_any_line_lends_no_connection_twice_and_loses_no_place(pool, is_new):
    use(pool)
    at = 1
    with ThreadPoolExecutor(1) as executor:
        while interrupt(lambda: use(pool), at):
            if not pool.is_closed():
                assert executor.submit(use, pool).result(10) != id(pool.connection())
                pool.close()
            use(pool)
            take_all(pool)
            if is_new:
                pool.close_idle()
            at += 1
    assert at > 30


def test_ctrl_c_at_any_line_loses_no_place_of_a_pool_of_one(server):
    with small_pool(server, pool_max_connections=1, pool_wait_seconds=0.1) as pool:
        use(pool)
        at = 1
        while interrupt(lambda: use(pool), at):
            pool.close()
            use(pool)
            at += 1
        assert at > 30


def test_ctrl_c_in_a_waiting_thread_leaves_the_others_their_turns(pool, holder, monkeypatch):
    class Interrupted(Event):
        def wait(self, _timeout=None):
            raise KeyboardInterrupt

    held = [holder(pool, lambda pool: pool.close()) for _ in range(2)]
    with monkeypatch.context() as patch:
        patch.setattr(queued_pool, "Event", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            pool.connect()
    for thread, release in held:
        release.set()
        thread.join()
    take_all(pool)
