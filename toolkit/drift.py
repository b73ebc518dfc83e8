"""Where the models and the live schema differ: both are read by the catalog, and compared.

What the models want is made for real, in a schema of its own inside a transaction that is rolled
back, so that the server itself says what it comes to. What was there is read, and nothing more.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from peewee import DatabaseError as RefusedByServer

from toolkit import catalog
from toolkit.errors import AccessDeniedError, DatabaseError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from peewee import Model, PostgresqlDatabase

    from toolkit.catalog import Difference, Fact

    Models = Sequence[type[Model]]

# What a model can declare; a comment it cannot.
DECLARED = ("table", "column", "constraint", "index", "sequence")
INSUFFICIENT_PRIVILEGE = "42501"


def drift(
    database: PostgresqlDatabase, models: Models, ignored: Collection[str]
) -> list[Difference]:
    """How the live schema (here) differs from the models (there), but for the ignored tables.

    A model's table is looked for as the session would, along its search_path. A table that no model
    has is a difference in the schemas where the models' tables are created, and nowhere else.
    Raises AccessDeniedError without CREATE on the database, and DatabaseError where the server
    does not take what a model says.
    """
    path = catalog.search_path(database)
    named = [schema for model in models if (schema := model._meta.schema)]  # noqa: SLF001 # Peewee documents _meta
    home = {*path[:1], *named}
    schemas = list(dict.fromkeys([*path, *named]))
    wanted = _wanted(database, models, schemas)
    names = {fact.name for fact in wanted}
    live = catalog.read(database, list(home), schemas) + [
        fact
        for fact in catalog.read(database, [name for name in schemas if name not in home], schemas)
        if fact.name in names or fact.table in names
    ]
    tables = {fact.name for fact in wanted + live if fact.kind == "table"}
    tables = {name for name in tables if name.replace('"', "") not in ignored}
    sequences = {fact.name for fact in wanted if fact.kind == "sequence" and fact.table in tables}
    return catalog.compare(
        _declared(live, tables | sequences), _declared(wanted, tables | sequences)
    )


def _declared(facts: Iterable[Fact], owners: Collection[str]) -> list[Fact]:
    """What models can declare of these tables and sequences."""
    return [
        replace(fact, details={k: text for k, text in fact.details.items() if k != "comment"})
        for fact in facts
        if fact.kind in DECLARED and (fact.name in owners or fact.table in owners)
    ]


def _wanted(database: PostgresqlDatabase, models: Models, schemas: list[str]) -> list[Fact]:
    """What the models come to on this server."""
    scratch = f"wanted_{uuid4().hex}"
    try:
        with database.atomic() as transaction, _without_schema(models):
            database.execute_sql(f"CREATE SCHEMA {scratch}")
            catalog.set_search_path(database, [scratch, *schemas])
            with database.bind_ctx(models):
                database.create_tables(models, safe=False)
            facts = catalog.read(database, [scratch], [scratch, *schemas])
            transaction.rollback()
    except RefusedByServer as error:
        raise _explained(error) from error
    return facts


def _explained(error: RefusedByServer) -> DatabaseError:
    cause = getattr(error, "orig", error)  # Peewee's errors have the driver's
    reason = getattr(getattr(cause, "diag", None), "message_primary", None) or str(error)
    if getattr(cause, "pgcode", None) == INSUFFICIENT_PRIVILEGE:
        return AccessDeniedError(
            f"the models cannot be tried: {reason}",
            "GRANT CREATE ON DATABASE to this user: they are made in a schema of their own, which "
            "is rolled back.",
        )
    return DatabaseError(f"the server does not take the models: {reason}", "Mend them in models/.")


@contextmanager
def _without_schema(models: Models) -> Iterator[None]:
    """Let every model's table go where the search_path says, for the block."""
    metas = [model._meta for model in models]  # noqa: SLF001 # Peewee documents _meta
    before = [meta.schema for meta in metas]
    try:
        for meta in metas:
            meta.schema = None
        yield
    finally:
        for meta, schema in zip(metas, before, strict=True):
            meta.schema = schema
