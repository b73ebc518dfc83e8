"""The tracking table: which migrations are applied, and since when.

It is peewee-migrate's own table, so that its command line reads our history; where it is ours to
create, `migrated_at` has a time zone and a name stands once. Reading creates nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from peewee import AutoField, CharField, Model
from playhouse.postgres_ext import DateTimeTZField

if TYPE_CHECKING:
    from peewee import PostgresqlDatabase

TABLE = "migratehistory"


@dataclass(frozen=True)
class Record:
    """A row: a migration that is applied."""

    name: str
    applied_at: datetime


class History:
    """The tracking table of one database; `model` is the Peewee model of its rows."""

    def __init__(self, database: PostgresqlDatabase) -> None:
        self.database = database

        class MigrateHistory(Model):
            id = AutoField()
            name = CharField(unique=True)
            migrated_at = DateTimeTZField(default=lambda: datetime.now(UTC))

            class Meta:
                table_name = TABLE

        self.model = MigrateHistory
        self.model.bind(database)

    def records(self) -> list[Record]:
        """Every row, in the order of being applied; none where there is no table."""
        if not self._exists():
            return []
        rows = self.model.select().order_by(self.model.id)
        return [Record(row.name, row.migrated_at) for row in rows]

    def _exists(self) -> bool:
        # Peewee's table_exists() looks in the schema public alone.
        row = self.database.execute_sql("SELECT to_regclass(%s)", (TABLE,)).fetchone()
        return row[0] is not None

    def create_table(self) -> None:
        """Create the table where there is none."""
        self.model.create_table(safe=True)
