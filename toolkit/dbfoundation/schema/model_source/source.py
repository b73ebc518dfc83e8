"""Peewee models as Python source, made from a live schema so that they create it again exactly.

Each table becomes a class, after the tables that it refers to. A part that its class cannot declare
is SQL beside the class: a foreign key of several columns, an index, a sequence's options.

Views, types, functions, triggers, rules, policies and comments are no parts of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peewee import Model

from dbfoundation.runtime.models import get_meta
from dbfoundation.schema.catalog import search_path
from dbfoundation.schema.model_source.imports import write_imports
from dbfoundation.schema.model_source.state import State
from dbfoundation.schema.model_source.tables import read_tables
from dbfoundation.schema.model_source.writer import write_class

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from peewee import PostgresqlDatabase

    from dbfoundation.schema.model_source.tables import Table

PRELUDE = '"""Models of existing tables."""'


@dataclass(frozen=True)
class ModelSource:
    """The text of the models, their tables, and a line for each part that they lack."""

    text: str
    tables: list[str]
    left_out: list[str]

    def load(self) -> list[type[Model]]:
        """The classes, in the order of the source."""
        module: dict[str, Any] = {"__name__": "generated"}
        exec(compile(self.text, "<models of a live schema>", "exec"), module)  # noqa: S102 # our own text
        return [
            value
            for value in module.values()
            if isinstance(value, type)
            and issubclass(value, Model)
            and value.__module__ == "generated"
        ]


def models_of(
    database: PostgresqlDatabase,
    chosen: Collection[str] | None = None,
    base: tuple[str, str] = ("peewee", "Model"),
    models: Sequence[type[Model]] = (),
) -> ModelSource:
    """The models of some tables and of those that they refer to, or of every table.

    Partitions have none. `chosen` are names as printed_name() writes them, `base` is the module and
    the name of the classes' base. A reference to the table of one of `models` uses that model.
    """
    module, name = base
    known = {table.oid: table for table in read_tables(database)}
    home = next(iter(search_path(database)), "public")
    others = [model for model in models if chosen is None or table_of(model) not in chosen]
    modelled = _with_model(known, home, others)
    rest = {oid: table for oid, table in known.items() if oid not in modelled}
    tables = rest if chosen is None else _with_referenced(rest, home, chosen)
    own = {model.__name__: model.__module__ for _, model in modelled.values()} | {name: module}
    taken = [model.__name__ for model in others]
    state = State(tables, modelled, home, name, taken)
    body = "\n\n\n".join(write_class(state, table) for table in _ordered(tables))
    text = f"{PRELUDE}\n\n{write_imports(body, own)}\n\n\n{body}\n"
    printed = sorted(printed_name(table, home) for table in tables.values())
    return ModelSource(text, printed, state.left_out)


def table_of(model: type[Model]) -> str:
    """The name of a model's table as printed_name() writes it."""
    meta = get_meta(model)
    return ".".join(filter(None, (meta.schema, meta.table_name)))


def _with_model(
    known: dict[int, Table], home: str, models: Sequence[type[Model]]
) -> dict[int, tuple[Table, type[Model]]]:
    """The tables that have a model."""
    by_name = {table_of(model): model for model in models}
    return {
        oid: (table, by_name[name])
        for oid, table in known.items()
        if (name := printed_name(table, home)) in by_name
    }


def names_of_tables(database: PostgresqlDatabase) -> list[str]:
    """The names of the tables that may have a model."""
    home = next(iter(search_path(database)), "public")
    return [printed_name(table, home) for table in read_tables(database)]


def printed_name(table: Table, home: str) -> str:
    """The name of a table as a person writes it, with its schema where that is not the home one."""
    return table.name if table.schema == home else f"{table.schema}.{table.name}"


def _with_referenced(
    known: dict[int, Table], home: str, chosen: Collection[str]
) -> dict[int, Table]:
    """The chosen tables, and all that they refer to or inherit from."""
    tables: dict[int, Table] = {}

    def add(oid: int) -> None:
        if oid in tables or oid not in known:
            return
        tables[oid] = table = known[oid]
        for other in [*table.parents, *(key.target for key in table.constraints)]:
            add(other)

    for oid, table in known.items():
        if printed_name(table, home) in chosen:
            add(oid)
    return tables


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
