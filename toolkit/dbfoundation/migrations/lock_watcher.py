"""The session that blocks another one: looked up on a second connection while that waits."""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

import psycopg2

from dbfoundation.migrations.other_session import SESSION_COLUMNS, OtherSession

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import PostgresqlDatabase

POLL_SECONDS = 0.1
BLOCKERS = f"""
SELECT {SESSION_COLUMNS}
FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids(%s)) ORDER BY pid LIMIT 1
"""  # noqa: S608 # of constants
WAITED_FOR = """
SELECT relation::regclass::text FROM pg_locks
WHERE pid = %s AND NOT granted AND relation IS NOT NULL
"""


class LockWatcher:
    """Watches one session; `blocker` is the last session that blocked it.

    `table` is the table, view or index whose lock it waited for last, if it was one.
    """

    def __init__(self, database: PostgresqlDatabase) -> None:
        self.pid = database.connection().info.backend_pid
        self.parameters = {"dbname": database.database, **database.connect_params}
        self.blocker: OtherSession | None = None
        self.table: str | None = None
        self.ended = Event()

    def run(self, delay: float) -> None:
        """Look until the end; connects after `delay` seconds, which most statements do not take."""
        if self.ended.wait(delay):
            return
        with suppress(psycopg2.Error), closing(psycopg2.connect(**self.parameters)) as session:
            session.autocommit = True
            with session.cursor() as cursor:
                while True:
                    cursor.execute(BLOCKERS, (self.pid,))
                    if row := cursor.fetchone():
                        self.blocker = OtherSession(*row)
                    cursor.execute(WAITED_FOR, (self.pid,))
                    if row := cursor.fetchone():
                        (self.table,) = row
                    if self.ended.wait(POLL_SECONDS):
                        return


@contextmanager
def watch_lock(database: PostgresqlDatabase, lock_timeout: float) -> Iterator[LockWatcher]:
    """Watch the database's session for the block; `lock_timeout` is its own, in seconds."""
    watcher = LockWatcher(database)
    thread = Thread(target=watcher.run, args=(lock_timeout / 2,), daemon=True)
    thread.start()
    try:
        yield watcher
    finally:
        watcher.ended.set()
        thread.join()
