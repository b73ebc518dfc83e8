"""The schemas that the models' tables belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbfoundation.runtime.models import get_meta
from dbfoundation.schema import catalog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from peewee import Model, PostgresqlDatabase

    Schemas = Mapping[type[Model], str]  # the schema of each model's table

# The first schema of a search_path that has a table of each name.
FIND_SCHEMAS = """
SELECT DISTINCT ON (t.name) t.name, n.nspname
FROM pg_catalog.unnest(%(names)s::text[]) t (name)
JOIN pg_catalog.pg_class c ON c.relname = t.name::name
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname = ANY(%(path)s::text[])
ORDER BY t.name, pg_catalog.array_position(%(path)s::text[], n.nspname::text)
"""


@dataclass(frozen=True)
class Placement:
    """The schemas of the models' tables, and of the `others` that these refer to.

    `path` is the session's search_path.
    """

    schemas: Schemas
    others: Schemas
    path: Sequence[str]


def find_placement(database: PostgresqlDatabase, models: Iterable[type[Model]]) -> Placement:
    """The schemas of the models' tables, or those in which the session would create them."""
    path = catalog.search_path(database)
    own = [*models]
    others = _referenced(own)
    names = [get_meta(model).table_name for model in (*own, *others)]
    found = dict(database.execute_sql(FIND_SCHEMAS, {"names": names, "path": path}).fetchall())

    def schema_of(model: type[Model]) -> str:
        meta = get_meta(model)
        return str(meta.schema or found.get(meta.table_name) or next(iter(path), "public"))

    return Placement(
        {model: schema_of(model) for model in own},
        {model: schema_of(model) for model in others},
        path,
    )


def _referenced(models: Iterable[type[Model]]) -> set[type[Model]]:
    """The other models that these refer to, directly or through others."""
    given = {*models}
    known = new = given
    while new:
        new = {other for model in new for other in get_meta(model).refs.values()} - known
        known = known | new
    return known - given
