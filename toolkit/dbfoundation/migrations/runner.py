"""The steps of one run: tried, retried where a table was locked, and described when they fail."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from time import sleep
from typing import TYPE_CHECKING

from peewee import PeeweeException

from dbfoundation.errors import LockTimeoutError, MigrationFailedError
from dbfoundation.migrations.attempt import Attempt
from dbfoundation.migrations.execution import Execution
from dbfoundation.migrations.failure import describe_failure, is_sql_error, root_cause
from dbfoundation.migrations.lock_watcher import watch_lock
from dbfoundation.migrations.operations import StrictMigrator
from dbfoundation.migrations.outcome import UNKNOWN, describe_done, describe_outcome
from dbfoundation.migrations.record import record_applied
from dbfoundation.migrations.replay import replay
from dbfoundation.migrations.statements import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dbfoundation.migrations.files import MigrationFile
    from dbfoundation.migrations.history import History
    from dbfoundation.migrations.lock import MigrationLock
    from dbfoundation.migrations.lock_watcher import LockWatcher
    from dbfoundation.migrations.server_wide import ServerGuard
    from dbfoundation.migrations.step import Step

RETRY_PAUSES = (0.5, 1.0, 2.0)
# Each Ctrl-C interrupts the description of a failure once.
INTERRUPTIONS = 3


class Runner:
    """Runs steps on the history's connection, which holds the migrations' lock.

    `applied` are the steps before, in the order of applying; `table_lock_timeout` is in seconds. No
    step begins after `is_interrupted` returns True. `attempt` is the last one. A dry run runs in a
    transaction of its caller, and keeps the statements that it sends. A proof sets `guard`.
    """

    def __init__(  # noqa: PLR0913 # one place creates it
        self,
        history: History,
        lock: MigrationLock,
        applied: Sequence[Step],
        table_lock_timeout: float,
        is_interrupted: Callable[[], bool],
        *,
        is_dry_run: bool = False,
    ) -> None:
        self.database = history.database
        self.history = history
        self.execution = Execution(self.database, lock)
        self.table_lock_timeout = table_lock_timeout
        self.is_interrupted = is_interrupted
        self.is_dry_run = is_dry_run
        self.applied = list(applied)
        self.done: list[str] = []
        self.guard: ServerGuard | None = None
        self.migrator = self._new_migrator()
        self.attempt: Attempt | None = None

    def apply(self, step: Step) -> None:
        """Run the file's migrate() and record it."""
        file = _file_of(step)
        self._run(file, "migrate", partial(record_applied, self.history, file))
        self.applied.append(step)
        self.done.append(step.name)

    def roll_back(self, step: Step) -> None:
        """Run the file's rollback() and delete its record."""
        self._run(_file_of(step), "rollback", partial(self.history.remove, step.name))
        self.applied = [other for other in self.applied if other.name != step.name]
        self.done.append(f"{step.name} rolled back")
        # Its models differ from those of the database now.
        self.migrator = self._new_migrator()

    def _run(self, file: MigrationFile, function: str, record: Callable[[], str]) -> None:
        """Run one function; retry after a pause when it could not get a lock.

        A watcher looks for the blocking session during the last try.
        """
        if self.is_interrupted():
            done = describe_done(self.done, is_dry_run=self.is_dry_run)
            text = f"{file.place}: not run, because of an interruption\n  {done}"
            raise MigrationFailedError(text) from KeyboardInterrupt()
        for pause in RETRY_PAUSES if file.content.atomic else ():
            try:
                return self._try(self._new_attempt(file, function, record))
            except LockTimeoutError:
                sleep(pause)
        with watch_lock(self.database, self._lock_timeout(file)) as watcher:
            return self._try(self._new_attempt(file, function, record, watcher))

    def _new_attempt(
        self,
        file: MigrationFile,
        function: str,
        record: Callable[[], str],
        watcher: LockWatcher | None = None,
    ) -> Attempt:
        recorder = Recorder(
            in_transaction=file.content.atomic, is_shown=self.is_dry_run, guard=self.guard
        )
        self.attempt = Attempt(file, function, record, recorder, watcher)
        return self.attempt

    def _try(self, attempt: Attempt) -> None:
        try:
            self.execution.run(attempt, self.migrator, self._lock_timeout(attempt.file))
        except BaseException as last:  # a file may call sys.exit()
            attempt.error = attempt.error or root_cause(last)
            failed = self._describe(attempt, attempt.error)
            # Models of the failed attempt must not reach a later step.
            self.migrator = self._new_migrator()
            raise failed from (None if is_sql_error(attempt.error) else attempt.error)

    def _lock_timeout(self, file: MigrationFile) -> float:
        own = file.content.lock_timeout
        return self.table_lock_timeout if own is None else own

    def _describe(self, attempt: Attempt, error: BaseException) -> MigrationFailedError:
        """The error for an attempt; another Ctrl-C does not replace it."""
        invalid: list[str] = []
        outcome = UNKNOWN
        for _ in range(INTERRUPTIONS):
            with suppress(KeyboardInterrupt, PeeweeException):
                outcome = describe_outcome(self.database, attempt, self.done)
                invalid = self.execution.new_invalid_indexes(attempt)
                break
        return describe_failure(attempt, error, invalid_indexes=invalid, outcome=outcome)

    def _new_migrator(self) -> StrictMigrator:
        return StrictMigrator(self.database, partial(replay, tuple(self.applied)))


def _file_of(step: Step) -> MigrationFile:
    assert step.file is not None  # noqa: S101 # the plan refuses a step without a file
    return step.file
