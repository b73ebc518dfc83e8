"""The proof that each rollback undoes its migration, with the engine's own up and down.

On a scratch database each migration is applied, rolled back and applied again, and the schema is
compared with the one before. Then all of them are rolled back in a row and applied again. After a
problem, the proof goes on with the next migration on a new scratch database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.history import TABLE
from dbfoundation.schema import catalog
from dbfoundation.schema.comparison import compare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from dbfoundation.migrations.engine import Engine
    from dbfoundation.migrations.step import Step
    from dbfoundation.schema.catalog import SchemaObject

    Schema = list[SchemaObject]

ROLLED_BACK = ("the schema after its rollback", "the schema before it")
APPLIED_AGAIN = ("the schema after it is applied again", "the schema after it was first applied")


@dataclass(frozen=True)
class ProofResult:
    """The result of one proof, and the seconds that it took.

    A result with problems is faulty. An irreversible migration has no rollback to prove.
    """

    name: str
    seconds: float
    problems: Sequence[str] = ()
    irreversible: bool = False


def verify(
    scratch: Callable[[], AbstractContextManager[Engine]],
    seed: Callable[[], object] | None,
    on_result: Callable[[ProofResult], None],
) -> list[ProofResult]:
    """Prove every migration; returns a result for each, and one for all in a row.

    The last one is missing if a migration has a problem. `scratch` opens an engine on an empty
    database, once more after each problem. `seed` may insert rows before all are rolled back.
    `on_result` receives each result at once. Raises MigrationError for a migration that cannot be
    applied.
    """
    results: list[ProofResult] = []

    def add(result: ProofResult) -> None:
        results.append(result)
        on_result(result)

    schemas: dict[str, Schema] = {}
    while True:
        with scratch() as engine:
            if results:
                engine.up(to=results[-1].name)
            proof = Proof(engine, catalog.search_path(engine.database)[:1], schemas)
            for result in proof.check_pending():
                add(result)
            if engine.plan().pending:
                continue
            if results and not any(result.problems for result in results):
                add(proof.check_all(seed))
            return results


@dataclass
class Proof:
    """The proofs on one scratch database.

    `path` is the database's search_path, which a migration cannot change. `schemas` has the schema
    before each migration, by its name.
    """

    engine: Engine
    path: Sequence[str]
    schemas: dict[str, Schema] = field(default_factory=dict)

    def check_pending(self) -> Iterator[ProofResult]:
        """Prove one pending migration after the other, until one has a problem."""
        schema = self._read_schema()
        for step in self.engine.plan().pending:
            self.schemas[step.name] = schema
            result, schema = self.check_one(step)
            yield result
            if result.problems:
                return

    def check_one(self, step: Step) -> tuple[ProofResult, Schema]:
        """Up, down, compare, and up again; returns the result and the schema after the first up."""
        started = perf_counter()
        self.engine.up(steps=1)
        applied = self._read_schema()
        problems: list[str] = []
        if not step.irreversible:
            problems = self._find_problems(
                self.engine.down, self.schemas[step.name], ROLLED_BACK
            ) or self._find_problems(partial(self.engine.up, steps=1), applied, APPLIED_AGAIN)
        seconds = perf_counter() - started
        return ProofResult(step.name, seconds, problems, step.irreversible), applied

    def check_all(self, seed: Callable[[], object] | None) -> ProofResult:
        """Roll back all in a row, down to the last irreversible one, and apply them again."""
        started = perf_counter()
        if seed:
            seed()
        applied, target = self._read_schema(), "empty"
        steps = self.engine.plan().applied[::-1]
        for step in steps:
            if step.irreversible:
                target = step.name
                break
            expected = self.schemas[step.name]
            if problems := self._find_problems(self.engine.down, expected, ROLLED_BACK):
                name = f"{step.name}, all in a row"
                return ProofResult(name, perf_counter() - started, problems)
        if target == steps[0].name:
            return ProofResult("all in a row", perf_counter() - started, irreversible=True)
        problems = self._find_problems(self.engine.up, applied, APPLIED_AGAIN)
        name = f"all in a row, down to {target} and up"
        return ProofResult(name, perf_counter() - started, problems)

    def _read_schema(self) -> Schema:
        """Every object of the database, except the history.

        Temporary tables are dropped first, as the end of a session drops them in any other run.
        """
        self.engine.database.execute_sql("DISCARD TEMP")
        objects = catalog.read(self.engine.database, path=self.path)
        return [thing for thing in objects if TABLE not in (thing.name, thing.table)]

    def _find_problems(
        self, work: Callable[[], object], expected: Schema, sides: tuple[str, str]
    ) -> list[str]:
        """The failure of the work, or the differences between the schema and the expected one."""
        try:
            work()
        except MigrationFailedError as error:
            # An interruption or a lost connection does not show that the rollback is faulty.
            if isinstance(error.__cause__, KeyboardInterrupt) or not self._is_connected():
                raise
            return [str(error)]
        return [
            difference.describe(*sides) for difference in compare(self._read_schema(), expected)
        ]

    def _is_connected(self) -> bool:
        return not self.engine.database.connection().closed
