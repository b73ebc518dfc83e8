"""Statements that take effect on the whole server, such as CREATE ROLE; a proof refuses them.

Such a statement is recognized by its first words before it is sent. A statement that a function or
a DO block executes is recognized by its locks: a session that changes a catalog of the whole server
has a lock on it until the end of its transaction. So each statement of a proof runs in a
transaction, which is rolled back in that case. A statement that cannot run in a transaction, or
that ends its own, is refused if it can execute another one.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg2.extensions import TRANSACTION_STATUS_IDLE, TRANSACTION_STATUS_INTRANS
from psycopg2.extensions import cursor as plain_cursor

from dbfoundation.errors import MigrationError, MigrationFailedError, ServerWideError
from dbfoundation.migrations.statements import SQL_BODY, ends_transaction, plain_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from psycopg2.extensions import connection

    from dbfoundation.migrations.runner import Runner
    from dbfoundation.migrations.step import Step
    from dbfoundation.runtime.recording import RecordingCursor

FLAGS = re.DOTALL | re.IGNORECASE | re.VERBOSE
SHARED = "(ROLE | USER (?!\\s+MAPPING) | GROUP | DATABASE | TABLESPACE | SUBSCRIPTION)"
SERVER_WIDE = re.compile(
    rf"""\s* (
    (CREATE | ALTER | DROP) \s+ {SHARED} \b | ALTER \s+ SYSTEM \b
    | COMMENT \s+ ON \s+ {SHARED} \b | SECURITY \s+ LABEL \b .*? \b ON \s+ {SHARED} \b
    | (REASSIGN | DROP) \s+ OWNED \b
    | (GRANT | REVOKE) \b (?! .* \b ON \b)  # of a role
    | (GRANT | REVOKE) \b .* \b ON \s+ (DATABASE | TABLESPACE | PARAMETER) \b
    | COPY \b .* \b PROGRAM \b | COPY \b .* \b TO \b (?! \s+ STDOUT)
    )""",
    FLAGS,
)
# Functions with an effect that no ROLLBACK undoes, also in the body of a function or a block.
AT_ONCE = re.compile(
    r"""\b pg_ (terminate_backend | cancel_backend | reload_conf | rotate_logfile | promote
    | switch_wal | create_restore_point | wal_replay_ \w+ | backup_ \w+ | file_ \w+
    | replication_ (origin | slot) _ \w+ | drop_replication_slot
    | (create | copy) _ \w+ _slot) \s* \(""",
    FLAGS,
)
# A statement that cannot run in a transaction, or only in one of its own, or ends one.
NOT_IN_TRANSACTION = re.compile(
    r"""\s* (VACUUM | REINDEX | CLUSTER | LOCK | SAVEPOINT | RELEASE | DECLARE | BEGIN | START
    | COMMIT | END | ABORT | ROLLBACK | PREPARE \s+ TRANSACTION | CALL | DISCARD ) \b
    | .* \b CONCURRENTLY \b""",
    FLAGS,
)
BLOCK = re.compile(r"\s* DO \b", FLAGS)
CALL = re.compile(r"\s* CALL \b", FLAGS)
ENDS_TRANSACTION = re.compile(r"\b (COMMIT | ROLLBACK) \b", FLAGS)
EXECUTES = re.compile(r"\b EXECUTE \b", FLAGS)

# The settings of a role or a database, except those of this database, which end with it.
SETTINGS = """
SELECT md5(string_agg(s::text, ',' ORDER BY s::text)) FROM pg_catalog.pg_db_role_setting s
WHERE setrole <> 0
OR setdatabase <> (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
"""
# A GRANT on a database releases its lock, but the row is new and not committed.
IS_NEW = """
CASE WHEN age(xmin) <= age(pg_current_xact_id_if_assigned()::xid) THEN pg_xact_status((
    ((pg_current_xact_id_if_assigned()::text::bigint >> 32 << 32) + xmin::text::bigint)::text
)::xid8) = 'in progress' END
"""
CHANGED = f"""
SELECT c.relname FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.database = 0 AND c.relkind = 'r'
AND l.mode IN ('RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareRowExclusiveLock',
    'ExclusiveLock', 'AccessExclusiveLock')  -- a pattern costs more than the other conditions
AND c.relname <> 'pg_shdepend'
AND (c.relname <> 'pg_db_role_setting' OR %s IS DISTINCT FROM ({SETTINGS}))
UNION SELECT 'pg_database' FROM pg_catalog.pg_database
    WHERE datname <> current_database() AND {IS_NEW}
UNION SELECT 'pg_tablespace' FROM pg_catalog.pg_tablespace WHERE {IS_NEW}
UNION SELECT 'pg_parameter_acl' FROM pg_catalog.pg_parameter_acl WHERE {IS_NEW}
ORDER BY 1
"""  # noqa: S608 # its parts are those above
LITERAL = re.compile(r"\bE'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$", re.DOTALL)
SHOWN_CHARACTERS = 100


class ServerGuard:
    """Refuses server-wide statements on one connection; `refused` describes the first one."""

    def __init__(self, session: connection) -> None:
        self.refused: str | None = None
        self.settings = _fetch(session, SETTINGS)[0][0]

    @contextmanager
    def watch(self, cursor: RecordingCursor, text: str) -> Iterator[None]:
        """Send `text` in the block; raises MigrationError before, or with all of it undone."""
        session, statements = cursor.connection, _split(text)
        if any(SERVER_WIDE.match(statement) for statement in statements) or AT_ONCE.search(text):
            self._refuse(text)
        is_own = session.get_transaction_status() != TRANSACTION_STATUS_IDLE
        if len(statements) > 1 and ends_transaction(text):
            self._refuse(text)
        if is_own:
            yield
            self._check(session, text)
        elif _needs_no_transaction(text, statements):
            if len(statements) > 1 or _can_execute(text, statements):
                self._refuse(text)
            yield
        else:
            yield from self._send_in_transaction(session, text)

    def _send_in_transaction(self, session: connection, text: str) -> Iterator[None]:
        _execute(session, "BEGIN")
        try:
            yield
            self._check(session, text)
        except BaseException:
            if not session.closed:
                _execute(session, "ROLLBACK")
            raise
        _execute(session, "COMMIT")

    def _check(self, session: connection, text: str) -> None:
        """Raise MigrationError if the transaction has changed a catalog of the whole server."""
        if session.get_transaction_status() == TRANSACTION_STATUS_INTRANS:
            catalogs = [name for (name,) in _fetch(session, CHANGED, self.settings)]
            if catalogs:
                self._refuse(text, f", which changes {', '.join(catalogs)}")

    def _refuse(self, text: str, effect: str = "") -> None:
        shown = " ".join(LITERAL.sub("...", text).split())  # a literal may be a password
        shown = shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}..."
        self.refused = self.refused or f"{shown}{effect}: it takes effect on the whole server"
        raise MigrationError(self.refused)


def run_guarded(runner: Runner, run: Callable[[Step], object], step: Step) -> None:
    """Apply a step or roll it back; raises ServerWideError if the guard refused a statement.

    Temporary tables are dropped, as the end of a session drops them in any other run.
    """
    guard = runner.guard
    try:
        run(step)
    except MigrationFailedError:
        if not guard or not guard.refused:
            raise
    if guard and guard.refused:
        raise ServerWideError(step.name, guard.refused)
    runner.database.execute_sql("DISCARD TEMP")


def _split(text: str) -> list[str]:
    """The statements of a text, without literals, quoted names and comments."""
    parts = SQL_BODY.sub(" ", plain_text(text)).split(";")
    return [part for part in parts if part.strip()]


def _needs_no_transaction(text: str, statements: Sequence[str]) -> bool:
    """Whether the text cannot run in a transaction that the proof begins."""
    is_block = any(BLOCK.match(statement) for statement in statements)
    return any(NOT_IN_TRANSACTION.match(statement) for statement in statements) or (
        is_block and ENDS_TRANSACTION.search(text) is not None
    )


def _can_execute(text: str, statements: Sequence[str]) -> bool:
    """Whether a statement outside of a transaction may execute a server-wide one."""
    is_block = any(BLOCK.match(statement) for statement in statements)
    is_call = any(CALL.match(statement) for statement in statements)
    return is_call or (is_block and EXECUTES.search(text) is not None)


def _fetch(session: connection, query: str, *values: object) -> list[tuple[str, ...]]:
    with plain_cursor(session) as cursor:  # not recorded
        cursor.execute(query, values or None)
        return cursor.fetchall()


def _execute(session: connection, statement: str) -> None:
    with plain_cursor(session) as cursor:  # not recorded
        cursor.execute(statement)
