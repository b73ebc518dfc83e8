"""One step: a file's migrate() or rollback(), and the row that records it, whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from time import sleep
from traceback import walk_tb
from typing import TYPE_CHECKING

from peewee import PeeweeException
from psycopg2.extensions import TRANSACTION_STATUS_INTRANS

from toolkit.blockers import watched
from toolkit.errors import (
    LockTimeoutError,
    MigrationError,
    MigrationFailedError,
    ToolkitError,
    TransactionEndedError,
)
from toolkit.history import History
from toolkit.operations import Operations
from toolkit.statements import Statement, noted
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
INVALID_INDEXES = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
SHOWN_CHARACTERS = 300


class Runner:
    """Runs steps on one connection, which holds the migrations' lock.

    `applied` are the steps before, in the order of being applied; `lock_timeout` is in seconds.
    """

    def __init__(
        self,
        database: PostgresqlDatabase,
        lock: MigrationLock,
        applied: Sequence[Step],
        lock_timeout: float,
    ) -> None:
        self.database = database
        self.history = History(database)
        self.lock = lock
        self.lock_timeout = lock_timeout
        self.applied = list(applied)
        self.done: list[str] = []
        self.operations = self._fresh_operations()

    def apply(self, step: Step) -> list[str]:
        """Run the file's migrate() and record it; returns the statements as they were sent."""
        file = _file_of(step)
        record = partial(self.history.add, step.name, file.checksum)
        sent = self._run(file, "migrate", record)
        self.applied.append(step)
        return sent

    def roll_back(self, step: Step) -> list[str]:
        """Run the file's rollback() and forget it; returns the statements as they were sent."""
        sent = self._run(_file_of(step), "rollback", partial(self.history.remove, step.name))
        self.applied = [other for other in self.applied if other.name != step.name]
        return sent

    def _run(self, file: MigrationFile, function: str, record: Callable[[str], None]) -> list[str]:
        """Run one function; one that waits for a lock in vain is tried again, after a pause.

        The last try is watched, to name who stands in its way.
        """
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
            error = _first(last)
            failure = self._failure(attempt, error)
            # Nothing that was queued or remembered by what failed reaches a later step.
            self.operations = self._fresh_operations()
            # The driver's own error quotes the statement with its parameters.
            raise failure from (None if isinstance(error, PeeweeException) else error)
        self.done.append(attempt.file.name)
        return [statement.sent for statement in attempt.statements]

    def _inside(self, attempt: Attempt) -> None:
        """Work and record in one transaction."""
        with Transaction(self.database) as transaction:
            self.lock.enter(self._lock_timeout(attempt.file), transaction.begin)
            self._call(attempt)
            if self.database.connection().info.transaction_status != TRANSACTION_STATUS_INTRANS:
                raise TransactionEndedError("its SQL ended the transaction it ran in")
            attempt.record(transaction.end)

    def _outside(self, attempt: Attempt) -> None:
        """Work outside of a transaction, and record it when it is through."""
        timeout = self._lock_timeout(attempt.file)
        self.lock.enter(timeout)
        attempt.invalid_before = self._invalid_indexes()
        self._set_lock_timeout(timeout)
        try:
            self._call(attempt)
        finally:
            if not self.database.connection().closed:
                self.database.execute_sql("RESET lock_timeout")
        if self._left_invalid(attempt):
            raise MigrationError("it leaves an index INVALID")
        attempt.record("")

    def _call(self, attempt: Attempt) -> None:
        file = attempt.file
        self.operations.path = str(file.path)
        with noted(self.database, attempt.statements, transaction=file.content.atomic):
            file.load()(attempt.function)(self.operations, self.database, fake=False)
            self.operations()

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
        """Indexes that are invalid now, but for older ones that the file does not speak of."""
        if self.database.connection().closed:
            return []
        source, before = attempt.file.source.decode(), attempt.invalid_before
        strangers = {name for name in before if name.rpartition(".")[2].strip('"') not in source}
        return sorted(self._invalid_indexes() - strangers)

    def _fresh_operations(self) -> Operations:
        return Operations(self.database, partial(_replay, tuple(self.applied)))

    def _failure(self, attempt: Attempt, error: BaseException) -> MigrationFailedError:
        """The error in words: where, what, the way out, and what is left."""
        file = attempt.file
        line = _line(file, error) or self.operations.line
        place = f"{file.place}:{line}" if line else file.place
        work = "its rollback" if attempt.function == "rollback" else "it"
        lines = [f"{place}: {work} failed: {_told(error, attempt.statements)}"]
        if isinstance(error, PeeweeException) and attempt.statements:
            lines.append(f"statement: {_shortened(attempt.statements[-1].text)}")
        if attempt.watch and attempt.watch.blocker:
            lines.append(f"it waited for {_shortened(attempt.watch.blocker)}")
        if not file.content.atomic:
            lines += [
                f"an index is INVALID: `DROP INDEX CONCURRENTLY {name}` before the next try"
                for name in self._left_invalid(attempt)
            ]
        undone = file.content.atomic and not isinstance(error, TransactionEndedError)
        left = "is undone" if undone else "stays as far as it came, and is not recorded"
        before = ", ".join(self.done) or "nothing"
        lines.append(f"its own work {left}; done before it: {before}")
        kind = LockTimeoutError if _sqlstate(error) == LOCK_NOT_AVAILABLE else MigrationFailedError
        return kind("\n  ".join(lines))


@dataclass
class Attempt:
    """One run of one function of a file; `record` writes down that it is through.

    It takes what to send behind that, in the same round trip.
    """

    file: MigrationFile
    function: str
    record: Callable[[str], None]
    watch: Watch | None = None
    statements: list[Statement] = field(default_factory=list)
    invalid_before: set[str] = field(default_factory=set)


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
                "rows, where `fake` is true"
            ) from error
        operations.take()


def _line(file: MigrationFile, error: BaseException) -> int | None:
    """The line of the file that an exception came through last."""
    path = str(file.path)
    frames = walk_tb(error.__traceback__)
    lines = [number for frame, number in frames if frame.f_code.co_filename == path]
    return lines[-1] if lines else None


def _first(error: BaseException) -> BaseException:
    """What went wrong first: where the connection is gone, the rollback after it fails as well."""
    while type(error).__name__ == "InterfaceError" and error.__context__ is not None:
        error = error.__context__
    return error


def _sqlstate(error: BaseException) -> str | None:
    return getattr(getattr(error, "orig", None), "pgcode", None)


def _told(error: BaseException, statements: Sequence[Statement]) -> str:
    """What the server said, without parameters; or the exception."""
    diagnosis = getattr(getattr(error, "orig", None), "diag", None)
    if diagnosis is not None and diagnosis.message_primary and statements:
        hint = f" (hint: {diagnosis.message_hint})" if diagnosis.message_hint else ""
        return statements[-1].hide_values(diagnosis.message_primary + hint)
    if isinstance(error, ToolkitError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return " ".join(f"{type(error).__name__}: {error}".split())


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}..."
