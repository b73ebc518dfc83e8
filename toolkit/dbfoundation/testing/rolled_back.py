"""One connection for a test, in a transaction that is rolled back after it.

To the code under test, it is an ordinary connection in autocommit mode: a transaction of that code
is a savepoint of the test's, and so is each statement outside of one, which may fail alone. At its
COMMIT, the deferred constraints are checked. A connection that is closed stays for the next
check-out: rows outlive close(), close_all() and every context of the test.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import extensions
from psycopg2.extensions import (
    TRANSACTION_STATUS_IDLE,
    TRANSACTION_STATUS_INERROR,
    TRANSACTION_STATUS_INTRANS,
)

from dbfoundation.errors import FixtureError
from dbfoundation.runtime.pooled_connection import PooledConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

SPACE = r"(?:\s|--[^\n]*\n|/\*.*?\*/)*"
# A statement that begins or ends a transaction, and no other one beside it.
CONTROL = re.compile(
    rf"{SPACE}(?:(?P<begin>BEGIN|START\s+TRANSACTION)|(?P<commit>COMMIT|END)|"
    rf"(?P<roll_back>ROLLBACK|ABORT)(?!\s+(?:WORK\s+|TRANSACTION\s+)?TO\b))\b[^;]*;?{SPACE}",
    re.IGNORECASE | re.DOTALL,
)
# What a session keeps after a rollback.
RESET = "ROLLBACK; SELECT pg_advisory_unlock_all(); UNLISTEN *"
DEFERRED = """
SELECT string_agg(format('%I.%I', nspname, conname), ', ')
FROM pg_constraint c JOIN pg_namespace n ON n.oid = connamespace
WHERE condeferred AND conparentid = 0
"""


class RolledBackCursor(extensions.cursor):
    """A cursor whose statements are inside of savepoints."""

    connection: RolledBackConnection

    def execute(self, query: Any, values: Any = None) -> None:  # noqa: ANN401 # psycopg2's
        control = CONTROL.fullmatch(query) if isinstance(query, str) else None
        if control:
            self.connection.control(control.lastgroup)
            return
        with self.connection.savepoint():
            super().execute(query, values)

    def executemany(self, *arguments: Any) -> None:  # noqa: ANN401 # psycopg2's
        with self.connection.savepoint():
            super().executemany(*arguments)

    def copy_expert(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 # psycopg2's
        with self.connection.savepoint():
            super().copy_expert(*arguments, **options)


class Info(extensions.ConnectionInfo):
    """The connection's information, with the status that the code under test has made."""

    def __init__(self, connection: RolledBackConnection) -> None:
        super().__init__(connection)
        self.connection = connection

    @property
    def transaction_status(self) -> int:
        return self.connection.get_transaction_status()


class RolledBackConnection(PooledConnection):
    """A connection that seems to be in autocommit mode, and commits nothing."""

    __slots__ = ("deferred", "has_committed", "in_block")

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 # psycopg2's
        super().__init__(*arguments)
        self.autocommit = True
        self.in_block = False
        self.has_committed = False
        self.cursor_factory = RolledBackCursor
        self.deferred: str | None = self._send(DEFERRED)[0][0]

    @property
    def info(self) -> Info:
        return Info(self)

    def get_transaction_status(self) -> int:
        """The status as the code under test has made it."""
        status = super().get_transaction_status()
        is_own = status == TRANSACTION_STATUS_INTRANS and not self.in_block
        return TRANSACTION_STATUS_IDLE if is_own else status

    def close(self) -> None:
        """Undo an open transaction of the code under test, as a server does; stay open."""
        if not self.closed:
            self.control("roll_back")

    def begin_test(self) -> None:
        if super().get_transaction_status() == TRANSACTION_STATUS_IDLE:
            self._send("BEGIN")

    def end_test(self) -> None:
        self.in_block = False
        self._send(RESET)

    def disconnect(self) -> None:
        super().close()

    def control(self, verb: str | None) -> None:
        """Begin, commit or roll back the transaction of the code under test."""
        if verb == "begin" and not self.in_block:
            self._send("SAVEPOINT block")
            self.in_block = True
        elif verb == "commit" and self.in_block and not self._has_failed():
            self._check_deferred()
            self._send("RELEASE block")
            self.in_block = False
        elif verb != "begin" and self.in_block:  # COMMIT rolls back a transaction that has failed
            self._send("ROLLBACK TO block; RELEASE block")
            self.in_block = False

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Keep the test's transaction, whatever a statement does."""
        is_alone = not self.in_block
        if is_alone:
            self._send("SAVEPOINT statement")
        try:
            yield
            self._refuse_commit()
            if is_alone:
                self._check_deferred()
        except BaseException:
            if is_alone and self._has_failed():
                self._send("ROLLBACK TO statement; RELEASE statement")
            raise
        if is_alone:
            self._send("RELEASE statement")

    def _has_failed(self) -> bool:
        return super().get_transaction_status() == TRANSACTION_STATUS_INERROR

    def _refuse_commit(self) -> None:
        if super().get_transaction_status() == TRANSACTION_STATUS_IDLE:
            self.has_committed = True
            raise FixtureError(
                "a statement has ended the transaction of a test that takes `db`",
                "let the test take `committing_db`; or send BEGIN and COMMIT as statements of "
                "their own.",
            )

    def _check_deferred(self) -> None:
        if self.deferred:
            for mode in ("IMMEDIATE", "DEFERRED"):
                self._send(f"SET CONSTRAINTS {self.deferred} {mode}")

    def _send(self, statement: str) -> list[tuple[Any, ...]]:
        with extensions.cursor(self) as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


class OneConnection:
    """The connection of all rolled-back tests: `open` is the connection factory of their pool."""

    def __init__(self) -> None:
        self.connection: RolledBackConnection | None = None

    def open(self, *arguments: Any) -> RolledBackConnection:  # noqa: ANN401 # psycopg2's
        if self.connection and not self.connection.closed:
            with suppress(psycopg2.Error):  # the server has ended the session
                self.connection.begin_test()
                return self.connection
        self.connection = RolledBackConnection(*arguments)
        self.connection.begin_test()
        return self.connection

    def end_test(self) -> bool:
        """Roll back; False where a statement has committed its work."""
        if not self.connection:
            return True
        if self.connection.has_committed:
            self.close()
            return False
        try:
            self.connection.end_test()
        except psycopg2.Error:  # the test has lost the connection, and its work
            self.close()
        return True

    def close(self) -> None:
        if self.connection:
            self.connection.disconnect()
        self.connection = None
