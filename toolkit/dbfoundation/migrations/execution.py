"""One attempt: a function of a file and its record, in a transaction or outside of one.

In a transaction, both commit together, and the record is refused in another transaction than the
one in which the step began. Outside of one, the record follows at the end.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from psycopg2.extensions import (
    STATUS_READY,
    TRANSACTION_STATUS_IDLE,
    TRANSACTION_STATUS_INERROR,
    TRANSACTION_STATUS_INTRANS,
)

from dbfoundation.errors import MigrationError, TransactionEndedError
from dbfoundation.migrations.constraints import check_deferred
from dbfoundation.migrations.invalid_indexes import find_invalid_indexes, find_new_invalid_indexes
from dbfoundation.migrations.transaction import (
    SERVER_START,
    STEP_BEGINS,
    has_sent,
    roll_back,
    undo,
)
from dbfoundation.runtime.recording import observe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import PostgresqlDatabase
    from psycopg2.extensions import connection as Connection  # noqa: N812 # a class

    from dbfoundation.migrations.attempt import Attempt
    from dbfoundation.migrations.lock import MigrationLock
    from dbfoundation.migrations.operations import StrictMigrator

ENDED = (
    "the file ended the transaction of the step.\n"
    "Fix: remove its COMMIT or ROLLBACK, or set `atomic = False`"
)
NOT_SET = (None, None, None)


class Execution:
    """Executes attempts on one connection, which holds the migrations' lock.

    The caller of a dry run has begun a transaction.
    """

    def __init__(self, database: PostgresqlDatabase, lock: MigrationLock) -> None:
        self.database = database
        self.lock = lock

    def run(self, attempt: Attempt, migrator: StrictMigrator, lock_timeout: float) -> None:
        """Do the work and record it; `lock_timeout` is in seconds."""
        if attempt.file.content.atomic:
            self._in_transaction(attempt, migrator, lock_timeout)
        else:
            self._without_transaction(attempt, migrator, lock_timeout)

    def new_invalid_indexes(self, attempt: Attempt) -> list[str]:
        """The invalid indexes of an attempt; a transaction leaves none."""
        if attempt.file.content.atomic or self.database.connection().closed:
            return []
        named = attempt.recorder.named
        return find_new_invalid_indexes(self.database, attempt.invalid_before, named)

    def _in_transaction(
        self, attempt: Attempt, migrator: StrictMigrator, lock_timeout: float
    ) -> None:
        is_dry_run = self.database.in_transaction()
        connection = self.database.connection()
        try:
            with self.database.atomic():
                attempt.transaction, attempt.server_start = self.lock.begin_step(lock_timeout)
                with self._undoing(attempt, connection):
                    self._call(attempt, migrator)
                    self._assert_in_transaction()
                    if is_dry_run:
                        check_deferred(self.database)
                    self._record(attempt)
        finally:
            if not is_dry_run:
                self._end_transaction()

    @contextmanager
    def _undoing(self, attempt: Attempt, connection: Connection) -> Iterator[None]:
        """Keep the first error, and undo the step while its transaction is still open.

        A file may have left it open on a connection that the database has forgotten.
        """
        try:
            yield
        except BaseException as error:  # a file may call sys.exit()
            attempt.error = error
            attempt.is_undone = undo(self.database)
            if self.database.connection() is not connection:
                connection.close()
            raise

    def _assert_in_transaction(self) -> None:
        """Raise MigrationError when the transaction has failed, or has ended."""
        status = self._transaction_status()
        if status == TRANSACTION_STATUS_INERROR:
            raise MigrationError(
                "the file caught an error of the server, after which a transaction accepts no "
                "statement.\nFix: put statements that may fail into `with database.atomic():`"
            )
        if status != TRANSACTION_STATUS_INTRANS:
            raise TransactionEndedError(ENDED)

    def _end_transaction(self) -> None:
        """Roll back a transaction that is left open, as at a Ctrl-C just before its COMMIT.

        A file may also have left psycopg2's own transactions switched on.
        """
        connection = self.database.connection()
        if connection.closed:
            return
        if connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            roll_back(self.database)
        if not connection.autocommit:
            connection.rollback()
            connection.autocommit = True
        if (connection.isolation_level, connection.readonly, connection.deferrable) != NOT_SET:
            connection.set_session("DEFAULT", "DEFAULT", "DEFAULT")

    def _without_transaction(
        self, attempt: Attempt, migrator: StrictMigrator, lock_timeout: float
    ) -> None:
        self.lock.assert_held_by_session()
        attempt.invalid_before = find_invalid_indexes(self.database)
        attempt.recorder.names = attempt.invalid_before
        cursor = self.database.execute_sql(
            f"{STEP_BEGINS} SELECT set_config('lock_timeout', %s, false), {SERVER_START}",
            (f"{lock_timeout * 1000:.0f}ms",),
        )
        _, attempt.server_start = cursor.fetchone()
        try:
            self._call(attempt, migrator)
            self._assert_no_transaction()
        except BaseException as error:
            attempt.error = error
            raise
        finally:
            self._restore_session()
        if self.new_invalid_indexes(attempt):
            raise MigrationError("the file leaves an index INVALID")
        self.lock.assert_held_by_session()
        self._record(attempt)

    def _assert_no_transaction(self) -> None:
        if self._transaction_status() != TRANSACTION_STATUS_IDLE:
            raise MigrationError(
                "the file leaves a transaction open, which is rolled back.\n"
                "Fix: end it in the file, or remove `atomic = False`"
            )

    def _restore_session(self) -> None:
        """End a transaction that a file left open, and restore autocommit and lock_timeout."""
        self._end_transaction()
        if not self.database.connection().closed:
            self.database.execute_sql("RESET lock_timeout")

    def _call(self, attempt: Attempt, migrator: StrictMigrator) -> None:
        file = attempt.file
        migrator.begin_file()
        depth, transaction = self.database.transaction_depth(), self.database.top_transaction()
        try:
            with observe(self.database.connection(), attempt.recorder):
                file.load(attempt.function)(migrator, self.database, fake=False)
        finally:
            # Peewee would not commit the step inside of a session_start() that is still open, and
            # would not end it after session_commit().
            while self.database.transaction_depth() > depth:
                self.database.pop_transaction()
            while self.database.transaction_depth() < depth:
                self.database.push_transaction(transaction)
            self._restore_autocommit()
        self._assert_not_empty(attempt, migrator)

    def _restore_autocommit(self) -> None:
        """Keep psycopg2 from sending its own BEGIN before the next statement.

        Inside of its own transaction it sends none, and does not allow the change.
        """
        connection = self.database.connection()
        if not (connection.closed or connection.autocommit) and connection.status == STATUS_READY:
            connection.autocommit = True

    def _assert_not_empty(self, attempt: Attempt, migrator: StrictMigrator) -> None:
        """Raise MigrationError for a function that sent no statement and did not say so."""
        if attempt.recorder.count or migrator.is_noop or has_sent(self.database):
            return
        raise MigrationError(
            f"{attempt.function}() sent no statement.\n"
            "Fix: write its statements, or `migrator.noop()` if it has nothing to do"
        )

    def _record(self, attempt: Attempt) -> None:
        """Change the history; the settings that the file changed are reset."""
        if attempt.recorder.changes_settings:
            self.lock.reset_session()
        attempt.is_recording = True
        transaction = attempt.record()
        if attempt.transaction not in (None, transaction):
            raise TransactionEndedError(ENDED)
        attempt.is_recorded = True

    def _transaction_status(self) -> int:
        return int(self.database.connection().get_transaction_status())
