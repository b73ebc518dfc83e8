"""The engine: applies and rolls back the migrations of a folder.

Every call plans first, refuses before anything runs, takes the lock, plans again, and then works
step by step. A step's work and its record commit together: a step that fails leaves the database as
it was before that step, and the steps before it stay. A file with `atomic = False` runs outside of
a transaction, and is recorded at its end. Nothing is printed here: methods return values and raise
errors, and a callback receives each step as it ends.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from dbfoundation.errors import PlanError
from dbfoundation.migrations.accept import file_to_accept, record_files
from dbfoundation.migrations.history import TABLE, History
from dbfoundation.migrations.history_lock import explain_locked_history
from dbfoundation.migrations.lock import MigrationLock
from dbfoundation.migrations.plan import Plan
from dbfoundation.migrations.problems import names_of
from dbfoundation.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from peewee import PostgresqlDatabase

    from dbfoundation.migrations.dry_run import DryRunStep
    from dbfoundation.migrations.runner import Runner
    from dbfoundation.migrations.step import Step

APPLIED = "applied"
ROLLED_BACK = "rolled back"


@dataclass(frozen=True)
class Done:
    """A step that was applied or rolled back just now, and the seconds that it took."""

    name: str
    verb: str
    seconds: float


def ignore(_: object) -> None:
    """A callback that does nothing."""


class Engine:
    """The migrations of one folder, on one connected database.

    `runner_timeout` is the number of seconds to wait for another runner, `table_lock_timeout` for a
    lock on a table. `report` receives each warning, and a line when it has to wait for another
    runner. No step begins after `is_interrupted` returns True. `missing` are the applied steps of
    the last plan whose file is missing here.
    """

    def __init__(  # noqa: PLR0913 # four of them are keyword-only
        self,
        database: PostgresqlDatabase,
        folder: Path,
        *,
        runner_timeout: float = Settings.migrate_runner_timeout_seconds,
        table_lock_timeout: float = Settings.migrate_table_lock_timeout_seconds,
        report: Callable[[str], None] = ignore,
        is_interrupted: Callable[[], bool] = bool,  # bool() is False
    ) -> None:
        self.database = database
        self.folder = folder
        self.runner_timeout = runner_timeout
        self.table_lock_timeout = table_lock_timeout
        self.report = report
        self.is_interrupted = is_interrupted
        self.history = History(database)
        self.lock = MigrationLock(database, TABLE)
        self.missing: Sequence[Step] = ()

    def plan(self) -> Plan:
        """Every migration by number, with its problem if it has one; writes nothing."""
        with explain_locked_history(self.database):
            plan = Plan(self.folder, self.history.records())
        self.missing = plan.missing
        return plan

    def up(
        self,
        to: str | None = None,
        steps: int | None = None,
        *,
        allow_out_of_order: bool = False,
        on_step: Callable[[Done], None] = ignore,
    ) -> list[Done]:
        """Apply the pending migrations: all of them, up to `to` inclusive, or the first `steps`.

        Raises PlanError when nothing may run, LockError when another runner does not finish, and
        MigrationFailedError at the first step that fails.
        """
        planned = self.plan().steps_up(to, steps, allow_out_of_order=allow_out_of_order)
        if not planned:
            return []
        self._report_missing()
        with self.lock.hold(self.runner_timeout, self.report):
            plan, runner = self._plan_under_lock()
            plan.check(allow_out_of_order=allow_out_of_order)
            return [
                _timed(runner.apply, step, APPLIED, on_step)
                for step in plan.still_as_planned(planned)
            ]

    def down(
        self,
        to: str | None = None,
        steps: int | None = None,
        *,
        on_step: Callable[[Done], None] = ignore,
    ) -> list[Done]:
        """Roll back the last migration, the last `steps`, or all after `to`, which stays applied.

        `to` is "zero" for all. Raises as `up` does; a step that fails stays applied. Without `to`,
        work of another runner in the meantime is a PlanError.
        """
        planned = self.plan().steps_down(to, steps)
        if not planned:
            return []
        with self.lock.hold(self.runner_timeout, self.report):
            plan, runner = self._plan_under_lock()
            chosen = plan.steps_down(to, steps)
            if to is None:
                _refuse_other_steps(chosen, planned)
            return [_timed(runner.roll_back, step, ROLLED_BACK, on_step) for step in chosen]

    def redo(
        self, steps: int | None = None, *, on_step: Callable[[Done], None] = ignore
    ) -> list[Done]:
        """Roll back the last migration, or the last `steps`, and apply them again.

        Raises as `down` does.
        """
        planned = self.plan().steps_redo(steps)
        if not planned:
            return []
        with self.lock.hold(self.runner_timeout, self.report):
            plan, runner = self._plan_under_lock()
            chosen = plan.steps_redo(steps)
            _refuse_other_steps(chosen, planned)
            down = [_timed(runner.roll_back, step, ROLLED_BACK, on_step) for step in chosen]
            return down + [_timed(runner.apply, step, APPLIED, on_step) for step in chosen[::-1]]

    def dry_run_up(
        self,
        to: str | None = None,
        steps: int | None = None,
        *,
        allow_out_of_order: bool = False,
        on_step: Callable[[DryRunStep], None] = ignore,
    ) -> list[DryRunStep]:
        """Run `up` in a transaction that is rolled back; raises as `up` does.

        `on_step` receives each step with its SQL at once, also the one that fails.
        """

        def choose(plan: Plan) -> list[Step]:
            return plan.steps_up(to, steps, allow_out_of_order=allow_out_of_order)

        tried = self._dry_run(choose, on_step, lambda runner: runner.apply)
        if tried:
            self._report_missing()
        return tried

    def dry_run_down(
        self,
        to: str | None = None,
        steps: int | None = None,
        *,
        on_step: Callable[[DryRunStep], None] = ignore,
    ) -> list[DryRunStep]:
        """Run `down` in a transaction that is rolled back, as `dry_run_up` does."""
        return self._dry_run(
            lambda plan: plan.steps_down(to, steps), on_step, lambda runner: runner.roll_back
        )

    def dry_run_redo(
        self, steps: int | None = None, *, on_step: Callable[[DryRunStep], None] = ignore
    ) -> list[DryRunStep]:
        """Run `redo` in a transaction that is rolled back, as `dry_run_up` does."""
        return self._dry_run(
            lambda plan: plan.steps_redo(steps),
            on_step,
            lambda runner: runner.roll_back,
            lambda runner: runner.apply,
        )

    def accept(self, name: str) -> list[Step]:
        """Record the text and the name of an applied file; returns it if they were others before.

        Raises PlanError for a migration that is not applied, or whose file is missing or invalid.
        """
        return self._accept(lambda plan: [plan.find(name)])

    def accept_all(self) -> list[Step]:
        """Record all applied files in the same way; returns those that were others before."""
        return self._accept(lambda plan: [step for step in plan.applied if step.file])

    @contextmanager
    def hold(self) -> Iterator[tuple[Plan, Runner]]:
        """Hold the lock for the block, with the plan and the runner of its steps; for a proof."""
        with self.lock.hold(self.runner_timeout, self.report):
            yield self._plan_under_lock()

    def ensure_history(self) -> None:
        """Create the history's table, or convert an older one; reports what it took over."""
        if line := self.history.ensure_table():
            self.report(f"warning: {line}")

    def _accept(self, choose: Callable[[Plan], list[Step]]) -> list[Step]:
        steps = choose(self.plan())
        for step in steps:
            file_to_accept(step)
        if not steps:
            return []
        with self.lock.hold(self.runner_timeout, self.report):
            self.ensure_history()
            accepted = record_files(self.history, choose(self.plan()))
        self._report_missing()
        return accepted

    def _report_missing(self) -> None:
        if self.missing:
            self.report(f"warning: applied, but without a file here: {names_of(self.missing)}")

    def _plan_under_lock(self, *, is_dry_run: bool = False) -> tuple[Plan, Runner]:
        """The current plan, and the runner of its steps; creates the history's table."""
        # The runner imports peewee-migrate, which a plan without work does not need.
        from dbfoundation.migrations.runner import Runner

        with explain_locked_history(self.database):
            self.ensure_history()
        plan = self.plan()
        runner = Runner(
            self.history,
            self.lock,
            plan.applied,
            self.table_lock_timeout,
            self.is_interrupted,
            is_dry_run=is_dry_run,
        )
        return plan, runner

    def _dry_run(
        self,
        choose: Callable[[Plan], list[Step]],
        on_step: Callable[[DryRunStep], None],
        *functions: Callable[[Runner], Callable[[Step], None]],
    ) -> list[DryRunStep]:
        """Run each function on the chosen steps, in the opposite order of the one before."""
        from dbfoundation.migrations.dry_run import DryRun
        from dbfoundation.migrations.transaction import rolled_back

        if not choose(self.plan()):
            return []
        with self.lock.hold(self.runner_timeout, self.report), rolled_back(self.database):
            plan, runner = self._plan_under_lock(is_dry_run=True)
            dry_run = DryRun(runner, on_step)
            chosen = choose(plan)
            for function in functions:
                dry_run.try_all(function(runner), chosen)
                chosen = chosen[::-1]
            return dry_run.tried


def _refuse_other_steps(chosen: Sequence[Step], planned: Sequence[Step]) -> None:
    """Raise PlanError for other steps than those that were planned before the lock."""
    if [step.name for step in chosen] != [step.name for step in planned]:
        raise PlanError(
            "nothing was run: another runner has changed the history in the meantime.\n"
            "Fix: see `invoke migrate-status`, and try again"
        )


def _timed(
    run: Callable[[Step], object], step: Step, verb: str, on_step: Callable[[Done], None]
) -> Done:
    started = perf_counter()
    run(step)
    done = Done(step.name, verb, perf_counter() - started)
    on_step(done)
    return done
