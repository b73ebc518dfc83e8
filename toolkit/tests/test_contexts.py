"""The rules of a context: a query needs one, and it belongs to one thread and one coroutine."""

import asyncio
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from peewee import DatabaseProxy

from dbfoundation import SessionStore
from dbfoundation.errors import ConnectionContextError, NotConnectedError
from models import AuditLog, Session
from tests.pools import backend, small_pool, take_all, take_one
from tests.support import LIBRARY, execute

OPEN_ONE = r"this thread has no connection .*\nFix: .*with database.connection_context"


@pytest.fixture
def own_pool(server):
    with small_pool(server) as own:
        yield own


# Without a context


def begin(pool):
    with pool.atomic():
        pass


QUERIES = {
    "SQL": lambda pool: pool.execute_sql("SELECT 1"),
    "a query of a model": lambda _: list(AuditLog.select()),
    "a new row": lambda _: Session.create(sid="one", sess={}, expire="2030-01-01"),
    "a transaction": begin,
    "a cursor": lambda pool: pool.cursor(),
    "the connection": lambda pool: pool.connection(),
    "the catalog": lambda pool: pool.get_tables(),
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_query_without_a_connection_is_an_error_that_says_where_to_open_one(pool, query):
    with pytest.raises(NotConnectedError, match=OPEN_ONE):
        query(pool)
    assert pool.is_closed()


def test_a_query_on_a_thread_does_not_use_the_connection_of_another(own_pool):
    with own_pool.connection_context(), ThreadPoolExecutor(1) as executor:
        asked = executor.submit(own_pool.execute_sql, "SELECT 1")
        with pytest.raises(NotConnectedError):
            asked.result()


def test_a_method_of_the_session_store_opens_a_context_of_its_own(pool):
    store = SessionStore(Session)
    store.set("one", {"a": 1})
    assert store.get("one") == {"a": 1}
    assert pool.is_closed()


def test_a_pool_behind_a_proxy_has_the_same_rule(own_pool):
    proxy = DatabaseProxy()
    proxy.initialize(own_pool)
    with pytest.raises(NotConnectedError):
        proxy.execute_sql("SELECT 1")
    with proxy.connection_context():
        assert proxy.execute_sql("SELECT 1").fetchone() == (1,)


# Threads


def leave_elsewhere(pool, enter=lambda _: None):
    """Enter a context on one thread and leave it on this one; returns the executor of the first."""
    scope = pool.connection_context()
    executor = ThreadPoolExecutor(1)

    def begin():
        scope.__enter__()
        enter(pool)

    executor.submit(begin).result()
    with pytest.raises(ConnectionContextError, match=r"entered on another thread .*\nFix: "):
        scope.__exit__(None, None, None)
    return executor


def test_a_context_that_is_left_on_another_thread_is_reported_and_its_work_undone(pool, settings):
    def insert(pool):
        pool.execute_sql("BEGIN")
        AuditLog.record("lost")

    leave_elsewhere(pool, insert).shutdown()
    with pool.connection_context():
        assert AuditLog.select().count() == 0
    states = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'"
    assert execute(settings, states) == [(0,)]


def test_the_thread_whose_context_was_left_elsewhere_has_another_connection_next(own_pool):
    with leave_elsewhere(own_pool) as executor:
        with pytest.raises(NotConnectedError):
            executor.submit(own_pool.execute_sql, "SELECT 1").result()
        executor.submit(take_one, own_pool).result()
        take_all(own_pool)


def test_a_context_that_is_left_in_another_context_leaves_that_one_open(own_pool):
    with own_pool.connection_context():
        mine = backend(own_pool)
        leave_elsewhere(own_pool).shutdown()
        assert backend(own_pool) == mine


def test_an_inner_context_that_is_left_elsewhere_leaves_the_outer_one_to_its_thread(own_pool):
    outer = own_pool.connection_context()
    executor = ThreadPoolExecutor(1)
    executor.submit(outer.__enter__).result()
    inner = own_pool.connection_context()
    executor.submit(inner.__enter__).result()
    with pytest.raises(ConnectionContextError):
        inner.__exit__(None, None, None)
    executor.submit(own_pool.execute_sql, "SELECT 1").result()
    executor.submit(outer.__exit__, None, None, None).result()
    assert executor.submit(own_pool.is_closed).result()
    executor.shutdown()
    take_all(own_pool)


def test_contexts_that_end_out_of_order_end_with_the_one_that_has_taken_the_connection(own_pool):
    outer, inner = own_pool.connection_context(), own_pool.connection_context()
    outer.__enter__()
    inner.__enter__()
    outer.__exit__(None, None, None)
    assert own_pool.is_closed()
    inner.__exit__(None, None, None)
    take_all(own_pool)


def test_an_error_in_a_block_that_another_thread_leaves_stays_visible(own_pool):
    @contextmanager
    def dependency():
        with own_pool.connection_context():
            yield

    block = dependency()
    with ThreadPoolExecutor(1) as executor:
        executor.submit(block.__enter__).result()
    with pytest.raises(ConnectionContextError) as caught:
        block.__exit__(ValueError, ValueError("the block's"), None)
    assert str(caught.value.__context__) == "the block's"


# Coroutines


async def in_a_context(pool, entered, release):
    with pool.connection_context():
        entered.set()
        await release.wait()
        return backend(pool)


async def beside_a_context(pool, work):
    """Do work in a coroutine while another one waits in a context."""
    entered, release = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(in_a_context(pool, entered, release))
    await entered.wait()
    try:
        work(pool)
    finally:
        release.set()
        await first


def connect(pool):
    with pool.connection_context():
        pytest.fail("two coroutines are in one context")


USES = {
    "a context": connect,
    "a query": backend,
    "the return": lambda pool: pool.close(),
    "a transaction": begin,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_second_coroutine_on_the_connection_is_reported_and_the_first_continues(own_pool, use):
    with pytest.raises(ConnectionContextError, match=r"two coroutines .*\nFix: .*to_thread"):
        asyncio.run(beside_a_context(own_pool, use))
    assert own_pool.is_closed()
    take_all(own_pool)


def test_two_coroutines_in_a_context_around_their_loop_are_reported(own_pool):
    async def use(entered, release):
        backend(own_pool)
        entered.set()
        await release.wait()

    async def both():
        entered, release = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(use(entered, release))
        await entered.wait()
        release.set()
        await use(entered, release)
        await first

    with own_pool.connection_context():
        with pytest.raises(ConnectionContextError, match="two coroutines"):
            asyncio.run(both())
        backend(own_pool)


def test_coroutines_may_use_a_context_one_after_the_other(own_pool):
    async def use():
        await asyncio.sleep(0)
        return backend(own_pool)

    with own_pool.connection_context():
        assert asyncio.run(use()) == asyncio.run(use()) == backend(own_pool)


def test_coroutines_whose_work_runs_on_threads_share_the_pool(own_pool):
    async def many():
        return await asyncio.gather(*(asyncio.to_thread(take_one, own_pool) for _ in range(20)))

    assert len(asyncio.run(many())) == 20
    take_all(own_pool)


# Types

TYPED = """
from dbfoundation import Pool
from pathlib import Path

database = Pool(Path(".env"))


@database.connection_context()
def double(number: int, *, twice: bool = False) -> str:
    return str(number)


reveal_type(double)
"""


def test_a_decorated_function_keeps_its_types(tmp_path):
    file = tmp_path / "typed.py"
    file.write_text(TYPED)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--strict",
            "--config-file",
            LIBRARY / "pyproject.toml",
            file,
        ],
        check=False,
        capture_output=True,
        text=True,
        cwd=LIBRARY,
        timeout=300,
    )
    assert re.search(r'is "def \(number: int, \*, twice: bool.*\) -> str"', done.stdout), done
    assert done.returncode == 0
