"""The wanted schema: the models' tables as the server creates them.

The server creates them in scratch schemas, in a transaction that is rolled back, and so prints each
type and definition in its own words.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from peewee import DataError, ModelIndex, ProgrammingError
from psycopg2.errors import DuplicateTable, InsufficientPrivilege, UndefinedTable

from dbfoundation.errors import AccessDeniedError, DatabaseError
from dbfoundation.runtime.models import get_meta
from dbfoundation.runtime.server_errors import driver_error, server_message
from dbfoundation.schema import catalog
from dbfoundation.schema.scratch import create_schemas, rename

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from peewee import Model, PostgresqlDatabase

    from dbfoundation.schema.catalog import SchemaObject
    from dbfoundation.schema.placement import Placement, Schemas

# The kinds of objects that a model can declare.
DECLARABLE = ("table", "column", "constraint", "index", "sequence")
# The tables outside of the scratch schemas that this transaction keeps others from writing.
LOCKED_TABLES = """
SELECT DISTINCT r.oid, r.oid::regclass::text FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class r ON r.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation'
AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
AND r.relkind NOT IN ('i', 'I') AND n.nspname !~ '^pg_' AND n.nspname <> ALL(%s)
"""
DEPENDS_ON = (
    "If SQL() names the table of another model, put that model into Meta.depends_on, so that its "
    "table is created first."
)
NAME_NO_SCHEMA = (
    "name no schema in SQL(), because it means the live tables: use Meta.schema, an index of "
    f"fields, or a ForeignKeyField. {DEPENDS_ON}"
)


def wanted_schema(database: PostgresqlDatabase, placement: Placement) -> list[SchemaObject]:
    """The models' tables on this server, under the names of the schemas that they belong to.

    Raises as find_drift() does.
    """
    schemas, others, path = placement.schemas, placement.others, placement.path
    token = f"wanted_{uuid4().hex}"
    own, referenced = _scratch_schemas(token, schemas), _scratch_schemas(f"{token}_others", others)
    scratch = own | referenced
    scratch_path = _with_scratch_schemas(path, scratch)
    with database.atomic() as transaction:
        create_schemas(database, scratch)
        catalog.pin_output_settings(database, scratch_path)
        with (
            _refuse_live_tables(database, list(scratch)),
            _moved(_invert(own, schemas) | _invert(referenced, others)),
        ):
            _create_tables(database, list(schemas), list(others))
        names = {name: _quote(database, schema) for name, schema in scratch.items()}
        created = catalog.read(database, schemas=[*own], path=scratch_path, kinds=DECLARABLE)
        transaction.rollback()
    return [rename(thing, names) for thing in created]


def _scratch_schemas(token: str, schemas: Schemas) -> dict[str, str]:
    """A scratch schema's name for each schema that has a table."""
    return {f"{token}_{n}": schema for n, schema in enumerate(sorted({*schemas.values()}))}


def _with_scratch_schemas(path: Sequence[str], scratch: Mapping[str, str]) -> list[str]:
    """The search_path with the scratch schemas, each before the schema that it replaces.

    The models may use other objects of the replaced schema, such as types.
    """
    return [
        name
        for schema in path
        for name in (*(name for name in scratch if scratch[name] == schema), schema)
    ]


def _invert(scratch: Mapping[str, str], schemas: Schemas) -> dict[type[Model], str]:
    """The scratch schema of each model's table."""
    names = {schema: name for name, schema in scratch.items()}
    return {model: names[schema] for model, schema in schemas.items()}


def _quote(database: PostgresqlDatabase, name: str) -> str:
    """The name as the server writes it; the driver's quote_ident() would quote every name."""
    (quoted,) = database.execute_sql("SELECT pg_catalog.quote_ident(%s::text)", (name,)).fetchone()
    return str(quoted)


def _create_tables(
    database: PostgresqlDatabase, models: Sequence[type[Model]], others: Sequence[type[Model]]
) -> None:
    try:
        with database.bind_ctx([*models, *others]):
            database.create_tables([*models, *others], safe=False)
            _create_deferred_foreign_keys(models)
    except (ProgrammingError, DataError) as error:
        raise _rejection(error) from error
    except (IndexError, TypeError, ValueError) as error:  # psycopg2's, for a single percent sign
        raise DatabaseError(
            f"the driver rejects the models: {error}", "in SQL() and Check(), write % as %%."
        ) from error


def _create_deferred_foreign_keys(models: Iterable[type[Model]]) -> None:
    """Create the constraints of Peewee's DeferredForeignKey, which follow the tables."""
    for model in models:
        for field in get_meta(model).refs:
            if field.deferred:
                model._schema.create_foreign_key(field)  # type: ignore[attr-defined] # noqa: SLF001 # Peewee documents it


def _rejection(error: Exception) -> DatabaseError:
    """The error for models that the server rejects."""
    cause, reason = driver_error(error), f"the server rejects the models: {_reason(error)}"
    if isinstance(cause, InsufficientPrivilege):
        return AccessDeniedError(
            reason, f"grant this user the missing privilege. Or {NAME_NO_SCHEMA}"
        )
    if isinstance(cause, DuplicateTable):
        return DatabaseError(reason, f"give each table and index its own name. Or {NAME_NO_SCHEMA}")
    fix = "correct them in models/, or create in the database what they use."
    if isinstance(cause, UndefinedTable):
        fix = f"{fix} {DEPENDS_ON}"
    return DatabaseError(reason, fix)


@contextmanager
def _refuse_live_tables(database: PostgresqlDatabase, scratch: Sequence[str]) -> Iterator[None]:
    """Raise DatabaseError if the block locks a table outside of the scratch schemas.

    An SQL() that names a schema creates its index on the live table. The wanted schema then lacks
    the index, so without this check a missing index would be no difference.
    """
    before = _locked_tables(database, scratch)  # by the caller's transaction
    yield
    locked = _locked_tables(database, scratch)
    if tables := ", ".join(sorted(locked[oid] for oid in locked.keys() - before.keys())):
        raise DatabaseError(f"the models' SQL uses live tables: {tables}", NAME_NO_SCHEMA)


def _locked_tables(database: PostgresqlDatabase, scratch: Sequence[str]) -> dict[int, str]:
    return dict(database.execute_sql(LOCKED_TABLES, (scratch,)).fetchall())


def _reason(error: Exception) -> str:
    return server_message(error) or str(error)


@contextmanager
def _moved(schemas: Schemas) -> Iterator[None]:
    """Move each model's table, and its indexes, into another schema for the block."""
    before = {model: get_meta(model).schema for model in schemas}
    try:
        for model, schema in schemas.items():
            _move(model, schema)
        yield
    finally:
        for model, own_schema in before.items():
            _move(model, own_schema)


def _move(model: type[Model], schema: str | None) -> None:
    meta = get_meta(model)
    meta.schema = schema
    for index in meta.indexes:
        if isinstance(index, ModelIndex):
            index._table = meta.table  # type: ignore[attr-defined] # noqa: SLF001 # an index keeps its table
