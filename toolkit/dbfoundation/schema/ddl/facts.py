"""The knowledge of a server and of the models that no object of a schema has."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from peewee import DatabaseError

from dbfoundation.schema.ddl.types import Cast
from dbfoundation.schema.model_defaults import read_constants

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from peewee import PostgresqlDatabase

    from dbfoundation.schema.drift import Sides

SCHEMAS = "SELECT pg_catalog.quote_ident(nspname) FROM pg_catalog.pg_namespace"
# ALTER COLUMN TYPE uses the casts of an assignment, which to a string type is any output.
CASTS = """
SELECT CASE WHEN s.oid = t.oid OR t.typcategory = 'S' THEN 'a' ELSE (
    SELECT CASE c.castcontext WHEN 'e' THEN 'e' ELSE 'a' END FROM pg_catalog.pg_cast c
    WHERE c.castsource = s.oid AND c.casttarget = t.oid
) END FROM pg_catalog.pg_type s, pg_catalog.pg_type t
WHERE s.oid = %s::regtype AND t.oid = %s::regtype
"""


@dataclass(frozen=True)
class Facts:
    """The names of the existing schemas, the casts, and the models' constant defaults.

    `casts` is the way from one type to another. `constants` are by the name of the column.
    """

    schemas: Collection[str]
    casts: Callable[[str, str], Cast]
    constants: Mapping[str, str]


def read_facts(database: PostgresqlDatabase, sides: Sides) -> Facts:
    """The facts of a database and of the models that it is compared with."""

    @cache
    def casts(old: str, new: str) -> Cast:
        try:
            with database.atomic():
                found = database.execute_sql(CASTS, (old, new)).fetchone()
        except DatabaseError:  # a type that the server does not have yet
            return Cast.TEXT
        return Cast(found[0]) if found and found[0] else Cast.TEXT

    schemas = {name for (name,) in database.execute_sql(SCHEMAS).fetchall()}
    placement = sides.models.placement
    return Facts(schemas, casts, read_constants(database, placement.schemas, placement.path))
