"""A field as the server makes it: its type, collation, default, NOT NULL and checks.

The server creates it in a temporary table that is undone, and so prints it in its own words, which
can be compared with a column of the catalog.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peewee import SQL, Entity, NodeList
from psycopg2.extensions import quote_ident

from dbfoundation.migrations.defaults import server_default
from dbfoundation.migrations.live_table import LiveTable, scratch

if TYPE_CHECKING:
    from peewee import Field, PostgresqlDatabase

    from dbfoundation.migrations.live_table import Column, Constraint

NAME = "dbfoundation_shape"


@dataclass(frozen=True)
class Shape:
    """The column of a field, and its own checks: their definition, and the SQL that adds each."""

    column: Column
    checks: dict[str, str]


def definition(database: PostgresqlDatabase, field: Any) -> NodeList:  # noqa: ANN401 # a field
    """The column's definition: the field's DDL and its constant default."""
    nodes = list(field.ddl(database.get_sql_context()).nodes)
    default = server_default(field)
    return NodeList(nodes if default is None else [*nodes, SQL("DEFAULT"), default])


def shape_of(live: LiveTable, column: str, field: Field) -> Shape:
    """The field as a column of the table, in place of `column`.

    The temporary table has the other columns too, which a check or a generated column may use.
    """
    table = NodeList((SQL("ALTER TABLE"), Entity(NAME)))
    statements = (
        NodeList(
            (SQL("CREATE TEMPORARY TABLE"), Entity(NAME), SQL("(LIKE"), live.entity, SQL(")"))
        ),
        NodeList((table, SQL("DROP COLUMN"), Entity(column))),
        NodeList((table, SQL("ADD COLUMN"), definition(live.database, field))),
    )
    with scratch(live.database) as cursor:
        for statement in statements:
            sql, values = live.database.get_sql_context().sql(statement).query()
            cursor.execute(sql, tuple(values))
        made = LiveTable(live.database, NAME, "pg_temp")
        checks = [constraint for constraint in made.constraints() if constraint.kind == "c"]
        return Shape(
            made.columns[field.column_name],
            {check.definition: _to_sql(check, live.database) for check in checks},
        )


def _to_sql(check: Constraint, database: PostgresqlDatabase) -> str:
    """The definition, with the name of the constraint unless the server has derived it."""
    if check.name.startswith(NAME):
        return check.definition
    return f"CONSTRAINT {quote_ident(check.name, database.connection())} {check.definition}"
