"""The session that has locked the history, named where the history cannot be read or written."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from peewee import OperationalError

from dbfoundation.errors import LockError
from dbfoundation.migrations.history import TABLE
from dbfoundation.migrations.other_session import SESSION_COLUMNS, OtherSession
from dbfoundation.runtime.server_errors import server_message, sqlstate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import PostgresqlDatabase

LOCK_NOT_AVAILABLE = "55P03"
HOLDER = f"""
SELECT {SESSION_COLUMNS} FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE granted AND pid <> pg_backend_pid()
AND relation IN (SELECT oid FROM pg_class WHERE relname = %s)
ORDER BY mode = 'AccessExclusiveLock' DESC, pid LIMIT 1
"""  # noqa: S608 # of constants


@contextmanager
def explain_locked_history(database: PostgresqlDatabase) -> Iterator[None]:
    """Replace the error about a lock that is not available by a LockError with its holder."""
    try:
        yield
    except OperationalError as error:
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        message = f"the history of migrations is locked: {server_message(error)}"
        if row := database.execute_sql(HOLDER, (TABLE,)).fetchone():
            holder = OtherSession(*row)
            message += (
                f", held by {holder.describe()}\n"
                f"Fix: let it finish, or end it by `{holder.termination}`"
            )
        raise LockError(message) from error
