"""Drift: the differences between the live schema and the models."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dbfoundation.schema import catalog
from dbfoundation.schema.comparison import compare
from dbfoundation.schema.ignored import is_ignored, matches, parent_of
from dbfoundation.schema.model_defaults import offer_model_defaults, take_agreed
from dbfoundation.schema.placement import find_placement
from dbfoundation.schema.renames import rename_difference, take_renamed
from dbfoundation.schema.spelling import adopt_spelling
from dbfoundation.schema.wanted import DECLARABLE, wanted_schema

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from peewee import Model, PostgresqlDatabase

    from dbfoundation.schema.catalog import SchemaObject
    from dbfoundation.schema.comparison import Difference
    from dbfoundation.schema.placement import Placement

# The details of a model's objects that a model cannot declare.
UNDECLARABLE = {
    *("comment", "comment of its index", "row security", "forced row security"),
    *("replica identity", "cluster", "tablespace", "storage mode", "statistics", "options"),
    "sequence persistence",  # follows that of its table
}


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
    return read_sides(database, models, ignored).differences()


@dataclass(frozen=True)
class Models:
    """The models' tables as the server has created them once, and the ignored names."""

    placement: Placement
    objects: Sequence[SchemaObject]
    ignored: Collection[str]


@dataclass(frozen=True)
class Sides:
    """The live schema and the models', spelled alike.

    `renamed` has the pairs of objects that differ in their name alone; `live` has them under the
    models' names.
    """

    live: Sequence[SchemaObject]
    wanted: Sequence[SchemaObject]
    models: Models
    renamed: Sequence[tuple[SchemaObject, SchemaObject]] = ()

    def differences(self) -> list[Difference]:
        """The differences of both sides, as find_drift() returns them."""
        renamed = [rename_difference(thing, other) for thing, other in self.renamed]
        return [*renamed, *compare(self.live, self.wanted)]

    def read_again(self, database: PostgresqlDatabase) -> Sides:
        """The sides after tables have changed.

        The models' tables are created again only if they belong to other schemas by now.
        """
        placement = find_placement(database, self.models.placement.schemas)
        if placement != self.models.placement:
            return read_sides(database, [*placement.schemas], self.models.ignored)
        return _compare_with(database, self.models)


def read_sides(
    database: PostgresqlDatabase, models: Sequence[type[Model]], ignored: Collection[str]
) -> Sides:
    """Both sides of the comparison that find_drift() makes; raises as that does."""
    placement = find_placement(database, models)
    return _compare_with(database, Models(placement, wanted_schema(database, placement), ignored))


def _compare_with(database: PostgresqlDatabase, models: Models) -> Sides:
    """The live schema now, beside the models."""
    placement, ignored, path = models.placement, models.ignored, models.placement.path
    live = _live_schema(database, placement, models.objects)
    names = _compared_names(models.objects, live, ignored)
    live, wanted = (_declarable(side, names, ignored) for side in (live, models.objects))
    if not compare(live, wanted):
        return Sides(live, wanted, models)
    offered = offer_model_defaults(database, placement.schemas, live, wanted, path)
    live = adopt_spelling(database, live, offered, path)
    wanted = take_agreed(live, wanted, offered)
    renamed, live = take_renamed(database, live, wanted, path)
    return Sides(live, wanted, models, renamed)


def _live_schema(
    database: PostgresqlDatabase, placement: Placement, wanted: Iterable[SchemaObject]
) -> list[SchemaObject]:
    """The objects in the models' schemas, and the models' sequences in the rest of the path."""
    path = placement.path
    home = {*path[:1], *placement.schemas.values()}
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
