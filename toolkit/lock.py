"""One runner at a time in a database: a session's advisory lock, polled for.

Polled, since a session that waits inside pg_advisory_lock() counts as one that CREATE INDEX
CONCURRENTLY has to wait for, and the two deadlock. It is taken on the session that migrates, so
that it lives as long as that session's work; the server looks every two seconds whether the runner
is still there. A pooler in transaction mode hands a session's statements to many, and the lock
stays with one of them: `enter()` asks again inside a step's own transaction.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING

from peewee import DatabaseError, InterfaceError

from toolkit.errors import LockError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peewee import PostgresqlDatabase

POLL_SECONDS = 0.1
ORPHAN_CHECK = "2s"
LOST = (
    "the migrations' lock is not this session's any more: a pooler in transaction mode stands "
    "between, or the lock was given up. Set MIGRATION_DATABASE_URL to a direct connection"
)
ENTER = "SELECT pg_try_advisory_xact_lock(%s), set_config('lock_timeout', %s, true)"
HOLDER = """
SELECT pid = pg_backend_pid(), pid, application_name,
    to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (classid::bigint << 32 | objid::bigint) = %s
"""


class MigrationLock:
    """The lock of one database's tracking table."""

    def __init__(self, database: PostgresqlDatabase, table: str) -> None:
        self.database = database
        self.notices_orphans = False
        digest = hashlib.sha256(f"{database.database}/{table}".encode()).digest()
        self.key = int.from_bytes(digest[:8], signed=True)

    @contextmanager
    def hold(self, wait_seconds: float, report: Callable[[str], None]) -> Iterator[None]:
        """Hold the lock for the block; raises LockError when another has it for too long."""
        self._acquire(wait_seconds, report)
        try:
            yield
        finally:
            # What went wrong in the block is the news; a session that is gone has lost its lock.
            with suppress(DatabaseError, InterfaceError):
                self.database.execute_sql("SELECT pg_advisory_unlock(%s)", (self.key,))

    def enter(self, lock_timeout: float, begin: str = "") -> None:
        """Enter a step, `lock_timeout` seconds for other locks, with this one ours.

        Raises LockError when another session has it; no other can take it until the transaction
        ends. `begin` is sent before, in the same round trip, since every step pays for it.
        """
        if not self._value(f"{begin}{ENTER}", f"{lock_timeout * 1000:.0f}ms"):
            raise LockError(LOST)

    def check(self) -> None:
        """Raise LockError when the lock is not this session's; outside of a transaction too."""
        is_ours, *_ = self.database.execute_sql(HOLDER, (self.key,)).fetchone() or (False,)
        if not is_ours:
            raise LockError(LOST)

    def reset_session(self) -> None:
        """Take back what a file has set for its session, of which later ones know nothing."""
        self.database.execute_sql("RESET ROLE; RESET ALL")
        if self.notices_orphans:
            self._notice_orphans()

    def _acquire(self, wait_seconds: float, report: Callable[[str], None]) -> None:
        started = monotonic()
        told = False
        while not self._value("SELECT pg_try_advisory_lock(%s)"):
            if monotonic() - started > wait_seconds:
                raise LockError(
                    f"waited {wait_seconds:g} s for the migrations' lock, which {self._holder()} "
                    "has. Let it finish, or raise MIGRATE_LOCK_WAIT"
                )
            if not told:
                report(f"waiting for the migrations' lock, which {self._holder()} has")
                told = True
            sleep(POLL_SECONDS)
        with suppress(DatabaseError):  # not every server's platform can look
            self._notice_orphans()
            self.notices_orphans = True

    def _notice_orphans(self) -> None:
        """Let the server look whether this runner is still there, also amid a statement."""
        self.database.execute_sql(
            "SELECT set_config('client_connection_check_interval', %s, false)", (ORPHAN_CHECK,)
        )

    def _holder(self) -> str:
        row = self.database.execute_sql(HOLDER, (self.key,)).fetchone()
        if row is None:
            return "another session"
        _, pid, application, since = row
        return f"{application or 'a session'} (pid {pid}, connected since {since} UTC)"

    def _value(self, query: str, *more: str) -> object:
        return self.database.execute_sql(query, (self.key, *more)).fetchone()[0]
