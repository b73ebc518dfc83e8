"""The locks that a transaction has on the tables of the database, and that block others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peewee import PostgresqlDatabase

TABLES = "SELECT oid, oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p', 'm')"
# From the strongest: it blocks the most.
BLOCKING = {
    "AccessExclusiveLock": "ACCESS EXCLUSIVE",
    "ExclusiveLock": "EXCLUSIVE",
    "ShareRowExclusiveLock": "SHARE ROW EXCLUSIVE",
    "ShareLock": "SHARE",
}
HELD = """
SELECT relation, mode FROM pg_locks
WHERE pid = pg_backend_pid() AND granted AND relation = ANY(%s) AND mode = ANY(%s)
"""


class HeldLocks:
    """The locks of the database's session on tables that exist before any of its steps.

    A table that a step creates is nobody else's, and one that it drops has no name any more.
    """

    def __init__(self, database: PostgresqlDatabase) -> None:
        self.database = database
        self.names = dict(database.execute_sql(TABLES).fetchall())
        self.known = self._held()

    def new(self) -> tuple[str, ...]:
        """The tables whose strongest lock is new since the last call, by name, with the lock."""
        held, before = self._held(), self.known
        self.known = held
        return tuple(
            f"{name} ({mode})" for name, mode in sorted(held.items()) if before.get(name) != mode
        )

    def _held(self) -> dict[str, str]:
        rows = self.database.execute_sql(HELD, (list(self.names), list(BLOCKING))).fetchall()
        order = list(BLOCKING)
        weakest_first = sorted(rows, key=lambda row: order.index(row[1]), reverse=True)
        return {self.names[relation]: BLOCKING[mode] for relation, mode in weakest_first}
