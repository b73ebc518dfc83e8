"""The connections of a task: an engine, a scratch database, the models' pool.

Ctrl-C cancels the running statement of each of them.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from dbfoundation.errors import DatabaseError, MigrationFailedError
from dbfoundation.tasks.output import report
from dbfoundation.tasks.signals import cancel_on_signal, end_on_first_signal, ignore_signals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peewee import PostgresqlDatabase

    from dbfoundation.migrations.engine import Engine
    from dbfoundation.runtime.pool import Pool
    from dbfoundation.settings import Settings

IN_SCRATCH = "this happened in a scratch database, which is dropped"
ON_NEW_SERVER = "this happened on a new server, which has no role but those of the migrations"


@contextmanager
def open_engine(
    settings: Settings, migrations: Path, *, only_reads: bool = False
) -> Iterator[Engine]:
    """An engine on a connection of its own, outside of the pool.

    Raises ReadOnlyServerError on a read-only server, unless the caller `only_reads`.
    """
    from dbfoundation.migrations.engine import Engine
    from dbfoundation.runtime.connection import connected, dedicated, require_writable

    database = dedicated(settings, "migrate")
    with connected(database, settings), cancel_on_signal(database) as interrupted:
        if not only_reads:
            require_writable(database.connection(), settings)
        yield Engine(
            database,
            migrations,
            runner_timeout=settings.migrate_runner_timeout_seconds,
            table_lock_timeout=settings.migrate_table_lock_timeout_seconds,
            report=report,
            is_interrupted=interrupted.is_set,
        )


@contextmanager
def open_scratch(
    settings: Settings, migrations: Path
) -> Iterator[tuple[Settings, Engine, PostgresqlDatabase]]:
    """A new database beside the configured one: its settings, an engine, and a second connection.

    The database is dropped in any case.
    """
    from dbfoundation.runtime.connection import connected, dedicated
    from dbfoundation.server.databases import scratch_database

    with end_on_first_signal(), scratch_database(settings) as scratch:
        second = dedicated(scratch, "verify")
        try:
            with open_engine(scratch, migrations) as engine, connected(second, scratch):
                yield scratch, engine, second
        finally:
            ignore_signals()


@contextmanager
def explain_scratch_failure(note: str) -> Iterator[None]:
    """Add a line about the place to the error of a migration that fails in the block."""
    try:
        yield
    except MigrationFailedError as error:
        raise MigrationFailedError(f"{error}\n  {note}") from error.__cause__


@contextmanager
def open_private_server(settings: Settings) -> Iterator[Settings]:
    """The settings at a new server, for scratch databases alone; it is removed in any case.

    Raises ServerError where this machine can start none.
    """
    from dbfoundation.server.temporary import temporary_server

    with end_on_first_signal(), temporary_server(settings.url.user) as server:
        try:
            with explain_scratch_failure(ON_NEW_SERVER):
                yield replace(settings, url=server.url)
        finally:
            ignore_signals()


@contextmanager
def explain_lock_timeout(database: PostgresqlDatabase, settings: Settings) -> Iterator[None]:
    """Name the table and the session that the block has waited for, if the server gives up."""
    from peewee import OperationalError

    from dbfoundation.migrations.failure import LOCK_NOT_AVAILABLE
    from dbfoundation.migrations.lock_watcher import watch_lock
    from dbfoundation.runtime.server_errors import sqlstate

    seconds = settings.migrate_table_lock_timeout_seconds
    with watch_lock(database, seconds) as watcher:
        try:
            yield
        except OperationalError as error:
            if sqlstate(error) != LOCK_NOT_AVAILABLE:
                raise
            table = watcher.table or "an object"
            blocker = watcher.blocker.describe() if watcher.blocker else "another session"
            raise DatabaseError(
                f"{settings.url}: waited {seconds} s for the lock of {table}, held by {blocker}",
                "let that session finish, or raise MIGRATE_TABLE_LOCK_TIMEOUT.",
            ) from error


@contextmanager
def open_pool(pool: Pool, settings: Settings) -> Iterator[None]:
    """The pool with an open connection for changes; every connection is closed after the block.

    Raises ReadOnlyServerError on a read-only server.
    """
    from dbfoundation.runtime.connection import (
        connected,
        explain_missing_table,
        require_writable,
    )

    pool.configure(settings)
    try:
        with (
            connected(pool, settings),
            cancel_on_signal(pool),
            explain_missing_table(settings),
        ):
            require_writable(pool.connection(), settings)
            yield
    finally:
        pool.close_all()
