"""The history: a table of the applied migrations, with the time and the checksum of each.

The table is peewee-migrate's own with one more column, so that its command line reads our history.
A table that peewee-migrate wrote is adopted: a row without a checksum has an unknown source, and a
time without a zone counts as UTC. Reading writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peewee import PostgresqlDatabase

TABLE = "migratehistory"

# Through JSON, because peewee-migrate's table has no column `checksum`.
READ = "SELECT name, migrated_at, to_jsonb(h)->>'checksum' FROM migratehistory h ORDER BY id"
# Each returns the number of its transaction, also without a row to remove.
ADD = """
INSERT INTO migratehistory (name, migrated_at, checksum) VALUES (%s, now(), %s)
RETURNING pg_current_xact_id()::text
"""
REMOVE = """
WITH removed AS (DELETE FROM migratehistory WHERE name = %s) SELECT pg_current_xact_id()::text
"""
IS_OURS = """
SELECT to_regclass('migratehistory_one_name') IS NOT NULL AND EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = to_regclass('migratehistory') AND attname = 'checksum'
)
"""
ENSURE_TABLE = """
CREATE TABLE IF NOT EXISTS migratehistory (
    id SERIAL PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    migrated_at TIMESTAMP WITH TIME ZONE NOT NULL
);
ALTER TABLE migratehistory ADD COLUMN IF NOT EXISTS checksum VARCHAR(64);
ALTER TABLE migratehistory ALTER COLUMN migrated_at TYPE TIMESTAMP WITH TIME ZONE;
DELETE FROM migratehistory newer USING migratehistory older
    WHERE newer.name = older.name AND newer.id > older.id;
CREATE UNIQUE INDEX IF NOT EXISTS migratehistory_one_name ON migratehistory (name);
"""


@dataclass(frozen=True)
class Record:
    """An applied migration; `checksum` is None where it is unknown."""

    name: str
    applied_at: datetime
    checksum: str | None


class History:
    """The history of one database."""

    def __init__(self, database: PostgresqlDatabase) -> None:
        self.database = database

    def records(self) -> list[Record]:
        """Every applied migration once, in the order of applying; none where there is no table."""
        if self._value("SELECT to_regclass(%s)", TABLE) is None:
            return []
        records: dict[str, Record] = {}
        for name, at, checksum in self.database.execute_sql(READ).fetchall():
            records.setdefault(name, Record(name, _utc(at), checksum))
        return list(records.values())

    def ensure_table(self) -> None:
        """Create the table, or convert the one that peewee-migrate created."""
        if not self._value(IS_OURS):
            with self.database.atomic():
                self.database.execute_sql(ENSURE_TABLE)

    def add(self, name: str, checksum: str) -> str:
        """Record a migration as applied now; returns the number of the transaction."""
        return str(self._value(ADD, name, checksum))

    def remove(self, name: str) -> str:
        """Record a migration as rolled back; returns the number of the transaction."""
        return str(self._value(REMOVE, name))

    def accept(self, name: str, checksum: str) -> bool:
        """Record a new checksum of an applied migration; False when it is the recorded one."""
        cursor = self.database.execute_sql(
            "UPDATE migratehistory SET checksum = %s "
            "WHERE name = %s AND checksum IS DISTINCT FROM %s",
            (checksum, name, checksum),
        )
        return bool(cursor.rowcount)

    def _value(self, query: str, *values: str) -> Any:  # noqa: ANN401 # any column
        return self.database.execute_sql(query, values).fetchone()[0]


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
