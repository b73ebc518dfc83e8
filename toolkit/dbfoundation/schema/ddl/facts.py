"""The knowledge of a server and of the models that no object of a schema has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from peewee import DatabaseError

from dbfoundation.schema.model_defaults import read_constants

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from peewee import PostgresqlDatabase

    from dbfoundation.schema.drift import Sides

SCHEMAS = "SELECT pg_catalog.quote_ident(nspname) FROM pg_catalog.pg_namespace"
# ALTER COLUMN TYPE uses the casts of an assignment, which to a string type is any output.
CASTS = """
SELECT s.oid = t.oid OR t.typcategory = 'S' OR EXISTS (
    SELECT FROM pg_catalog.pg_cast c
    WHERE c.castsource = s.oid AND c.casttarget = t.oid AND c.castcontext IN ('a', 'i')
) FROM pg_catalog.pg_type s, pg_catalog.pg_type t
WHERE s.oid = %s::regtype AND t.oid = %s::regtype
"""


@dataclass(frozen=True)
class Facts:
    """The names of the existing schemas, the casts, and the models' constant defaults.

    `casts` is whether the server casts one type to another by itself. `constants` are by the name
    of the column.
    """

    schemas: Collection[str]
    casts: Callable[[str, str], bool]
    constants: Mapping[str, str]


def read_facts(database: PostgresqlDatabase, sides: Sides) -> Facts:
    """The facts of a database and of the models that it is compared with."""

    @cache
    def casts(old: str, new: str) -> bool:
        try:
            with database.atomic():
                found = database.execute_sql(CASTS, (old, new)).fetchone()
        except DatabaseError:  # a type that the server does not have yet
            return False
        return bool(found and found[0])

    schemas = {name for (name,) in database.execute_sql(SCHEMAS).fetchall()}
    placement = sides.models.placement
    return Facts(schemas, casts, read_constants(database, placement.schemas, placement.path))
