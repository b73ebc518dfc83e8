"""The project's pool during a test run: at the test's database, or closed to every test.

Between two fixtures, the pool refuses to connect: its settings may be those of a developer's
database, in which a test that has no fixture would leave its rows.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NoReturn
from unittest.mock import patch

from dbfoundation.errors import FixtureError, PoolTimeoutError
from dbfoundation.runtime.pool import Pool
from dbfoundation.settings import Settings
from dbfoundation.url import DatabaseURL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dbfoundation.testing.kept import KeptConnections
    from dbfoundation.testing.rolled_back import OneConnection

NOWHERE = Settings(url=DatabaseURL(host="", name="no fixture", user=""), app_env="test")


def find_pool(name: str) -> Pool:
    """The pool that pytest's options name; raises FixtureError."""
    try:
        pool = resolve_name(name)
    except Exception as error:
        raise FixtureError(
            f"dbfoundation_database: {name} cannot be imported: {type(error).__name__}: {error}",
            "correct the name, such as models:database; a module of the project's folder needs "
            '`pythonpath = ["."]` in pytest\'s options.',
        ) from error
    if not isinstance(pool, Pool):
        raise FixtureError(
            f"dbfoundation_database: {name} is no dbfoundation.Pool, but {type(pool).__name__}",
            "name the pool that the models are bound to, such as models:database.",
        )
    return pool


def refuse(pool: Pool) -> None:
    """Let the pool open no connection until a fixture configures it."""
    _configure(pool, NOWHERE, _no_fixture)


@contextmanager
def committing(pool: Pool, settings: Settings, kept: KeptConnections) -> Iterator[None]:
    """Let the pool use the database, for the block."""
    _configure(pool, settings, kept.open)
    try:
        yield
    finally:
        refuse(pool)


@contextmanager
def on_one_connection(pool: Pool, settings: Settings, one: OneConnection) -> Iterator[None]:
    """Let the pool use this one connection, for the block."""

    def connect(reuse_if_open: bool = False) -> bool:  # noqa: FBT001, FBT002 # Peewee's
        try:
            return type(pool).connect(pool, reuse_if_open)
        except PoolTimeoutError as error:
            raise FixtureError(
                "a test that takes `db` has one connection, and another thread kept it for "
                f"{settings.pool_wait_seconds} s",
                "leave the connection_context() of one thread before another one needs it; or let "
                "the test take `committing_db`.",
            ) from error

    _configure(pool, replace(settings, pool_max_connections=1), one.open)
    try:
        with patch.object(pool, "connect", connect):
            yield
    finally:
        refuse(pool)


def _configure(pool: Pool, settings: Settings, factory: Callable[..., Any]) -> None:
    while pool.in_transaction():  # of a test that has failed between its begin and its end
        pool.pop_transaction()
    pool.configure(settings)
    pool.connect_params["connection_factory"] = factory


def _no_fixture(*_: object) -> NoReturn:
    raise FixtureError(
        "a test uses the database without a fixture",
        "let the test, or its module, take `db` or `committing_db`.",
    )
