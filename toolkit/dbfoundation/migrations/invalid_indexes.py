"""INVALID indexes: a failed CREATE INDEX CONCURRENTLY leaves one, which no query uses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from peewee import PostgresqlDatabase

# Except those of partitioned tables, which are invalid until every partition has one, and those
# that another session is building.
INVALID_INDEXES = """
SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE NOT indisvalid AND relkind = 'i' AND NOT EXISTS (
    SELECT FROM pg_stat_progress_create_index
    WHERE index_relid = indexrelid AND pid <> pg_backend_pid()
)
"""


def find_invalid_indexes(database: PostgresqlDatabase) -> set[str]:
    """The names of the invalid indexes, with a schema where the search_path requires it."""
    return {name for (name,) in database.execute_sql(INVALID_INDEXES).fetchall()}


def find_new_invalid_indexes(
    database: PostgresqlDatabase, before: Collection[str], named: Collection[str]
) -> list[str]:
    """The invalid indexes, except those of `before` that are not in `named` by the statements.

    `CREATE INDEX CONCURRENTLY IF NOT EXISTS` succeeds on an invalid index of an earlier try.
    """
    return sorted(find_invalid_indexes(database) - (set(before) - set(named)))


def is_named(index: str, sql: str) -> bool:
    """Whether the SQL has the name of the index."""
    name = re.escape(index.rpartition(".")[2].strip('"'))
    return re.search(rf"(?<!\w){name}(?!\w)", sql) is not None
