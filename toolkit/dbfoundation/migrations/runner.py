"""One step: a file's migrate() or rollback() and its record in the history, both or neither."""

from __future__ import annotations

from functools import partial
from time import sleep
from typing import TYPE_CHECKING

from psycopg2.extensions import (
    TRANSACTION_STATUS_IDLE,
    TRANSACTION_STATUS_INERROR,
    TRANSACTION_STATUS_INTRANS,
)

from dbfoundation.errors import (
    LockTimeoutError,
    MigrationError,
    MigrationFailedError,
    TransactionEndedError,
)
from dbfoundation.migrations.attempt import Attempt
from dbfoundation.migrations.failure import describe_failure, is_sql_error, root_cause
from dbfoundation.migrations.history import History
from dbfoundation.migrations.invalid_indexes import find_invalid_indexes, find_new_invalid_indexes
from dbfoundation.migrations.lock_watcher import watch_lock
from dbfoundation.migrations.operations import StrictMigrator
from dbfoundation.migrations.replay import replay
from dbfoundation.migrations.statements import change_settings, record_statements

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from peewee import PostgresqlDatabase

    from dbfoundation.migrations.files import MigrationFile
    from dbfoundation.migrations.lock import MigrationLock
    from dbfoundation.migrations.plan import Step
    from dbfoundation.migrations.server_wide import ServerGuard

RETRY_PAUSES = (0.5, 1.0, 2.0)


class Runner:
    """Runs steps on one connection, which holds the migrations' lock.

    `applied` are the steps before, in the order of applying; `table_lock_timeout` is in seconds. No
    step begins after `is_interrupted` returns True. A proof sets `guard`.
    """

    def __init__(
        self,
        database: PostgresqlDatabase,
        lock: MigrationLock,
        applied: Sequence[Step],
        table_lock_timeout: float,
        is_interrupted: Callable[[], bool],
    ) -> None:
        self.database = database
        self.history = History(database)
        self.lock = lock
        self.table_lock_timeout = table_lock_timeout
        self.is_interrupted = is_interrupted
        self.applied = list(applied)
        self.done: list[str] = []
        self.guard: ServerGuard | None = None
        self.migrator = self._new_migrator()

    def apply(self, step: Step) -> list[str]:
        """Run the file's migrate() and record it; returns the statements, as sent."""
        file = _file_of(step)
        record = partial(self.history.add, step.name, file.checksum)
        sent = self._run(file, "migrate", record)
        self.applied.append(step)
        self.done.append(step.name)
        return sent

    def roll_back(self, step: Step) -> list[str]:
        """Run the file's rollback() and delete its record; returns the statements, as sent."""
        sent = self._run(_file_of(step), "rollback", partial(self.history.remove, step.name))
        self.applied = [other for other in self.applied if other.name != step.name]
        self.done.append(f"{step.name} rolled back")
        # Its models differ from those of the database now.
        self.migrator = self._new_migrator()
        return sent

    def _run(self, file: MigrationFile, function: str, record: Callable[[], None]) -> list[str]:
        """Run one function; retry after a pause when it could not get a lock.

        A watcher looks for the blocking session during the last try.
        """
        if self.is_interrupted():
            text = f"{file.place}: not run, because of an interruption\n  {self._done_before()}"
            raise MigrationFailedError(text) from KeyboardInterrupt()
        for pause in RETRY_PAUSES if file.content.atomic else ():
            try:
                return self._try(Attempt(file, function, record))
            except LockTimeoutError:
                sleep(pause)
        with watch_lock(self.database, self._lock_timeout(file)) as watcher:
            return self._try(Attempt(file, function, record, watcher))

    def _try(self, attempt: Attempt) -> list[str]:
        try:
            if attempt.file.content.atomic:
                self._in_transaction(attempt)
            else:
                self._without_transaction(attempt)
        except BaseException as last:  # a file may call sys.exit()
            error = root_cause(last)
            failed = self._describe(attempt, error)
            # Queued operations and models of the failed attempt must not reach a later step.
            self.migrator = self._new_migrator()
            raise failed from (None if is_sql_error(error) else error)
        return [statement.sent for statement in attempt.statements]

    def _in_transaction(self, attempt: Attempt) -> None:
        """Do the work and record it in one transaction, or in a savepoint of a dry run."""
        try:
            with self.database.atomic():
                self.lock.assert_held(self._lock_timeout(attempt.file))
                self._call(attempt)
                self._assert_in_transaction()
                self._record(attempt)
        finally:
            self._roll_back_open_transaction()

    def _assert_in_transaction(self) -> None:
        """Raise MigrationError when the transaction has failed, or has ended by other means."""
        status = self._transaction_status()
        if status == TRANSACTION_STATUS_INERROR:
            raise MigrationError(
                "the file caught an error of the server, after which a transaction accepts no "
                "statement.\nFix: put statements that may fail into `with database.atomic():`"
            )
        if status != TRANSACTION_STATUS_INTRANS:
            raise TransactionEndedError(
                "the file ended the transaction of the step.\n"
                "Fix: remove its COMMIT or ROLLBACK, or set `atomic = False`"
            )

    def _roll_back_open_transaction(self) -> None:
        """Roll back a transaction that Peewee left open, as at a Ctrl-C just before its COMMIT."""
        connection = self.database.connection()
        if self.database.in_transaction() or connection.closed:
            return
        if connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            self.database.transaction().rollback(begin=False)

    def _without_transaction(self, attempt: Attempt) -> None:
        """Do the work outside of a transaction, and record it at the end."""
        self.lock.assert_held_by_session()
        attempt.invalid_before = find_invalid_indexes(self.database)
        self._set_lock_timeout(self._lock_timeout(attempt.file))
        try:
            self._call(attempt)
            if self._transaction_status() != TRANSACTION_STATUS_IDLE:
                raise MigrationError(
                    "the file leaves a transaction open, which is rolled back.\n"
                    "Fix: end it in the file, or remove `atomic = False`"
                )
        finally:
            self._restore_session()
        if self._new_invalid_indexes(attempt):
            raise MigrationError("the file leaves an index INVALID")
        self.lock.assert_held_by_session()
        self._record(attempt)

    def _call(self, attempt: Attempt) -> None:
        file = attempt.file
        self.migrator.path = str(file.path)
        depth = self.database.transaction_depth()
        try:
            with record_statements(
                self.database,
                attempt.statements,
                in_transaction=file.content.atomic,
                guard=self.guard,
            ):
                file.load(attempt.function)(self.migrator, self.database, fake=False)
                self.migrator()
        finally:
            # Peewee would not commit the step inside of a session_start() that is still open.
            while self.database.transaction_depth() > depth:
                self.database.pop_transaction()

    def _record(self, attempt: Attempt) -> None:
        """Change the history; the settings that the file changed are reset."""
        if change_settings(attempt.statements):
            self.lock.reset_session()
        attempt.is_recording = True
        attempt.record()

    def _restore_session(self) -> None:
        """End a transaction that a file left open, and restore autocommit and lock_timeout."""
        connection = self.database.connection()
        if connection.closed:
            return
        connection.rollback()  # of a transaction that the driver knows
        if connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            self.database.execute_sql("ROLLBACK")
        connection.autocommit = True
        self.database.execute_sql("RESET lock_timeout")

    def _transaction_status(self) -> int:
        return int(self.database.connection().get_transaction_status())

    def _lock_timeout(self, file: MigrationFile) -> float:
        own = file.content.lock_timeout
        return self.table_lock_timeout if own is None else own

    def _set_lock_timeout(self, seconds: float) -> None:
        self.database.execute_sql(
            "SELECT set_config('lock_timeout', %s, false)", (f"{seconds * 1000:.0f}ms",)
        )

    def _new_invalid_indexes(self, attempt: Attempt) -> list[str]:
        """The invalid indexes of an attempt; a transaction leaves none."""
        if attempt.file.content.atomic or self.database.connection().closed:
            return []
        return find_new_invalid_indexes(self.database, attempt.invalid_before, attempt.statements)

    def _describe(self, attempt: Attempt, error: BaseException) -> MigrationFailedError:
        outcome = f"{self._outcome(attempt, error)}; {self._done_before()}"
        invalid = self._new_invalid_indexes(attempt)
        return describe_failure(
            attempt, error, line=self.migrator.line, invalid_indexes=invalid, outcome=outcome
        )

    def _outcome(self, attempt: Attempt, error: BaseException) -> str:
        """The state of a failed step in the database; the failure may follow the commit."""
        is_dry_run = self.database.in_transaction()
        if attempt.is_recording and not is_dry_run:
            if self.database.connection().closed:
                return "the connection is lost: `invoke migrate-status` shows if the step is done"
            if self._is_recorded(attempt):
                return "the step is done and recorded"
        if attempt.file.content.atomic and not isinstance(error, TransactionEndedError):
            return "the step is undone"
        return "the statements before the failure remain, and the step is not recorded"

    def _is_recorded(self, attempt: Attempt) -> bool:
        applied = {record.name for record in self.history.records()}
        return (attempt.file.name in applied) is (attempt.function == "migrate")

    def _done_before(self) -> str:
        return f"done before: {', '.join(self.done) or 'nothing'}"

    def _new_migrator(self) -> StrictMigrator:
        return StrictMigrator(self.database, partial(replay, tuple(self.applied)))


def _file_of(step: Step) -> MigrationFile:
    assert step.file is not None  # noqa: S101 # the plan refuses a step without a file
    return step.file
