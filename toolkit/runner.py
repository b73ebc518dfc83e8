"""One step: a file's migrate() or rollback(), and the row that records it, whole or not at all."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import partial
from time import sleep
from typing import TYPE_CHECKING

from psycopg2.extensions import (
    TRANSACTION_STATUS_IDLE,
    TRANSACTION_STATUS_INERROR,
    TRANSACTION_STATUS_INTRANS,
)

from toolkit import failure
from toolkit.blockers import watched
from toolkit.errors import (
    LockTimeoutError,
    MigrationError,
    MigrationFailedError,
    TransactionEndedError,
)
from toolkit.history import History
from toolkit.operations import Operations
from toolkit.statements import Statement, change_settings, noted
from toolkit.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from peewee import PostgresqlDatabase

    from toolkit.blockers import Watch
    from toolkit.files import MigrationFile
    from toolkit.lock import MigrationLock
    from toolkit.plan import Step

RETRY_PAUSES = (0.5, 1.0, 2.0)
LOCK_NOT_AVAILABLE = "55P03"
# But for those of partitioned tables, which wait for their parts, and what others are building.
INVALID_INDEXES = """
SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
WHERE NOT indisvalid AND relkind = 'i' AND NOT EXISTS (
    SELECT FROM pg_stat_progress_create_index
    WHERE index_relid = indexrelid AND pid <> pg_backend_pid()
)
"""


class Runner:
    """Runs steps on one connection, which holds the migrations' lock.

    `applied` are the steps before, in the order of being applied; `lock_timeout` is in seconds.
    No step begins once `is_interrupted` says so.
    """

    def __init__(
        self,
        database: PostgresqlDatabase,
        lock: MigrationLock,
        applied: Sequence[Step],
        lock_timeout: float,
        is_interrupted: Callable[[], bool],
    ) -> None:
        self.database = database
        self.history = History(database)
        self.lock = lock
        self.lock_timeout = lock_timeout
        self.is_interrupted = is_interrupted
        self.applied = list(applied)
        self.done: list[str] = []
        self.operations = self._fresh_operations()

    def apply(self, step: Step) -> list[str]:
        """Run the file's migrate() and record it; returns the statements as they were sent."""
        file = _file_of(step)
        record = partial(self.history.add, step.name, file.checksum)
        sent = self._run(file, "migrate", record)
        self.applied.append(step)
        self.done.append(step.name)
        return sent

    def roll_back(self, step: Step) -> list[str]:
        """Run the file's rollback() and forget it; returns the statements as they were sent."""
        sent = self._run(_file_of(step), "rollback", partial(self.history.remove, step.name))
        self.applied = [other for other in self.applied if other.name != step.name]
        self.done.append(f"{step.name} rolled back")
        # The models that this one left are no longer those of the database.
        self.operations = self._fresh_operations()
        return sent

    def _run(self, file: MigrationFile, function: str, record: Callable[[str], None]) -> list[str]:
        """Run one function; one that waits for a lock in vain is tried again, after a pause.

        The last try is watched, to name who stands in its way.
        """
        if self.is_interrupted():
            text = f"{file.place}: interrupted before it\n  done before: {self._done_before()}"
            raise MigrationFailedError(text) from KeyboardInterrupt()
        for pause in RETRY_PAUSES if file.content.atomic else ():
            try:
                return self._try(Attempt(file, function, record))
            except LockTimeoutError:
                sleep(pause)
        with watched(self.database, self._lock_timeout(file)) as watch:
            return self._try(Attempt(file, function, record, watch))

    def _try(self, attempt: Attempt) -> list[str]:
        try:
            if attempt.file.content.atomic:
                self._inside(attempt)
            else:
                self._outside(attempt)
        except BaseException as last:  # sys.exit() in a file is a failure too
            error = failure.first(last)
            failed = self._failed(attempt, error)
            # Nothing that was queued or remembered by what failed reaches a later step.
            self.operations = self._fresh_operations()
            raise failed from (None if failure.is_sql(error) else error)
        return [statement.sent for statement in attempt.statements]

    def _inside(self, attempt: Attempt) -> None:
        """Work and record in one transaction."""
        with Transaction(self.database) as transaction:
            self.lock.enter(self._lock_timeout(attempt.file), transaction.begin)
            self._call(attempt)
            status = self._transaction_status()
            if status == TRANSACTION_STATUS_INERROR:
                raise MigrationError(
                    "it caught an error of the server, after which its transaction takes nothing "
                    "more: try what may fail `with database.atomic()`"
                )
            if status != TRANSACTION_STATUS_INTRANS:
                raise TransactionEndedError("its SQL ended the transaction it ran in")
            self._finish(attempt, transaction.end)

    def _outside(self, attempt: Attempt) -> None:
        """Work outside of a transaction, and record it when it is through."""
        self.lock.check()
        attempt.invalid_before = self._invalid_indexes()
        self._set_lock_timeout(self._lock_timeout(attempt.file))
        try:
            self._call(attempt)
            if self._transaction_status() != TRANSACTION_STATUS_IDLE:
                raise MigrationError(
                    "it leaves a transaction open, which is undone: end it in the file, or leave "
                    "out `atomic = False`"
                )
        finally:
            self._leave()
        if self._left_invalid(attempt):
            raise MigrationError("it leaves an index INVALID")
        self.lock.check()
        self._finish(attempt)

    def _call(self, attempt: Attempt) -> None:
        file = attempt.file
        self.operations.path = str(file.path)
        with noted(self.database, attempt.statements, transaction=file.content.atomic):
            file.load()(attempt.function)(self.operations, self.database, fake=False)
            self.operations()

    def _finish(self, attempt: Attempt, end: str = "") -> None:
        """Record what is through; the settings that it leaves are not the next one's."""
        if change_settings(attempt.statements):
            self.lock.reset_session()
        attempt.recording = True
        attempt.record(end)

    def _leave(self) -> None:
        """Leave what ran outside of a transaction as it was entered."""
        connection = self.database.connection()
        if connection.closed:
            return
        connection.rollback()  # of a transaction that the driver knows of
        if connection.get_transaction_status() != TRANSACTION_STATUS_IDLE:
            self.database.execute_sql("ROLLBACK")
        connection.autocommit = True
        self.database.execute_sql("RESET lock_timeout")

    def _transaction_status(self) -> int:
        return int(self.database.connection().get_transaction_status())

    def _lock_timeout(self, file: MigrationFile) -> float:
        said = file.content.lock_timeout
        return self.lock_timeout if said is None else said

    def _set_lock_timeout(self, seconds: float) -> None:
        self.database.execute_sql(
            "SELECT set_config('lock_timeout', %s, false)", (f"{seconds * 1000:.0f}ms",)
        )

    def _invalid_indexes(self) -> set[str]:
        return {name for (name,) in self.database.execute_sql(INVALID_INDEXES).fetchall()}

    def _left_invalid(self, attempt: Attempt) -> list[str]:
        """Indexes that are invalid now, but for older ones that its SQL does not speak of."""
        if self.database.connection().closed:
            return []
        said = "\n".join(statement.text for statement in attempt.statements)
        strangers = {name for name in attempt.invalid_before if not _is_named(name, said)}
        return sorted(self._invalid_indexes() - strangers)

    def _fresh_operations(self) -> Operations:
        return Operations(self.database, partial(_replay, tuple(self.applied)))

    def _failed(self, attempt: Attempt, error: BaseException) -> MigrationFailedError:
        """The error in words: where, what, the way out, and what is left."""
        file = attempt.file
        line = failure.line_in(str(file.path), error) or self.operations.line
        place = f"{file.place}:{line}" if line else file.place
        work = "its rollback" if attempt.function == "rollback" else "it"
        lines = [f"{place}: {work} failed: {failure.told(error, attempt.statements)}"]
        if failure.is_sql(error) and attempt.statements:
            lines.append(f"statement: {failure.shortened(attempt.statements[-1].text)}")
        if attempt.watch and attempt.watch.blocker:
            lines.append(f"it waited for {failure.shortened(attempt.watch.blocker)}")
        if not file.content.atomic:
            lines += [
                f"an index is INVALID: `DROP INDEX CONCURRENTLY {name}` before the next try"
                for name in self._left_invalid(attempt)
            ]
        lines.append(f"{self._left(attempt, error)}; done before it: {self._done_before()}")
        no_lock = failure.sqlstate(error) == LOCK_NOT_AVAILABLE
        return (LockTimeoutError if no_lock else MigrationFailedError)("\n  ".join(lines))

    def _left(self, attempt: Attempt, error: BaseException) -> str:
        """What is left of the work of what failed: it may have come as far as its end."""
        if attempt.recording and self.database.connection().closed:
            return "whether its own work stays, `invoke migrate-status` tells"
        if attempt.recording and self._is_recorded(attempt):
            return "its own work is done and recorded"
        if attempt.file.content.atomic and not isinstance(error, TransactionEndedError):
            return "its own work is undone"
        return "its own work stays as far as it came, and is not recorded"

    def _is_recorded(self, attempt: Attempt) -> bool:
        applied = {record.name for record in self.history.records()}
        return (attempt.file.name in applied) is (attempt.function == "migrate")

    def _done_before(self) -> str:
        return ", ".join(self.done) or "nothing"


@dataclass
class Attempt:
    """One run of one function of a file; `record` writes down that it is through.

    It takes what to send behind that, in the same round trip. `recording` is true from then on.
    """

    file: MigrationFile
    function: str
    record: Callable[[str], None]
    watch: Watch | None = None
    statements: list[Statement] = field(default_factory=list)
    invalid_before: set[str] = field(default_factory=set)
    recording: bool = False


def _is_named(index: str, text: str) -> bool:
    name = re.escape(index.rpartition(".")[2].strip('"'))
    return re.search(rf"(?<!\w){name}(?!\w)", text) is not None


def _file_of(step: Step) -> MigrationFile:
    assert step.file is not None  # noqa: S101 # the plan refuses a step without one
    return step.file


def _replay(applied: Sequence[Step], operations: Operations) -> None:
    """Run the applied files to learn what models they left; reaches no server."""
    for step in applied:
        if step.file is None:
            raise MigrationError(
                f"it asks for what {step.name} left, and the file of that is gone: restore it"
            )
        operations.path = str(step.file.path)
        try:
            step.file.load()("migrate")(operations, operations.database, fake=True)
        except Exception as error:  # a file may raise anything
            raise MigrationError(
                f"it asks for what the applied migrations left, and {step.file.place} cannot be "
                f"run without a database: {type(error).__name__}: {error}. Skip in it what needs "
                f"rows, where `fake` is true, and `invoke migrate-accept {step.name}`"
            ) from error
        operations.take()
