"""The database: one pool for the process, deferred until its first connection.

`database` is what the models are bound to. Importing it reads no environment and connects to
nothing; its first `connect()` configures it from the settings, unless `configure()` came before.

The pool hands out a connection a thread. An idle connection that the server has closed, by a
restart for example, is noticed at check-out and replaced. When all are in use, `connect()` waits
for DB_POOL_WAIT_TIMEOUT seconds and then raises playhouse.pool.MaxConnectionsExceeded.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from peewee import OperationalError, PostgresqlDatabase, ProgrammingError
from playhouse.pool import PooledPostgresqlDatabase

from toolkit.errors import NoTableError, connection_error
from toolkit.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

from psycopg2.errors import UndefinedTable


class DeferredPool(PooledPostgresqlDatabase):  # type: ignore[misc] # playhouse has no types
    """A pool that configures itself from the settings when it is first used."""

    def connect(self, reuse_if_open: bool = False) -> bool:  # noqa: FBT001, FBT002 # peewee's
        with self._pool_lock:
            if self.deferred:
                configure(Settings.load())
        return bool(super().connect(reuse_if_open))


database = DeferredPool(None)


def configure(settings: Settings) -> None:
    """Point the pool at the settings' database, leaving what it had; nothing is connected yet."""
    if not database.deferred:
        database.close_all()
    database.connect_params.clear()  # Peewee's init() adds to what was there
    database.init(
        settings.url.name,
        max_connections=settings.pool_max_connections,
        stale_timeout=settings.pool_stale_seconds,
        timeout=settings.pool_wait_seconds,
        **settings.libpq(),
    )


def dedicated(settings: Settings, purpose: str) -> PostgresqlDatabase:
    """One connection outside the pool, named `application/purpose` in pg_stat_activity."""
    name = f"{settings.application_name}/{purpose}"
    return PostgresqlDatabase(settings.url.name, **settings.libpq(application_name=name))


@contextmanager
def connected(db: PostgresqlDatabase, settings: Settings) -> Iterator[None]:
    """Keep a connection open for the block; raises a DatabaseError that says why it cannot."""
    try:
        db.connect()
    except OperationalError as error:
        raise connection_error(str(error), settings.url) from error
    try:
        yield
    finally:
        db.close()


@contextmanager
def explained(settings: Settings) -> Iterator[None]:
    """Turn a missing table into a NoTableError with the way out."""
    try:
        yield
    except ProgrammingError as error:
        cause = getattr(error, "orig", None)  # the driver's error, which Peewee's types leave out
        if not isinstance(cause, UndefinedTable):
            raise
        reason = cause.diag.message_primary
        raise NoTableError(
            f"{settings.url}: {reason}", "`invoke migrate-up` creates it."
        ) from error
