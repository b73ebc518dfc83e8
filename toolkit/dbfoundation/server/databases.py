"""The databases of a server: connect to one, create one, drop one; the identity of a server.

A new database is a copy of template0, to which nobody can connect: any session on template1 would
prevent a copy of that. A scratch database is dropped after its block. Its process holds an advisory
lock as long as it lives, so that the next one drops what a killed process left.
"""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from secrets import token_hex
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql
from psycopg2.errors import InsufficientPrivilege, InvalidCatalogName, ObjectInUse

from dbfoundation.errors import AccessDeniedError, NoDatabaseError
from dbfoundation.runtime.connection import require_writable
from dbfoundation.runtime.connection_errors import connection_error
from dbfoundation.runtime.server_errors import server_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection, cursor

    from dbfoundation.settings import Settings

# The identity of one run of one server. initdb makes the first part, and a copy of the data has it.
IDENTITY = (
    "SELECT system_identifier || ' ' || extract(epoch FROM pg_postmaster_start_time()) "
    "FROM pg_control_system()"
)

# The options of a new database that has the encoding and the locale of another one. The columns of
# the providers have other names in each version of PostgreSQL.
OPTIONS_LIKE = """
SELECT concat_ws(' ',
    format('ENCODING %%L LC_COLLATE %%L LC_CTYPE %%L',
        pg_encoding_to_char(encoding), datcollate, datctype),
    CASE d->>'datlocprovider'
        WHEN 'i' THEN format('LOCALE_PROVIDER icu ICU_LOCALE %%L', locale)
        WHEN 'b' THEN format('LOCALE_PROVIDER builtin BUILTIN_LOCALE %%L', locale)
    END,
    'ICU_RULES ' || quote_literal(d->>'daticurules'))
FROM pg_database, to_jsonb(pg_database) d, concat(d->>'datlocale', d->>'daticulocale') locale
WHERE datname = ANY(%s) ORDER BY datname = 'template1' LIMIT 1
"""
SCRATCH = "migrate_verify_"
SCRATCH_BYTES = 8
# A crash may lose the data, and compiling a query on a catalog takes longer than the query.
FAST = "-c synchronous_commit=off -c jit=off"
# The scratch databases of this user to which nobody is connected.
UNUSED = """
SELECT datname FROM pg_database d WHERE datname ~ %s
AND pg_get_userbyid(datdba) = current_user
AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)
"""
TRY_LOCK = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"


def check(settings: Settings) -> None:
    """Run SELECT 1 at the configured address; raises a DatabaseError with the reason."""
    with closing(_connect(settings)) as session:
        ask(session, "SELECT 1")


@contextmanager
def any_session(settings: Settings) -> Iterator[connection]:
    """A session on the server, in another database where the configured one does not exist."""
    try:
        session = _connect(settings)
    except NoDatabaseError:
        session = _connect(settings, dbname=_another_database(settings))
    with closing(session):
        yield session


def ask(session: connection, query: str) -> str:
    """The one value of a query, as text."""
    with session.cursor() as cursor:
        cursor.execute(query)
        [[value]] = cursor.fetchall()
    return str(value)


def version(session: connection) -> str:
    """The server's version, such as 15.18."""
    major, minor = divmod(session.server_version, 10_000)
    return f"{major}.{minor}"


def describe(session: connection) -> str:
    """The server's version and the size of the session's database, roughly, for a question."""
    size = ask(
        session,
        "SELECT format('%s tables, about %s rows', count(*), coalesce(sum(n_live_tup), 0)) "
        "FROM pg_stat_user_tables",
    )
    return f"PostgreSQL {version(session)}, {size}"


def create_database(settings: Settings, *, like: str = "template1") -> Settings:
    """Create the configured database, which must not exist; returns the settings at its server.

    It has the encoding and the locale of the database `like`, or of template1 where there is no
    such database. Raises AccessDeniedError for a user without the permission.
    """
    with _connect_elsewhere(settings) as session, session.cursor() as cursor:
        cursor.execute(OPTIONS_LIKE, ([like, "template1"],))
        ((options,),) = cursor.fetchall()
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}")
        try:
            cursor.execute(statement.format(sql.Identifier(settings.url.name), sql.SQL(options)))
        except InsufficientPrivilege as error:
            raise AccessDeniedError(
                f"{settings.url} cannot be created: {server_message(error)}",
                f"ALTER ROLE {settings.url.user} CREATEDB.",
            ) from error
        return at_server_of(session, settings)


def copy_database(source: Settings, copy: Settings) -> None:
    """Create a database with everything that another one on its server has.

    Nobody may be connected to the source.
    """
    with _connect_elsewhere(source) as session, session.cursor() as cursor:
        names = [sql.Identifier(settings.url.name) for settings in (copy, source)]
        cursor.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))


def drop_database(settings: Settings) -> None:
    """Drop the configured database if it exists, and end its sessions."""
    with _connect_elsewhere(settings) as session, session.cursor() as cursor:
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        cursor.execute(statement.format(sql.Identifier(settings.url.name)))


@contextmanager
def scratch_database(settings: Settings) -> Iterator[Settings]:
    """Settings of a new database beside the configured one, which is dropped after the block.

    Drops the scratch databases of processes that were killed.
    """
    name = f"{SCRATCH}{token_hex(SCRATCH_BYTES)}"
    options = f"{settings.url.parameters.get('options', '')} {FAST}".lstrip()
    parameters = {**settings.url.parameters, "options": options}
    scratch = replace(settings, url=replace(settings.url, name=name, parameters=parameters))
    with _connect_elsewhere(scratch) as session, session.cursor() as cursor:
        scratch = at_server_of(session, scratch)
        cursor.execute(TRY_LOCK, (name,))
        _drop_unused(cursor)
        try:
            create_database(scratch, like=settings.url.name)
            yield scratch
        finally:
            drop_database(scratch)


def _drop_unused(cursor: cursor) -> None:
    """Drop the scratch databases whose process holds no lock any more."""
    cursor.execute(UNUSED, (f"^{SCRATCH}[0-9a-f]{{{2 * SCRATCH_BYTES}}}$",))
    for (name,) in cursor.fetchall():
        cursor.execute(TRY_LOCK, (name,))
        ((is_ours,),) = cursor.fetchall()
        if is_ours:
            with suppress(InvalidCatalogName, ObjectInUse):  # another process drops or uses it
                cursor.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
            cursor.execute(UNLOCK, (name,))


def at_server_of(session: connection, settings: Settings) -> Settings:
    """The settings at the one server of a session.

    Of several hosts, a standby may come before the primary server, and has a new database later:
    libpq gives up at the first server that does not have it.
    """
    info = session.info
    return replace(settings, url=replace(settings.url, host=info.host, port=info.port))


@contextmanager
def _connect_elsewhere(settings: Settings) -> Iterator[connection]:
    """A session on another database of the server, for a change."""
    with closing(_connect(settings, dbname=_another_database(settings))) as session:
        require_writable(session, settings)
        yield session


def _another_database(settings: Settings) -> str:
    """A database beside the configured one; every server has `postgres` and `template1`."""
    return "postgres" if settings.url.name != "postgres" else "template1"


def _connect(settings: Settings, **changes: str) -> connection:
    try:
        session: connection = psycopg2.connect(**settings.connect_kwargs(**changes))
    except psycopg2.OperationalError as error:
        raise connection_error(error, settings, **changes) from error
    session.autocommit = True  # CREATE and DROP DATABASE refuse to run in a transaction
    return session
