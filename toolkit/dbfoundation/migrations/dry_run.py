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

    from dbfoundation.migrations.plan import Step
    from dbfoundation.migrations.runner import Runner

OUTSIDE = "it runs outside of a transaction (atomic = False)"
NEEDS_COMMIT = "it uses an enum value that an earlier step adds, which requires a COMMIT in between"
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
    """Tries steps in a transaction of the caller; `run` is a method of the runner."""

    def __init__(self, runner: Runner, run: Callable[[Step], None]) -> None:
        self.runner = runner
        self.run = run
        self.locks = HeldLocks(runner.database)
        self.tried: list[DryRunStep] = []

    def try_all(
        self, steps: Sequence[Step], on_step: Callable[[DryRunStep], None]
    ) -> list[DryRunStep]:
        """Try the steps; `on_step` receives each at once, also the one that fails."""
        for step in steps:
            try:
                tried = self._try(step)
            except MigrationFailedError as error:
                on_step(self._of_attempt(step, is_failed=True))
                if not (left_out := self._not_tried()):
                    raise
                note = f"the step may depend on {left_out}, which a dry run does not try"
                raise MigrationFailedError(f"{error}\n  {note}") from error.__cause__
            self.tried.append(tried)
            on_step(tried)
        return self.tried

    def _try(self, step: Step) -> DryRunStep:
        if not step.transactional:
            return DryRunStep(step.name, None, not_tried=OUTSIDE)
        try:
            self.run(step)
        except MigrationFailedError:
            if not self._needs_commit():
                raise
            return DryRunStep(step.name, None, not_tried=NEEDS_COMMIT)
        return self._of_attempt(step)

    def _of_attempt(self, step: Step, *, is_failed: bool = False) -> DryRunStep:
        attempt = self.runner.attempt
        if attempt is None or attempt.file is not step.file:
            return DryRunStep(step.name, [], is_failed=is_failed)
        recorder = attempt.recorder
        locks = () if is_failed else self.locks.new()
        return DryRunStep(step.name, recorder.shown, recorder.not_shown, locks, is_failed=is_failed)

    def _needs_commit(self) -> bool:
        """Whether the failed step, which is undone, used an enum value of an earlier step."""
        attempt = self.runner.attempt
        if attempt is None or attempt.error is None or not attempt.is_undone:
            return False
        if sqlstate(attempt.error) != NEW_ENUM_VALUE:
            return False
        query = self.runner.database.execute_sql(
            ENUM_VALUE_IS_OF_EARLIER_STEP, {"message": server_message(attempt.error)}
        )
        return bool(query.fetchone()[0])

    def _not_tried(self) -> str:
        return ", ".join(step.name for step in self.tried if step.not_tried)
