"""The same operations on sessions, with each pool that a Python program may choose."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import local
from typing import TYPE_CHECKING, Any, cast

import psycopg2
from peewee import fn
from playhouse.pool import PooledPostgresqlDatabase
from psycopg2.pool import ThreadedConnectionPool

from benchmarks.load import CHECK_OUT, DATA
from benchmarks.results import BenchError
from dbfoundation import SessionStore
from dbfoundation.runtime.coroutines import current_task
from dbfoundation.runtime.pooled_connection import PooledConnection
from dbfoundation.runtime.sessions import DAY_SECONDS, Statements
from dbfoundation.settings import Settings
from models import Session, database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from psycopg2.extensions import connection

    from benchmarks.load import Operations

SIZE = Settings.pool_max_connections
STATEMENTS = Statements("sessions", "sess, expire")


def ours() -> Operations:
    """The pool and the session store of this library."""
    store = SessionStore(Session)

    def check_out(_: str) -> object:
        with database.connection_context(), database.cursor() as cursor:
            cursor.execute("SELECT 1")
            return cursor.fetchone()

    return {
        "get": store.get,
        "set": lambda sid: store.set(sid, DATA),
        "touch": store.touch,
        CHECK_OUT: check_out,
    }


def stock(settings: Settings) -> Operations:
    """Peewee's pool, with Peewee's queries."""
    pool = PooledPostgresqlDatabase(
        settings.url.name, max_connections=SIZE, timeout=5, **settings.connect_kwargs()
    )
    live = Session.expire >= fn.timezone("UTC", fn.statement_timestamp())

    def tomorrow() -> datetime:
        return datetime.now(UTC).replace(tzinfo=None) + timedelta(days=1)

    def read(sid: str) -> object:
        rows = list(Session.select(Session.sess).where(Session.sid == sid, live).execute(pool))
        return rows[0].sess

    def upsert(sid: str) -> None:
        insert = Session.insert(sid=sid, sess=DATA, expire=tomorrow())
        insert.on_conflict(
            conflict_target=[Session.sid], preserve=[Session.sess, Session.expire]
        ).execute(pool)

    operations: Operations = {
        "get": read,
        "set": upsert,
        "touch": lambda sid: (
            Session.update(expire=tomorrow()).where(Session.sid == sid, live).execute(pool)
        ),
        CHECK_OUT: lambda _: pool.execute_sql("SELECT 1").fetchone(),
    }
    return {case: pool.connection_context()(operation) for case, operation in operations.items()}


def threaded(settings: Settings) -> Operations:
    """psycopg2's pool in autocommit, with this library's SQL."""
    pool = _threaded_pool(settings)

    @contextmanager
    def check_out() -> Iterator[connection]:
        session = pool.getconn()
        try:
            yield session
        finally:
            pool.putconn(session)

    return _operations(check_out)


def checked(settings: Settings) -> Operations:
    """The same pool with the checks of this library's: alive, as it began, and of one coroutine."""
    pool = _threaded_pool(settings)

    @contextmanager
    def check_out() -> Iterator[connection]:
        session, task = cast("PooledConnection", pool.getconn()), current_task()
        if session.has_ended():
            raise BenchError("a connection has ended")
        try:
            yield session
        finally:
            if current_task() is not task:
                raise BenchError("another coroutine runs")
            pool.putconn(session, close=not session.is_reusable())

    return _operations(check_out)


def kept_open(settings: Settings) -> Operations:
    """psycopg2 without a pool: each thread keeps a connection, with this library's SQL."""
    thread = local()

    @contextmanager
    def check_out() -> Iterator[connection]:
        if not hasattr(thread, "connection"):
            thread.connection = psycopg2.connect(**settings.connect_kwargs())
            thread.connection.autocommit = True
        yield thread.connection

    return _operations(check_out)


def _threaded_pool(settings: Settings) -> ThreadedConnectionPool:
    kwargs = settings.connect_kwargs() | {"connection_factory": PooledConnection}
    pool = ThreadedConnectionPool(SIZE, SIZE, **kwargs)
    for session in [pool.getconn() for _ in range(SIZE)]:
        session.autocommit = True
        pool.putconn(session)
    return pool


def _operations(check_out: Callable[[], AbstractContextManager[connection]]) -> Operations:
    """The SQL of this library, sent with psycopg2's cursors."""

    def execute(statement: str, *values: object) -> list[tuple[Any, ...]]:
        with check_out() as session, session.cursor() as cursor:
            cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    return {
        "get": lambda sid: json.loads(execute(STATEMENTS.get, sid)[0][0]),
        "set": lambda sid: execute(STATEMENTS.set, sid, json.dumps(DATA), DAY_SECONDS),
        "touch": lambda sid: execute(STATEMENTS.touch, DAY_SECONDS, sid),
        CHECK_OUT: lambda _: execute("SELECT 1")[0],
    }
