"""Drift: the differences between the live schema and the models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbfoundation.runtime.models import get_meta
from dbfoundation.schema import catalog
from dbfoundation.schema.comparison import compare
from dbfoundation.schema.ignored import is_ignored, matches, parent_of
from dbfoundation.schema.model_defaults import offer_model_defaults, take_agreed
from dbfoundation.schema.renames import rename_difference, take_renamed
from dbfoundation.schema.spelling import adopt_spelling
from dbfoundation.schema.wanted import DECLARABLE, wanted_schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from peewee import Model, PostgresqlDatabase

    from dbfoundation.schema.catalog import SchemaObject
    from dbfoundation.schema.comparison import Difference
    from dbfoundation.schema.wanted import Schemas

# The details of a model's objects that a model cannot declare.
UNDECLARABLE = {
    *("comment", "comment of its index", "row security", "forced row security"),
    *("replica identity", "cluster", "tablespace", "storage mode", "statistics", "options"),
    "sequence persistence",  # follows that of its table
}
# The first schema of a search_path that has a table.
FIND_SCHEMA = """
SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %s AND n.nspname = ANY(%s)
ORDER BY pg_catalog.array_position(%s, n.nspname::text) LIMIT 1
"""


def find_drift(
    database: PostgresqlDatabase, models: Sequence[type[Model]], ignored: Collection[str]
) -> list[Difference]:
    """The differences of the live schema (left) and the models (right), without the ignored names.

    An ignored name is that of a table, or of a column, constraint or index with its table's name in
    front, as in `users.legacy`. In it, `*` and `?` match all characters except a dot.

    A model's table is in the schema that the model names, or in the first schema of the session's
    search_path that has a table of this name. A table without a model is a difference only in the
    schemas of the models' tables, and in the schema in which the session creates tables.

    Raises AccessDeniedError for a user without CREATE on the database. Raises DatabaseError for
    models that the server rejects, or whose SQL uses a live table.
    """
    sides = read_sides(database, models, ignored)
    renamed = [rename_difference(thing, other) for thing, other in sides.renamed]
    return [*renamed, *compare(sides.live, sides.wanted)]


@dataclass(frozen=True)
class Sides:
    """The live schema and the models', spelled alike.

    `renamed` has the pairs of objects that differ in their name alone; `live` has them under the
    models' names. `schemas` are those of the models' tables, and `path` is the session's
    search_path.
    """

    live: Sequence[SchemaObject]
    wanted: Sequence[SchemaObject]
    schemas: Schemas
    path: Sequence[str]
    renamed: Sequence[tuple[SchemaObject, SchemaObject]] = ()


def read_sides(
    database: PostgresqlDatabase, models: Sequence[type[Model]], ignored: Collection[str]
) -> Sides:
    """Both sides of the comparison that find_drift() makes; raises as that does."""
    path = catalog.search_path(database)
    schemas = {model: _schema_of(database, model, path) for model in models}
    others = {model: _schema_of(database, model, path) for model in _referenced(models)}
    wanted = wanted_schema(database, schemas, others, path)
    live = _live_schema(database, schemas, path, wanted)
    names = _compared_names(wanted, live, ignored)
    live, wanted = (_declarable(side, names, ignored) for side in (live, wanted))
    if not compare(live, wanted):
        return Sides(live, wanted, schemas, path)
    offered = offer_model_defaults(database, schemas, live, wanted, path)
    live = adopt_spelling(database, live, offered, path)
    wanted = take_agreed(live, wanted, offered)
    renamed, live = take_renamed(database, live, wanted, path)
    return Sides(live, wanted, schemas, path, renamed)


def _schema_of(database: PostgresqlDatabase, model: type[Model], path: Sequence[str]) -> str:
    """The schema of the model's table, or the one in which the session would create it."""
    meta = get_meta(model)
    if meta.schema:
        return str(meta.schema)
    found = database.execute_sql(FIND_SCHEMA, (meta.table_name, path, path)).fetchone()
    return str(found[0]) if found else next(iter(path), "public")


def _referenced(models: Iterable[type[Model]]) -> set[type[Model]]:
    """The other models that these refer to, directly or through others."""
    given = {*models}
    known = new = given
    while new:
        new = {other for model in new for other in get_meta(model).refs.values()} - known
        known = known | new
    return known - given


def _live_schema(
    database: PostgresqlDatabase,
    schemas: Schemas,
    path: Sequence[str],
    wanted: Iterable[SchemaObject],
) -> list[SchemaObject]:
    """The objects in the models' schemas, and the models' sequences in the rest of the path."""
    home = {*path[:1], *schemas.values()}
    sequences = {thing.name for thing in wanted if thing.kind == "sequence"}
    rest = [*({*path} - home)]
    return catalog.read(database, schemas=[*home], path=path, kinds=DECLARABLE) + [
        thing
        for thing in catalog.read(database, schemas=rest, path=path, kinds=("table", "sequence"))
        if thing.kind == "sequence" and thing.name in sequences
    ]


def _compared_names(
    wanted: Sequence[SchemaObject], live: Sequence[SchemaObject], ignored: Collection[str]
) -> set[str]:
    """The names of the tables to compare, and of the sequences that the models create for them."""
    tables = {
        thing.name
        for thing in [*wanted, *live]
        if thing.kind == "table" and not parent_of(thing)  # only the parent is compared
    }
    tables = {name for name in tables if not matches(name, ignored)}
    return tables | {
        thing.name
        for thing in wanted
        if thing.kind == "sequence" and (thing.table is None or thing.table in tables)
    }


def _declarable(
    objects: Iterable[SchemaObject], names: Collection[str], ignored: Collection[str]
) -> list[SchemaObject]:
    """The objects of these tables and sequences, reduced to what a model can declare."""
    return [
        replace(
            thing,
            details={
                name: text for name, text in thing.details.items() if name not in UNDECLARABLE
            },
        )
        for thing in objects
        if thing.name in names or thing.table in names
        if not is_ignored(thing, ignored)
    ]
