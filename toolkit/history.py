"""The tracking table: which migrations are applied, since when, and what their files said then.

It is peewee-migrate's own table with a column more, so that its command line reads our history, and
a table that peewee-migrate wrote is taken over: a row without a checksum is of unknown source, and
a time without a zone is taken as UTC. Reading writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from peewee import PostgresqlDatabase

TABLE = "migratehistory"

# Through JSON, so that a table which has no column `checksum` yet is read like any other.
READ = "SELECT name, migrated_at, to_jsonb(h)->>'checksum' FROM migratehistory h ORDER BY id"
ADD = "INSERT INTO migratehistory (name, migrated_at, checksum) VALUES (%s, now(), %s)"
REMOVE = "DELETE FROM migratehistory WHERE name = %s"
IS_OURS = """
SELECT to_regclass('migratehistory_one_name') IS NOT NULL AND EXISTS (
    SELECT FROM pg_attribute WHERE attrelid = to_regclass('migratehistory') AND attname = 'checksum'
)
"""
PREPARE = """
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
    """A row: a migration that is applied; `checksum` is None where it is unknown."""

    name: str
    applied_at: datetime
    checksum: str | None


class History:
    """The tracking table of one database."""

    def __init__(self, database: PostgresqlDatabase) -> None:
        self.database = database

    def records(self) -> list[Record]:
        """Every migration once, in the order of being applied; none where there is no table."""
        if self._value("SELECT to_regclass(%s)", TABLE) is None:
            return []
        records: dict[str, Record] = {}
        for name, at, checksum in self.database.execute_sql(READ).fetchall():
            records.setdefault(name, Record(name, _utc(at), checksum))
        return list(records.values())

    def prepare(self) -> None:
        """Create the table, or give our form to one that peewee-migrate made."""
        if not self._value(IS_OURS):
            with self.database.atomic():
                self.database.execute_sql(PREPARE)

    def add(self, name: str, checksum: str, end: str = "") -> None:
        """Record a migration as applied now; `end` is sent behind, in the same round trip."""
        self.database.execute_sql(f"{ADD}{end}", (name, checksum))

    def remove(self, name: str, end: str = "") -> None:
        """Record a migration as rolled back; `end` likewise."""
        self.database.execute_sql(f"{REMOVE}{end}", (name,))

    def accept(self, name: str, checksum: str) -> bool:
        """Record what an applied migration's file says now; False when it said so before."""
        cursor = self.database.execute_sql(
            "UPDATE migratehistory SET checksum = %s "
            "WHERE name = %s AND checksum IS DISTINCT FROM %s",
            (checksum, name, checksum),
        )
        return bool(cursor.rowcount)

    def _value(self, query: str, *values: str) -> Any:  # noqa: ANN401 # whatever is asked for
        return self.database.execute_sql(query, values).fetchone()[0]


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
