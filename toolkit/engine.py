"""Migrations, up and down: which files, in what order, each one whole or not at all.

Every call plans first, refuses before anything runs, takes the lock, plans again, and then works
step by step. A step's work and its record commit together: what fails leaves the database as it was
before that step, and the steps before it stay. A file that says `atomic = False` runs outside of a
transaction, and is recorded when it is through. Nothing is printed here: values are returned,
errors raised, and a callback hears of each step as it ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from toolkit.errors import MigrationFailedError, PlanError
from toolkit.history import TABLE, History
from toolkit.lock import MigrationLock
from toolkit.plan import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from peewee import PostgresqlDatabase

    from toolkit.plan import Step
    from toolkit.runner import Runner

APPLIED = "applied"
ROLLED_BACK = "rolled back"


@dataclass(frozen=True)
class Done:
    """A step that was applied or rolled back just now, and the seconds it took."""

    name: str
    verb: str
    seconds: float


@dataclass(frozen=True)
class Rehearsed:
    """A step of a dry run and the SQL it sent; None for a file that cannot be tried."""

    name: str
    statements: list[str] | None


def ignore(_: object) -> None:
    """Hear of nothing."""


class Engine:
    """The migrations of one folder, on one connected database.

    `lock_wait` is how many seconds to wait for another runner, `lock_timeout` for a table's lock.
    `report` hears that it waits; no step begins once `is_interrupted` says so.
    """

    def __init__(
        self,
        database: PostgresqlDatabase,
        folder: Path,
        *,
        lock_wait: float = 60.0,
        lock_timeout: float = 5.0,
        report: Callable[[str], None] = ignore,
    ) -> None:
        self.database = database
        self.folder = folder
        self.lock_wait = lock_wait
        self.lock_timeout = lock_timeout
        self.report = report
        self.is_interrupted: Callable[[], bool] = bool  # never, where nobody sets another
        self.history = History(database)
        self.lock = MigrationLock(database, TABLE)

    def plan(self) -> Plan:
        """Every migration by number, and what is wrong with it; writes nothing."""
        return Plan(self.folder, self.history.records())

    def up(
        self,
        to: str | None = None,
        steps: int | None = None,
        *,
        allow_out_of_order: bool = False,
        on_step: Callable[[Done], None] = ignore,
    ) -> list[Done]:
        """Apply what is pending: all, or up to and with one, or so many.

        Raises PlanError when nothing may run, LockError when another runner does not end, and
        MigrationFailedError at the first step that fails.
        """
        wanted = self.plan().upward(to, steps, allow_out_of_order=allow_out_of_order)
        if not wanted:
            return []
        with self.lock.hold(self.lock_wait, self.report):
            plan, runner = self._prepared()
            plan.check(allow_out_of_order=allow_out_of_order)
            return [_timed(runner.apply, step, APPLIED, on_step) for step in plan.unchanged(wanted)]

    def down(
        self,
        to: str | None = None,
        steps: int | None = None,
        *,
        on_step: Callable[[Done], None] = ignore,
    ) -> list[Done]:
        """Roll back what was applied last: one, or so many, or down to one that is kept.

        Raises as `up` does; what fails to roll back stays applied. Counted from the last one,
        another runner's work meanwhile is a PlanError.
        """
        wanted = self.plan().downward(to, steps)
        if not wanted:
            return []
        with self.lock.hold(self.lock_wait, self.report):
            plan, runner = self._prepared()
            chosen = plan.downward(to, steps)
            if to is None:
                _refuse_other(chosen, wanted)
            return [_timed(runner.roll_back, step, ROLLED_BACK, on_step) for step in chosen]

    def redo(
        self, steps: int | None = None, *, on_step: Callable[[Done], None] = ignore
    ) -> list[Done]:
        """Roll back the last one, or so many, and apply them again; raises as `down` does."""
        wanted = self.plan().again(steps)
        if not wanted:
            return []
        with self.lock.hold(self.lock_wait, self.report):
            plan, runner = self._prepared()
            chosen = plan.again(steps)
            _refuse_other(chosen, wanted)
            down = [_timed(runner.roll_back, step, ROLLED_BACK, on_step) for step in chosen]
            return down + [_timed(runner.apply, step, APPLIED, on_step) for step in chosen[::-1]]

    def rehearse_up(
        self, to: str | None = None, steps: int | None = None, *, allow_out_of_order: bool = False
    ) -> list[Rehearsed]:
        """Do what `up` would in a transaction that is rolled back; returns the SQL it sent."""

        def choose(plan: Plan) -> list[Step]:
            return plan.upward(to, steps, allow_out_of_order=allow_out_of_order)

        return self._rehearse(choose, lambda runner: runner.apply)

    def rehearse_down(self, to: str | None = None, steps: int | None = None) -> list[Rehearsed]:
        """Do what `down` would in a transaction that is rolled back; returns the SQL it sent."""
        return self._rehearse(
            lambda plan: plan.downward(to, steps), lambda runner: runner.roll_back
        )

    def accept(self, name: str) -> Step | None:
        """Record an edited file as it now stands; returns None when it is not edited.

        Raises PlanError for what is not applied, or has no file.
        """
        step = self.plan().find(name)
        if not step.applied or step.file is None:
            raise PlanError(
                f"{step.name} is {'not applied' if step.file else 'gone'}: no file to accept"
            )
        if step.file.content.fault:
            raise PlanError(f"{step.name}: {step.file.content.fault}")
        with self.lock.hold(self.lock_wait, self.report):
            self.history.prepare()
            changed = self.history.accept(step.name, step.file.checksum)
        return step if changed else None

    def _prepared(self) -> tuple[Plan, Runner]:
        """Under the lock: the plan as it is now, and what runs its steps."""
        # It imports peewee-migrate, which a plan with nothing to run does without.
        from toolkit.runner import Runner

        self.history.prepare()
        plan = self.plan()
        runner = Runner(
            self.database, self.lock, plan.applied, self.lock_timeout, self.is_interrupted
        )
        return plan, runner

    def _rehearse(
        self,
        choose: Callable[[Plan], list[Step]],
        verb: Callable[[Runner], Callable[[Step], list[str]]],
    ) -> list[Rehearsed]:
        if not choose(self.plan()):
            return []
        rehearsed: list[Rehearsed] = []
        waiting = self.lock.hold(self.lock_wait, self.report)
        with waiting, self.database.atomic() as transaction:
            plan, runner = self._prepared()
            for step in choose(plan):
                statements = _tried(verb(runner), step, rehearsed) if step.transactional else None
                rehearsed.append(Rehearsed(step.name, statements))
            transaction.rollback()
        return rehearsed


def _refuse_other(chosen: Sequence[Step], wanted: Sequence[Step]) -> None:
    """Refuse other steps than those that were chosen before the lock."""
    if [step.name for step in chosen] != [step.name for step in wanted]:
        raise PlanError(
            "nothing was run: another runner changed the history meanwhile, and "
            "`invoke migrate-status` shows what is applied now"
        )


def _tried(run: Callable[[Step], list[str]], step: Step, before: Sequence[Rehearsed]) -> list[str]:
    """Run a step of a dry run; one that fails may need what was not tried before it."""
    try:
        return run(step)
    except MigrationFailedError as error:
        untried = ", ".join(other.name for other in before if other.statements is None)
        if not untried:
            raise
        note = f"a dry run leaves out {untried} (atomic = False), which this may need"
        raise MigrationFailedError(f"{error}\n  {note}") from error.__cause__


def _timed(
    run: Callable[[Step], object], step: Step, verb: str, on_step: Callable[[Done], None]
) -> Done:
    started = perf_counter()
    run(step)
    done = Done(step.name, verb, perf_counter() - started)
    on_step(done)
    return done
