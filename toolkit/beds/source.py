"""Peewee models as Python source, made from a live schema so that they create it again exactly.

Each table becomes a class, after the tables that it refers to. A part that its class cannot declare
is SQL beside the class: a foreign key of several columns, an index, a sequence's options. The
generated models are for comparing: a table whose key has several columns has no `primary_key`.

Views, types, functions, triggers, rules, policies and comments are no parts of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peewee import Model

from beds.tables import read_tables
from beds.writer import Writer
from dbfoundation.schema.catalog import search_path

if TYPE_CHECKING:
    from peewee import PostgresqlDatabase

    from beds.tables import Table

HEADER = '''"""Models of a live schema."""

from peewee import (
    SQL,
    BigIntegerField,
    BooleanField,
    CharField,
    DateField,
    DateTimeField,
    DecimalField,
    DoubleField,
    FloatField,
    IntegerField,
    Model,
    NodeList,
    SmallIntegerField,
    TextField,
    TimeField,
    UUIDField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from beds.fields import Column, ForeignKey, InSchemaOf
'''


@dataclass(frozen=True)
class Models:
    """The source of the models, and a line for each part of a table that they lack."""

    source: str
    left_out: list[str]

    def load(self) -> list[type[Model]]:
        """The classes, in the order of the source."""
        module: dict[str, Any] = {"__name__": "generated"}
        exec(compile(self.source, "<models of a live schema>", "exec"), module)  # noqa: S102 # our own text
        return [
            value
            for value in module.values()
            if isinstance(value, type) and issubclass(value, Model) and value is not Model
        ]


def models_of(database: PostgresqlDatabase) -> Models:
    """The models of every table of the database, except partitions."""
    tables = {table.oid: table for table in read_tables(database)}
    writer = Writer(tables, next(iter(search_path(database)), "public"), HEADER)
    classes = [writer.write(table) for table in _ordered(tables)]
    return Models("\n\n\n".join([HEADER.strip(), *classes]) + "\n", writer.left_out)


def _ordered(tables: dict[int, Table]) -> list[Table]:
    """The tables, each after those that it refers to; a circle is broken somewhere."""
    order: list[Table] = []
    seen: set[int] = set()

    def visit(oid: int) -> None:
        if oid in seen or oid not in tables:
            return
        seen.add(oid)
        table = tables[oid]
        for other in [*table.parents, *(constraint.target for constraint in table.constraints)]:
            visit(other)
        order.append(table)

    for oid in tables:
        visit(oid)
    return order
