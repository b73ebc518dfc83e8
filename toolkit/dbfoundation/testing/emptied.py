"""A migrated database that is emptied after each test which commits.

The tables that the test has written are truncated, and their numbering starts again. A new copy of
the template replaces the database where that is not enough: after a change of the schema, or of a
table that has rows of the migrations, and where another session keeps a lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import sql

from dbfoundation.testing.template import replace_by_copy

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    from dbfoundation.settings import Settings

# A table without a page was never written since it was created or truncated.
TABLES = """
SELECT oid::regclass::text, pg_relation_size(oid) > 0
FROM pg_class WHERE relkind = 'r' AND relpersistence <> 't'
AND relnamespace::regnamespace::text !~ '^(pg_|information_schema$)'
"""
# The written tables, and those that refer to them, which have to be truncated with them.
WRITTEN = """
WITH RECURSIVE written AS (
    SELECT oid FROM unnest(%s::regclass[]) oid WHERE pg_relation_size(oid) > 0
    UNION SELECT conrelid FROM pg_constraint c JOIN written w ON c.confrelid = w.oid
        WHERE contype = 'f'
)
SELECT oid::regclass::text, relkind::text FROM written JOIN pg_class USING (oid)
"""
# The number of the first transaction after the migrations.
NEXT_TRANSACTION = "SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text"
COUNT = "SELECT count(*), count(*) FILTER (WHERE age(xmin) <= age({}::xid)) FROM {}"
# Each object and each column of the schema has a row in one of these.
CATALOGS = ("pg_catalog.pg_attribute", "pg_catalog.pg_depend")
LOCK_TIMEOUT = "SET lock_timeout = '500ms'"


class EmptiedDatabase:
    """The database at `settings`, which is a new copy of the template."""

    def __init__(self, settings: Settings, template: Settings) -> None:
        self.settings = settings
        self.template = template
        self.session = self._connect()
        tables = self._fetch(TABLES)
        self.empty = [name for name, is_filled in tables if not is_filled]
        self.filled = {name for name, is_filled in tables if is_filled}
        [[first]] = self._fetch(NEXT_TRANSACTION)
        self.count = sql.SQL(" UNION ALL ").join(
            sql.SQL(COUNT).format(sql.Literal(first), sql.SQL(name))
            for name in (*CATALOGS, *sorted(self.filled))
        )
        self.counts = self._fetch(self.count)

    def restore(self) -> None:
        """Make the database as the migrations have left it."""
        try:
            is_restored = self._fetch(self.count) == self.counts and self._truncate()
        except psycopg2.Error:  # a lock; a table that is gone; a test that ended this session
            is_restored = False
        if not is_restored:
            self.close()
            replace_by_copy(self.settings, self.template)
            self.session = self._connect()

    def close(self) -> None:
        self.session.close()

    def _truncate(self) -> bool:
        """Empty the written tables; False where rows of the migrations would go, too."""
        written = dict(self._fetch(WRITTEN, self.empty))
        if self.filled & written.keys():
            return False
        if written:
            # ONLY: a table that inherits from a written one may have rows of the migrations.
            names = (f"{'ONLY ' * (kind == 'r')}{name}" for name, kind in written.items())
            self._fetch(f"TRUNCATE {', '.join(names)} RESTART IDENTITY")
        return True

    def _fetch(self, query: str | sql.Composable, *values: object) -> list[tuple[Any, ...]]:
        with self.session.cursor() as cursor:
            cursor.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def _connect(self) -> connection:
        session: connection = psycopg2.connect(**self.settings.connect_kwargs())
        session.autocommit = True
        with session.cursor() as cursor:
            cursor.execute(LOCK_TIMEOUT)
        return session
