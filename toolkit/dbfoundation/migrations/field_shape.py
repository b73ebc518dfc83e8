"""A field as the server makes it: its type, collation, default, NOT NULL and checks.

The server creates it in a temporary table that is undone, and so prints it in its own words, which
can be compared with a column of the catalog.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peewee import SQL, EnclosedNodeList, Entity, NodeList

from dbfoundation.migrations.defaults import server_default
from dbfoundation.migrations.live_table import LiveTable, scratch

if TYPE_CHECKING:
    from peewee import Field, Node, PostgresqlDatabase

    from dbfoundation.migrations.live_table import Column

NAME = "dbfoundation_shape"


@dataclass(frozen=True)
class Shape:
    """The column of a field, and the definitions of its own checks."""

    column: Column
    checks: frozenset[str]


def definition(database: PostgresqlDatabase, field: Any) -> Node:  # noqa: ANN401 # a field
    """The column's definition: the field's DDL and its constant default."""
    ddl = field.ddl(database.get_sql_context())
    default = server_default(field)
    return NodeList((ddl, SQL("DEFAULT"), default)) if default is not None else ddl


def shape_of(database: PostgresqlDatabase, field: Field) -> Shape:
    """The field as a column of this server."""
    create = NodeList(
        (
            SQL("CREATE TEMPORARY TABLE"),
            Entity(NAME),
            EnclosedNodeList((definition(database, field),)),
        )
    )
    sql, values = database.get_sql_context().sql(create).query()
    with scratch(database) as cursor:
        cursor.execute(sql, tuple(values))
        live = LiveTable(database, NAME, "pg_temp")
        [column] = live.columns.values()
        checks = frozenset(c.definition for c in live.constraints() if c.kind == "c")
    return Shape(column, checks)
