"""A dry run: each step is run in one transaction, which is rolled back.

Its verdict is that of the run. Deferred constraints are checked at the end of each step. A step
that needs the COMMIT of an earlier one is reported as not tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.advice import NEW_ENUM_VALUE
from dbfoundation.migrations.held_locks import HeldLocks
from dbfoundation.runtime.server_errors import server_message, sqlstate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dbfoundation.migrations.runner import Runner
    from dbfoundation.migrations.step import Step

OUTSIDE = "it runs outside of a transaction (atomic = False)"
NEEDS_COMMIT = "it uses an enum value that an earlier step adds, which requires a COMMIT in between"
TOO_MANY_LOCKS = (
    "the server has no room for the locks of all steps at once (max_locks_per_transaction)"
)
OUT_OF_MEMORY = "53200"
ENUM_VALUE_IS_OF_EARLIER_STEP = """
SELECT EXISTS (SELECT FROM pg_enum WHERE strpos(%(message)s, enumlabel) > 0
AND strpos(%(message)s, format_type(enumtypid, NULL)) > 0)
"""


@dataclass(frozen=True)
class DryRunStep:
    """A step of a dry run, and the SQL that it sent, of which `not_shown` statements are left out.

    `statements` is None for a step that was not tried, with the reason. `locks` are those on tables
    of the database that block other sessions, and that no earlier step had. A failed step has what
    it sent before its failure.
    """

    name: str
    statements: list[str] | None
    not_shown: int = 0
    locks: tuple[str, ...] = ()
    not_tried: str | None = None
    is_failed: bool = False


class DryRun:
    """Tries steps in a transaction of the caller.

    `on_step` receives each at once, also the one that fails. `tried` has all but that.
    """

    def __init__(self, runner: Runner, on_step: Callable[[DryRunStep], None]) -> None:
        self.runner = runner
        self.on_step = on_step
        self.locks = HeldLocks(runner.database)
        self.tried: list[DryRunStep] = []

    def try_all(self, run: Callable[[Step], None], steps: Sequence[Step]) -> None:
        """Try the steps by a method of the runner; raises MigrationFailedError as it does."""
        for step in steps:
            try:
                tried = self._try(run, step)
            except MigrationFailedError as error:
                self.on_step(self._of_attempt(step, is_failed=True))
                if not (not_tried := self._not_tried()):
                    raise
                note = f"the step may depend on {not_tried}, which a dry run does not try"
                raise MigrationFailedError(f"{error}\n  {note}") from error.__cause__
            self.tried.append(tried)
            self.on_step(tried)

    def _try(self, run: Callable[[Step], None], step: Step) -> DryRunStep:
        if not step.transactional:
            return DryRunStep(step.name, None, not_tried=OUTSIDE)
        try:
            run(step)
        except MigrationFailedError:
            if reason := self._reason_in_dry_run():
                return DryRunStep(step.name, None, not_tried=reason)
            raise
        return self._of_attempt(step)

    def _of_attempt(self, step: Step, *, is_failed: bool = False) -> DryRunStep:
        attempt = self.runner.attempt
        if attempt is None or attempt.file is not step.file:
            return DryRunStep(step.name, [], is_failed=is_failed)
        recorder = attempt.recorder
        locks = () if is_failed else self.locks.new()
        return DryRunStep(step.name, recorder.shown, recorder.not_shown, locks, is_failed=is_failed)

    def _reason_in_dry_run(self) -> str | None:
        """The reason why the step, which is undone, fails only in one transaction with others."""
        attempt = self.runner.attempt
        if attempt is None or attempt.error is None or not (attempt.is_undone and self.tried):
            return None
        code = sqlstate(attempt.error)
        if code == OUT_OF_MEMORY:
            return TOO_MANY_LOCKS
        if code != NEW_ENUM_VALUE:
            return None
        query = self.runner.database.execute_sql(
            ENUM_VALUE_IS_OF_EARLIER_STEP, {"message": server_message(attempt.error)}
        )
        return NEEDS_COMMIT if query.fetchone()[0] else None

    def _not_tried(self) -> str:
        return ", ".join(step.name for step in self.tried if step.not_tried)
