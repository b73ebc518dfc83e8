"""The history: a table of the applied migrations, with the time and the checksums of each.

The table is peewee-migrate's own with two more columns, so that its command line reads our history.
A table that peewee-migrate wrote is adopted: a row without a checksum has an unknown source, and a
time without a zone counts as UTC. Reading writes nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from peewee import ProgrammingError

from dbfoundation.errors import AccessDeniedError
from dbfoundation.migrations.history_table import CREATE, find_table
from dbfoundation.runtime.server_errors import server_message, sqlstate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import PostgresqlDatabase

    from dbfoundation.migrations.history_table import Table

TABLE = "migratehistory"

# Through JSON, because peewee-migrate's table has no checksums.
READ = """
SELECT name, migrated_at, to_jsonb(h)->>'checksum', to_jsonb(h)->>'code_checksum'
FROM {table} h ORDER BY id
"""
# Each returns the number of its transaction, also without a row to remove.
ADD = """
INSERT INTO {table} (name, migrated_at, checksum, code_checksum) VALUES (%s, now(), %s, %s)
RETURNING pg_current_xact_id()::text
"""
REMOVE = """
WITH removed AS (DELETE FROM {table} WHERE name = %s) SELECT pg_current_xact_id()::text
"""
ACCEPT = """
UPDATE {table} SET name = %s, checksum = %s, code_checksum = %s
WHERE name = %s AND (name, checksum, code_checksum) IS DISTINCT FROM (%s, %s, %s)
"""
CONVERT = """
ALTER TABLE {table} ADD COLUMN IF NOT EXISTS checksum VARCHAR(64);
ALTER TABLE {table} ADD COLUMN IF NOT EXISTS code_checksum VARCHAR(64);
ALTER TABLE {table} ALTER COLUMN migrated_at TYPE TIMESTAMP WITH TIME ZONE;
DELETE FROM {table} newer USING {table} older WHERE newer.name = older.name AND newer.id > older.id;
CREATE UNIQUE INDEX IF NOT EXISTS migratehistory_one_name ON {table} (name);
"""
INSUFFICIENT_PRIVILEGE = "42501"


@dataclass(frozen=True)
class Record:
    """An applied migration; a checksum is None where it is unknown.

    `checksum` is that of the source, `code_checksum` that of what Python reads in it.
    """

    name: str
    applied_at: datetime
    checksum: str | None
    code_checksum: str | None


class History:
    """The history of one database.

    Its table is found by records() and ensure_table(); the other methods use the same one, whatever
    a migration does to the search_path.
    """

    def __init__(self, database: PostgresqlDatabase) -> None:
        self.database = database
        self.table: Table | None = None

    def records(self) -> list[Record]:
        """Every applied migration once, in the order of applying; none where there is no table.

        Raises DatabaseError for more than one history, and for one that cannot be read.
        """
        self.table = find_table(self.database)
        if not self.table.is_history:
            return []
        with _explain_denial("read", f"GRANT SELECT ON {self.table.name} TO this user"):
            rows = self._execute(READ).fetchall()
        records: dict[str, Record] = {}
        for name, at, *checksums in rows:
            records.setdefault(name, Record(name, _utc(at), *checksums))
        return list(records.values())

    def ensure_table(self) -> str | None:
        """Create the table, or convert an older one.

        Returns a line about a history that peewee-migrate wrote. Raises as records() does.
        """
        self.table = table = find_table(self.database)
        if table.is_converted:
            return None
        fix = f"GRANT CREATE, USAGE ON SCHEMA {table.schema} TO this user"
        if table.is_history:
            fix = f"run it once as the owner of {table.name}, who can add its columns"
        with _explain_denial("written", fix), self.database.atomic():
            if not table.is_history:
                self._execute(CREATE)
            self._execute(CONVERT)
        return self._describe_takeover(table)

    def add(self, name: str, checksum: str, code_checksum: str | None) -> str:
        """Record a migration as applied now; returns the number of the transaction."""
        return str(self._execute(ADD, name, checksum, code_checksum).fetchone()[0])

    def remove(self, name: str) -> str:
        """Record a migration as rolled back; returns the number of the transaction."""
        return str(self._execute(REMOVE, name).fetchone()[0])

    def accept(self, recorded: str, name: str, checksum: str, code_checksum: str | None) -> bool:
        """Record another name and other checksums of a migration; False when they are the same."""
        new = (name, checksum, code_checksum)
        return bool(self._execute(ACCEPT, *new, recorded, *new).rowcount)

    def _describe_takeover(self, table: Table) -> str | None:
        if not table.is_history or table.has_checksums:
            return None
        [count] = self._execute("SELECT count(*) FROM {table}").fetchone()
        if not count:
            return None
        zone = "" if table.has_zone else "its times have no zone, and count as UTC; "
        return (
            f"{table.name} is a history of peewee-migrate: {zone}"
            f"migrations without a checksum, whose edits nobody sees: {count}. "
            "`invoke migrate-accept --all` records the files as they are"
        )

    def _execute(self, statement: str, *values: str | None) -> Any:  # noqa: ANN401 # a cursor
        assert self.table is not None  # noqa: S101 # records() or ensure_table() comes first
        name = self.table.name.replace("%", "%%")
        return self.database.execute_sql(statement.format(table=name), values)


@contextmanager
def _explain_denial(verb: str, fix: str) -> Iterator[None]:
    """Replace the server's error about a missing privilege by an AccessDeniedError with a fix."""
    try:
        yield
    except ProgrammingError as error:
        if sqlstate(error) != INSUFFICIENT_PRIVILEGE:
            raise
        reason = f"the history of migrations cannot be {verb}: {server_message(error)}"
        raise AccessDeniedError(reason, f"{fix}.") from error


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
