"""One runner at a time in a database: an advisory lock of the session, acquired by polling.

CREATE INDEX CONCURRENTLY waits for every session that is in a statement, so it would deadlock with
a session that waits inside pg_advisory_lock(). The session that migrates holds the lock, which
therefore lives as long as the work; the server checks every two seconds that the runner's
connection is alive. A pooler in transaction mode spreads a session's statements over several server
processes, and the lock stays with one of them, so `begin_step()` checks inside each step's own
transaction.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING

from peewee import DatabaseError, InterfaceError

from dbfoundation.errors import LockError
from dbfoundation.migrations.other_session import SESSION_COLUMNS, OtherSession
from dbfoundation.migrations.transaction import SAVEPOINT, SERVER_START, STEP_BEGINS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from peewee import PostgresqlDatabase

POLL_SECONDS = 0.1
CONNECTION_CHECK = "2s"
LOST = (
    "this session has lost the migrations' lock: a pooler in transaction mode is in between, or "
    "the lock was released.\nFix: set MIGRATION_DATABASE_URL to a direct connection"
)
# One round trip: each step of a migration pays for it.
BEGIN_STEP = f"""
{STEP_BEGINS} SAVEPOINT {SAVEPOINT};
SELECT pg_try_advisory_xact_lock(%s), set_config('lock_timeout', %s, true),
    pg_current_xact_id()::text, {SERVER_START}
"""
HOLDER = f"""
SELECT pid = pg_backend_pid(), {SESSION_COLUMNS}
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (classid::bigint << 32 | objid::bigint) = %s
"""  # noqa: S608 # of constants


class MigrationLock:
    """The lock of one database's history."""

    def __init__(self, database: PostgresqlDatabase, table: str) -> None:
        self.database = database
        self._checks_connection = False
        digest = hashlib.sha256(f"{database.database}/{table}".encode()).digest()
        self.key = int.from_bytes(digest[:8], signed=True)

    @contextmanager
    def hold(self, timeout: float, report: Callable[[str], None]) -> Iterator[None]:
        """Hold the lock for the block, after waiting at most `timeout` seconds for another runner.

        `report` receives a line when it has to wait. Raises LockError after the timeout.
        """
        self._acquire(timeout, report)
        try:
            yield
        except BaseException:
            with suppress(KeyboardInterrupt):  # the block's own error is raised
                self._release()
            raise
        self._release()

    def _release(self) -> None:
        """Release the lock; a session that has ended has released it already."""
        with suppress(DatabaseError, InterfaceError):
            self.database.execute_sql("SELECT pg_advisory_unlock(%s)", (self.key,))

    def begin_step(self, table_lock_timeout: float) -> tuple[str, str]:
        """Set the savepoint of a step in its transaction.

        Returns the transaction's number, and the server's start.

        Asserts that no other session has the lock, or can take it until the transaction ends, and
        sets its lock_timeout to `table_lock_timeout` seconds. Raises LockError.
        """
        timeout = f"{table_lock_timeout * 1000:.0f}ms"
        cursor = self.database.execute_sql(BEGIN_STEP, (self.key, timeout))
        is_held, _, transaction, server_start = cursor.fetchone()
        if not is_held:
            raise LockError(LOST)
        return str(transaction), str(server_start)

    def assert_held_by_session(self) -> None:
        """Raise LockError unless this session has the lock; for work outside of a transaction."""
        is_ours, *_ = self.database.execute_sql(HOLDER, (self.key,)).fetchone() or (False,)
        if not is_ours:
            raise LockError(LOST)

    def reset_session(self) -> None:
        """Reset the settings that a file changed for its session."""
        self.database.execute_sql("RESET ROLE; RESET ALL")
        if self._checks_connection:
            self._check_connection()

    def _acquire(self, timeout: float, report: Callable[[str], None]) -> None:
        started = monotonic()
        is_reported = False
        while not self._value("SELECT pg_try_advisory_lock(%s)"):
            if monotonic() - started > timeout:
                raise LockError(self._describe_wait(timeout))
            if not is_reported:
                holder = self._holder()
                report(
                    "waiting for the migrations' lock, held by "
                    f"{holder.describe() if holder else 'another session'}"
                )
                is_reported = True
            sleep(POLL_SECONDS)
        with suppress(DatabaseError):  # some platforms' servers cannot check
            self._check_connection()
            self._checks_connection = True

    def _check_connection(self) -> None:
        """Let the server check that this runner is alive, even during a statement."""
        self.database.execute_sql(
            "SELECT set_config('client_connection_check_interval', %s, false)", (CONNECTION_CHECK,)
        )

    def _describe_wait(self, timeout: float) -> str:
        waited = f"waited {timeout:g} s for the migrations' lock"
        fix = "Fix: let that runner finish, or raise MIGRATE_RUNNER_TIMEOUT"
        holder = self._holder()
        if holder is None:
            return f"{waited}, held by another session.\n{fix}"
        return (
            f"{waited}, held by {holder.describe()}.\n{fix}. If that runner is stopped, or its "
            f"machine is gone: `{holder.termination}`"
        )

    def _holder(self) -> OtherSession | None:
        row = self.database.execute_sql(HOLDER, (self.key,)).fetchone()
        return OtherSession(*row[1:]) if row else None

    def _value(self, query: str, *more: str) -> object:
        return self.database.execute_sql(query, (self.key, *more)).fetchone()[0]
