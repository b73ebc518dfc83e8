"""Does each rollback undo its migration? Tried with the engine's own up and down.

On a scratch database each migration is applied, rolled back, and applied again, and the schema is
compared with the one before; then all of them go down, one after another, and up once more. A fault
goes with the name of the migration, and what comes after it is tried on a new scratch database.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from toolkit import catalog
from toolkit.errors import MigrationFailedError
from toolkit.history import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from toolkit.catalog import Fact
    from toolkit.engine import Engine
    from toolkit.plan import Step

ROLLED_BACK = ("the schema after its rollback", "the schema before it")
APPLIED_AGAIN = ("the schema after it is applied again", "the schema after it was first applied")


@dataclass(frozen=True)
class Verdict:
    """What came of one trial, and the seconds it took; without faults the rollback is good."""

    name: str
    seconds: float
    faults: Sequence[str] = ()
    irreversible: bool = False


def verify(
    scratch: Callable[[], AbstractContextManager[Engine]],
    seed: Callable[[], object] | None,
    on_verdict: Callable[[Verdict], None],
) -> list[Verdict]:
    """Try every migration; returns what came of each, and of all in a row where none is faulty.

    `scratch` opens an engine on an empty database, again after each fault; `seed` may insert rows
    before everything goes down; `on_verdict` hears of each as it ends. Raises MigrationError where
    a migration cannot be applied at all.
    """
    verdicts: list[Verdict] = []
    before: dict[str, list[Fact]] = {}
    while True:
        with scratch() as engine:
            trial = Trial(engine, catalog.search_path(engine.database)[:1])
            if verdicts:
                engine.up(to=verdicts[-1].name)
            facts = trial.facts()
            for step in engine.plan().pending:
                before[step.name] = facts
                verdict, facts = trial.one(step, facts)
                verdicts.append(verdict)
                on_verdict(verdict)
                if verdict.faults:
                    break
            else:
                if verdicts and not any(verdict.faults for verdict in verdicts):
                    verdicts.append(trial.all(before, seed))
                    on_verdict(verdicts[-1])
                return verdicts


@dataclass
class Trial:
    """Migrations tried on one database; whatever they do to the search_path, names stay plain."""

    engine: Engine
    path: Sequence[str]

    def facts(self) -> list[Fact]:
        """Every fact of the database, but for the tracking table.

        Temporary tables go, as they would with the session that every other run has of its own.
        """
        self.engine.database.execute_sql("DISCARD TEMP")
        facts = catalog.read(self.engine.database, path=self.path)
        return [fact for fact in facts if TABLE not in (fact.name, fact.table)]

    def one(self, step: Step, before: list[Fact]) -> tuple[Verdict, list[Fact]]:
        """Up, down, compare, and up again; returns what came of it, and the schema with it."""
        started = perf_counter()
        self.engine.up(steps=1)
        applied = self.facts()
        faults: list[str] = []
        if not step.irreversible:
            faults = self._faults(self.engine.down, before, ROLLED_BACK)
            faults = faults or self._faults(
                partial(self.engine.up, steps=1), applied, APPLIED_AGAIN
            )
        return Verdict(step.name, perf_counter() - started, faults, step.irreversible), applied

    def all(self, before: Mapping[str, list[Fact]], seed: Callable[[], object] | None) -> Verdict:
        """Everything down, one after another, as far as there are rollbacks, and up once more."""
        started = perf_counter()
        if seed:
            seed()
        applied = self.facts()
        down: list[str] = []
        for step in self.engine.plan().applied[::-1]:
            if step.irreversible:
                break
            if faults := self._faults(self.engine.down, before[step.name], ROLLED_BACK):
                name = f"{step.name}, all in a row"
                return Verdict(name, perf_counter() - started, faults)
            down.append(step.name)
        if not down:
            return Verdict("all in a row", perf_counter() - started, irreversible=True)
        faults = self._faults(self.engine.up, applied, APPLIED_AGAIN)
        name = f"all in a row, down to {'empty' if len(down) == len(before) else step.name} and up"
        return Verdict(name, perf_counter() - started, faults)

    def _faults(
        self, work: Callable[[], object], expected: list[Fact], sides: tuple[str, str]
    ) -> list[str]:
        """What is wrong after the work: that it failed, or where the schema is not as expected."""
        try:
            work()
        except MigrationFailedError as error:
            if isinstance(error.__cause__, KeyboardInterrupt) or not self._is_connected():
                raise  # the rollback is not to blame
            return [f"{error}"]
        return [fault.said(*sides) for fault in catalog.compare(self.facts(), expected)]

    def _is_connected(self) -> bool:
        return not self.engine.database.connection().closed
