"""Deferred constraints in a dry run: checked at the end of each step, as its COMMIT does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peewee import PostgresqlDatabase

# By name, because SET CONSTRAINTS ALL would also decide on those that a later step creates.
DEFERRABLE = """
SELECT string_agg(DISTINCT name, ', '), string_agg(DISTINCT name, ', ') FILTER (WHERE condeferred)
FROM pg_constraint, concat(connamespace::regnamespace, '.', quote_ident(conname)) AS name
WHERE condeferrable AND NOT pg_is_other_temp_schema(connamespace)
AND has_schema_privilege(connamespace, 'USAGE')
"""


def check_deferred(database: PostgresqlDatabase) -> None:
    """Check the deferrable constraints and run their triggers, and defer them again.

    A later step may change the tables: ALTER TABLE refuses those with pending trigger events.
    """
    [(every, deferred)] = database.execute_sql(DEFERRABLE).fetchall()
    if every:
        database.execute_sql(f"SET CONSTRAINTS {every} IMMEDIATE")
    if deferred:
        database.execute_sql(f"SET CONSTRAINTS {deferred} DEFERRED")
