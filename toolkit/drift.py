"""Where the models and the live schema differ: both are read by the catalog, and compared.

What the models want is made for real, in schemas of its own inside a transaction that is rolled
back, so that the server itself says what it comes to. What was there is read, and nothing more.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from peewee import DataError, ModelIndex, ProgrammingError
from psycopg2.errors import DuplicateTable, InsufficientPrivilege

from toolkit import catalog
from toolkit.errors import AccessDeniedError, DatabaseError, driver_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from peewee import Model, PostgresqlDatabase

    from toolkit.catalog import Difference, Fact

    Models = Sequence[type[Model]]
    Places = Mapping[type[Model], str]  # the schema that each model's table is in

# What a model can declare, and what of that it cannot.
DECLARED = ("table", "column", "constraint", "index", "sequence")
UNDECLARED = {"comment", "row security", "forced row security", "replica identity"}
# The first schema of a search_path that has a table.
FOUND = """
SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = %s AND n.nspname = ANY(%s)
ORDER BY pg_catalog.array_position(%s, n.nspname::text) LIMIT 1
"""

# A definition reads otherwise once it was read in from a dump: an IN on a varchar has casts.
REMADE = """
SELECT pg_catalog.format('ALTER TABLE %%I.%%I DROP CONSTRAINT %%I, ADD CONSTRAINT %%I %%s',
    n.nspname, r.relname, c.conname, c.conname, pg_catalog.pg_get_constraintdef(c.oid))
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class r ON r.oid = c.conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE n.nspname = ANY(%(schemas)s) AND c.contype = 'c' AND c.coninhcount = 0
UNION ALL
SELECT pg_catalog.format('DROP INDEX %%I.%%I; %%s',
    n.nspname, r.relname, pg_catalog.pg_get_indexdef(r.oid))
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class r ON r.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE n.nspname = ANY(%(schemas)s)
AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE conindid = r.oid)
"""

# What this transaction keeps others from writing, but for the new schemas.
LOCKED = """
SELECT DISTINCT r.oid, r.oid::regclass::text FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class r ON r.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation'
AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
AND r.relkind NOT IN ('i', 'I') AND n.nspname !~ '^pg_' AND n.nspname <> ALL(%s)
"""
BY_NAME = (
    "SQL() that names a schema means what is there: say it by Meta.schema, an index of fields, or "
    "a ForeignKeyField."
)


def drift(
    database: PostgresqlDatabase, models: Models, ignored: Collection[str]
) -> list[Difference]:
    """How the live schema (here) differs from the models (there), but for the ignored tables.

    A model's table is looked for in the schema that the model names, or as the session would, along
    its search_path. A table that no model has is a difference in the schemas that have the models'
    tables, or would get new ones, and nowhere else. Raises AccessDeniedError without CREATE on the
    database, and DatabaseError where the server does not take what a model says, or where its SQL
    reaches for a table of the live schema.
    """
    path = catalog.search_path(database)
    places = {model: _place(database, model, path) for model in models}
    wanted, remade = _wanted(database, places, path)
    live = _live(database, places, path, {fact.name for fact in wanted})
    ours = _ours(wanted, live, ignored)
    found, also = (
        catalog.compare(_declared(live, ours), _declared(facts, ours)) for facts in (wanted, remade)
    )
    both = {(difference.subject, difference.here) for difference in also}
    return [difference for difference in found if (difference.subject, difference.here) in both]


def _place(database: PostgresqlDatabase, model: type[Model], path: Sequence[str]) -> str:
    meta = model._meta  # noqa: SLF001 # Peewee documents _meta
    if meta.schema:
        return str(meta.schema)
    found = database.execute_sql(FOUND, (meta.table_name, path, path)).fetchone()
    return str(found[0]) if found else next(iter(path), "public")


def _live(
    database: PostgresqlDatabase, places: Places, path: Sequence[str], names: Collection[str]
) -> list[Fact]:
    """What is there: all of the models' schemas, and what has one of the names elsewhere."""
    home = {*path[:1], *places.values()}
    return catalog.read(database, list(home), path) + [
        fact
        for fact in catalog.read(database, list({*path} - home), path)
        if fact.name in names or fact.table in names
    ]


def _ours(wanted: Sequence[Fact], live: Sequence[Fact], ignored: Collection[str]) -> set[str]:
    """The tables to compare, and the sequences that the models make for them."""
    tables = {fact.name for fact in [*wanted, *live] if fact.kind == "table" and not _is_part(fact)}
    tables = {name for name in tables if name.replace('"', "") not in ignored}
    return tables | {
        fact.name
        for fact in wanted
        if fact.kind == "sequence" and (fact.table is None or fact.table in tables)
    }


def _is_part(fact: Fact) -> bool:
    """Whether a table is a partition, which its parent stands for."""
    return fact.details.get("parents", "").startswith("PARTITION OF")


def _declared(facts: Iterable[Fact], relations: Collection[str]) -> list[Fact]:
    """What models can declare of these tables and sequences."""
    return [
        replace(fact, details={k: t for k, t in fact.details.items() if k not in UNDECLARED})
        for fact in facts
        if fact.kind in DECLARED and (fact.name in relations or fact.table in relations)
    ]


def _wanted(
    database: PostgresqlDatabase, places: Places, path: Sequence[str]
) -> tuple[list[Fact], list[Fact]]:
    """What the models come to on this server, under the names of the schemas they are for.

    The second is the same as it comes out of a dump: made again from the server's own definitions.
    """
    token = f"wanted_{uuid4().hex}"
    others = {model: _place(database, model, path) for model in _referred(places)}
    own, beside = _scratch(token, places), _scratch(f"{token}_beside", others)
    new = own | beside
    # They go before the schema that they stand for, where other things are found still.
    first = [[*(name for name in new if new[name] == schema), schema] for schema in path]
    inside = [name for names in first for name in names]
    with database.atomic() as transaction:
        _create_schemas(database, new)
        catalog.speak_plainly(database, inside)
        held = _locked(database, list(new))  # the caller's transaction may have changed a table
        with _moved(_into(own, places) | _into(beside, others)):
            _create_tables(database, list(places), list(others))
        _refuse_reach(_locked(database, list(new)), held)
        live = {name: _quoted(database, schema) for name, schema in new.items()}
        made = catalog.read(database, list(own), inside)
        _remake(database, list(own))
        remade = catalog.read(database, list(own), inside)
        transaction.rollback()
    wanted, restored = ([_renamed(fact, live) for fact in facts] for facts in (made, remade))
    return wanted, restored


def _referred(models: Iterable[type[Model]]) -> set[type[Model]]:
    """The models that these refer to, one after another, and that are none of them."""
    given = {*models}
    known = new = given
    while new:
        new = {other for model in new for other in model._meta.refs.values()} - known  # noqa: SLF001 # Peewee documents _meta
        known = known | new
    return known - given


def _scratch(token: str, places: Places) -> dict[str, str]:
    """The name of a schema to make for each that a table is in."""
    return {f"{token}_{n}": schema for n, schema in enumerate(sorted({*places.values()}))}


def _into(scratch: Mapping[str, str], places: Places) -> dict[type[Model], str]:
    """The scratch schema that each model's table goes into."""
    names = {schema: name for name, schema in scratch.items()}
    return {model: names[schema] for model, schema in places.items()}


def _remake(database: PostgresqlDatabase, schemas: Sequence[str]) -> None:
    """Make every CHECK, and every index that no constraint needs, again from its definition."""
    for (statement,) in database.execute_sql(REMADE, {"schemas": schemas}).fetchall():
        database.execute_sql(statement.replace("%", "%%"))  # the driver takes it for a placeholder


def _quoted(database: PostgresqlDatabase, name: str) -> str:
    """The name as the server writes it; the driver would quote every one."""
    (quoted,) = database.execute_sql("SELECT pg_catalog.quote_ident(%s::text)", (name,)).fetchone()
    return str(quoted)


def _create_schemas(database: PostgresqlDatabase, names: Iterable[str]) -> None:
    try:
        for name in names:
            database.execute_sql(f"CREATE SCHEMA {name}")
    except ProgrammingError as error:
        if not isinstance(driver_error(error), InsufficientPrivilege):
            raise
        raise AccessDeniedError(
            f"the models cannot be tried: {_reason(error)}",
            "GRANT CREATE ON DATABASE to this user: they are made in a schema of their own, which "
            "is rolled back.",
        ) from error


def _create_tables(database: PostgresqlDatabase, models: Models, others: Models) -> None:
    try:
        with database.bind_ctx([*models, *others]):
            database.create_tables([*models, *others], safe=False)
            _create_deferred(models)
    except (ProgrammingError, DataError) as error:
        cause = driver_error(error)
        if isinstance(cause, InsufficientPrivilege):
            raise AccessDeniedError(
                f"the models cannot be tried: {_reason(error)}",
                f"Grant this user what they ask for. {BY_NAME}",
            ) from error
        raise DatabaseError(
            f"the server does not take the models: {_reason(error)}",
            f"Mend them in models/. {BY_NAME}"
            if isinstance(cause, DuplicateTable)
            else "Mend them in models/, or the database lacks what they use.",
        ) from error
    except (IndexError, TypeError, ValueError) as error:  # psycopg2's, of a lone percent sign
        raise DatabaseError(
            f"the driver does not take the models: {error}", "In SQL() and Check(), % is %%."
        ) from error


def _create_deferred(models: Models) -> None:
    """The constraints of what Peewee calls a DeferredForeignKey, which come after the tables."""
    for model in models:
        for field in model._meta.refs:  # noqa: SLF001 # Peewee documents _meta
            if field.deferred:
                model._schema.create_foreign_key(field)  # type: ignore[attr-defined] # noqa: SLF001 # documented too


def _locked(database: PostgresqlDatabase, new: Sequence[str]) -> dict[int, str]:
    return dict(database.execute_sql(LOCKED, (new,)).fetchall())


def _refuse_reach(locked: Mapping[int, str], held: Collection[int]) -> None:
    """Raise DatabaseError where the models' SQL has locked a table that is no scratch one."""
    tables = ", ".join(sorted(name for oid, name in locked.items() if oid not in held))
    if tables:
        raise DatabaseError(f"the models reach for what is there already: {tables}", BY_NAME)


def _reason(error: Exception) -> str:
    diagnosis = getattr(driver_error(error), "diag", None)
    return getattr(diagnosis, "message_primary", None) or str(error)


def _renamed(fact: Fact, live: Mapping[str, str]) -> Fact:
    """The fact with the live schemas' names; a scratch schema's is found nowhere else."""

    def renamed(text: str) -> str:
        for scratch, schema in live.items():
            text = text.replace(f"{scratch}.", f"{schema}.")
        return text

    return replace(
        fact,
        name=renamed(fact.name),
        table=fact.table and renamed(fact.table),
        details={name: renamed(text) for name, text in fact.details.items()},
    )


@contextmanager
def _moved(places: Places) -> Iterator[None]:
    """Let each model's table, and its indexes, go into a schema for the block."""
    before = {model: model._meta.schema for model in places}  # noqa: SLF001 # Peewee documents _meta
    try:
        for model, schema in places.items():
            _move(model, schema)
        yield
    finally:
        for model, own_schema in before.items():
            _move(model, own_schema)


def _move(model: type[Model], schema: str | None) -> None:
    meta = model._meta  # noqa: SLF001 # Peewee documents _meta
    meta.schema = schema
    for index in meta.indexes:
        if isinstance(index, ModelIndex):
            index._table = meta.table  # type: ignore[attr-defined] # noqa: SLF001 # it keeps the old one
