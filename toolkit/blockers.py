"""Who stands in the way of a session that waits for a lock: looked up from beside it."""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

import psycopg2

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import PostgresqlDatabase

POLL_SECONDS = 0.1
BLOCKERS = """
SELECT pid, application_name, state, left(regexp_replace(query, '\\s+', ' ', 'g'), 200)
FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids(%s)) ORDER BY pid LIMIT 1
"""


class Watch:
    """Watches one session; `blocker` tells of the last one that blocked it."""

    def __init__(self, database: PostgresqlDatabase) -> None:
        self.pid = database.connection().info.backend_pid
        self.parameters = database.connect_params
        self.blocker: str | None = None
        self.ended = Event()

    def look(self, patience_seconds: float) -> None:
        """Look until the watch ends; what is over before the patience costs no connection."""
        if self.ended.wait(patience_seconds):
            return
        with suppress(psycopg2.Error), closing(psycopg2.connect(**self.parameters)) as session:
            session.autocommit = True
            with session.cursor() as cursor:
                while True:
                    cursor.execute(BLOCKERS, (self.pid,))
                    if row := cursor.fetchone():
                        pid, name, state, query = row
                        self.blocker = f"{name or 'a session'} (pid {pid}, {state}): {query}"
                    if self.ended.wait(POLL_SECONDS):
                        return


@contextmanager
def watched(database: PostgresqlDatabase, lock_timeout: float) -> Iterator[Watch]:
    """Watch the database's session for the block, in case it waits for a lock."""
    watch = Watch(database)
    thread = Thread(target=watch.look, args=(lock_timeout / 2,), daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.ended.set()
        thread.join()
