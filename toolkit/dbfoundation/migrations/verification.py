"""The proof that each rollback undoes its migration, with the engine's own way to run a step.

On a scratch database each migration is applied, rolled back and applied again, and the schema is
compared with the one before. Then all of them are rolled back in a row and applied again. After a
problem, the proof goes on with the next migration on a new scratch database.

A statement that takes effect on the whole server never runs on a server that others use: it ends
the proof there, which can go on with the same migration on a server of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.history import TABLE
from dbfoundation.migrations.server_wide import ServerGuard, run_guarded
from dbfoundation.schema.catalog import search_path
from dbfoundation.schema.reader import SchemaReader, differences
from dbfoundation.schema.roles import role_differences
from dbfoundation.schema.spelling import compare_as_parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from peewee import PostgresqlDatabase

    from dbfoundation.migrations.engine import Engine
    from dbfoundation.migrations.plan import Plan
    from dbfoundation.migrations.runner import Runner
    from dbfoundation.migrations.step import Step
    from dbfoundation.schema.reader import Snapshot

ROLLED_BACK = ("the schema after its rollback", "the schema before it")
APPLIED_AGAIN = ("the schema after it is applied again", "the schema after it was first applied")


@dataclass(frozen=True)
class ProofResult:
    """The result of one proof, and the seconds that it took.

    A result with problems is faulty. An irreversible migration has no rollback to prove. `untried`
    has the reasons against trying a migration, and against trying those after it.
    """

    name: str
    seconds: float
    problems: Sequence[str] = ()
    irreversible: bool = False
    untried: Sequence[str] = ()


@dataclass(frozen=True)
class Scratch:
    """An empty database: its engine, a second connection, and a function that inserts rows into it.

    `is_private` says that nobody else uses its server.
    """

    engine: Engine
    second: PostgresqlDatabase
    seed: Callable[[], object] | None = None
    is_private: bool = False


class Verification:
    """The proof of the migrations after `since`, which is applied without a proof, or of all.

    `on_result` receives each result at once; `results` has all of them.
    """

    def __init__(self, on_result: Callable[[ProofResult], None], since: str | None = None) -> None:
        self.on_result = on_result
        self.since = since
        self.results: list[ProofResult] = []

    def run(self, scratch: Callable[[], AbstractContextManager[Scratch]]) -> None:
        """Prove the migrations that have no result, and then all in a row unless one is faulty.

        `scratch` opens an empty database, once more after each problem. Raises ServerWideError for
        a migration that must not run there: another run() goes on with it. Raises MigrationError
        for a migration that cannot be applied.
        """
        while True:
            with scratch() as opened, opened.engine.hold() as (plan, runner):
                proof = Proof(opened, plan, runner, self.since)
                proof.apply(len(self.results))
                for result in proof.check_each(len(self.results)):
                    self.add(result)
                if len(self.results) < len(proof.steps):
                    continue
                if proof.steps and not any(result.problems for result in self.results):
                    self.add(proof.check_all())
                return

    def add(self, result: ProofResult) -> None:
        """Keep a result, and hand it to the callback."""
        self.results.append(result)
        self.on_result(result)


def apply_all(
    scratch: Scratch, to: str | None = None, on_step: Callable[[Step], object] | None = None
) -> list[Step]:
    """Apply every migration, or those up to `to`, on an empty database; returns their steps.

    `on_step` receives each applied step. Raises ServerWideError for a migration that must not run
    there.
    """
    with scratch.engine.hold() as (plan, runner):
        if not scratch.is_private:
            runner.guard = ServerGuard(scratch.engine.database.connection())
        steps = plan.steps_up(to, None, allow_out_of_order=False)
        for step in steps:
            run_guarded(runner, runner.apply, step)
            if on_step:
                on_step(step)
    return steps


class Proof:
    """The proofs on one scratch database.

    `steps` are those to prove, `before` has the schema before each one by its name. The names in it
    depend on the database's search_path, which a migration cannot change.
    """

    def __init__(self, scratch: Scratch, plan: Plan, runner: Runner, since: str | None) -> None:
        database = scratch.engine.database
        self.database = database
        self.scratch = scratch
        self.runner = runner
        if not scratch.is_private:
            runner.guard = ServerGuard(database.connection())
        steps = plan.steps_up(None, None, allow_out_of_order=False)
        first = steps.index(plan.find(since)) + 1 if since is not None else 0
        self.since, self.steps = steps[:first], steps[first:]
        self.path = search_path(database)[:1]
        self.before: dict[str, Snapshot] = {}
        self.reader: SchemaReader

    def apply(self, count: int) -> None:
        """Apply the steps up to `since` and the first ones after that, without a proof."""
        for step in self.since:
            self._run(self.runner.apply, step)
        with_roles = self.scratch.is_private
        self.reader = SchemaReader(self.scratch.second, self.path, TABLE, with_roles=with_roles)
        for step in self.steps[:count]:
            self.before[step.name] = self.reader.last
            self._run(self.runner.apply, step)
            self.reader.read()

    def check_each(self, first: int) -> Iterator[ProofResult]:
        """Prove one step after the other, until one has a problem."""
        for step in self.steps[first:]:
            self.before[step.name] = self.reader.last
            result = self._check_one(step)
            yield result
            if result.problems:
                return

    def _check_one(self, step: Step) -> ProofResult:
        """Up, down, compare, and up again."""
        started = perf_counter()
        self._run(self.runner.apply, step)
        applied = self.reader.read()
        problems: list[str] = []
        if not step.irreversible:
            problems = self._find_problems(
                partial(self._run, self.runner.roll_back, step),
                self.before[step.name],
                ROLLED_BACK,
            ) or self._find_problems(
                partial(self._run, self.runner.apply, step), applied, APPLIED_AGAIN
            )
        seconds = perf_counter() - started
        return ProofResult(step.name, seconds, problems, step.irreversible)

    def check_all(self) -> ProofResult:
        """Roll back all in a row, down to the last irreversible one, and apply them again.

        Every object is read at both ends.
        """
        started = perf_counter()
        if self.scratch.seed:
            self.scratch.seed()
        applied = self.reader.read_all()
        target = self.since[-1].name if self.since else "empty"
        rolled_back: list[Step] = []
        for step in reversed(self.steps):
            if step.irreversible:
                target = step.name
                break
            roll_back = partial(self._run, self.runner.roll_back, step)
            if problems := self._find_problems(roll_back, self.before[step.name], ROLLED_BACK):
                name = f"{step.name}, all in a row"
                return ProofResult(name, perf_counter() - started, problems)
            rolled_back.append(step)
        if not rolled_back:
            return ProofResult("all in a row", perf_counter() - started, irreversible=True)
        problems = self._compare(
            self.reader.read_all(), self.before[rolled_back[-1].name], ROLLED_BACK
        ) or self._find_problems(
            lambda: self._apply_again(rolled_back[::-1]), applied, APPLIED_AGAIN
        )
        name = f"all in a row, down to {target} and up"
        return ProofResult(name, perf_counter() - started, problems)

    def _apply_again(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self._run(self.runner.apply, step)
        self.reader.read_all()

    def _run(self, run: Callable[[Step], object], step: Step) -> None:
        run_guarded(self.runner, run, step)

    def _find_problems(
        self, work: Callable[[], object], expected: Snapshot, sides: tuple[str, str]
    ) -> list[str]:
        """The failure of the work, or the differences between the schema and the expected one."""
        try:
            work()
        except MigrationFailedError as error:
            # An interruption or a lost connection does not show that the rollback is faulty.
            if isinstance(error.__cause__, KeyboardInterrupt) or not self._is_connected():
                raise
            return [str(error)]
        return self._compare(self.reader.read(expected), expected, sides)

    def _compare(self, found: Snapshot, expected: Snapshot, sides: tuple[str, str]) -> list[str]:
        if not differences(found, expected):
            return []
        different = compare_as_parsed(self.database, found.all(), expected.all(), self.path)
        different += role_differences(found.roles, expected.roles)
        return [difference.describe(*sides) for difference in different]

    def _is_connected(self) -> bool:
        return not self.database.connection().closed
