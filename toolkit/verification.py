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

ROLLED_BACK = ("the schema after its rollback", "the one before")
APPLIED_AGAIN = ("the schema after it is applied again", "the one before")


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
            if verdicts:
                engine.up(to=verdicts[-1].name)
            for step in engine.plan().pending:
                before[step.name] = _facts(engine)
                verdicts.append(_try_one(engine, step, before[step.name]))
                on_verdict(verdicts[-1])
                if verdicts[-1].faults:
                    break
            else:
                if not any(verdict.faults for verdict in verdicts):
                    verdicts.append(_try_all(engine, before, seed))
                    on_verdict(verdicts[-1])
                return verdicts


def _try_one(engine: Engine, step: Step, before: list[Fact]) -> Verdict:
    """Up, down, compare, and up again."""
    started = perf_counter()
    engine.up(steps=1)
    if step.irreversible:
        return Verdict(step.name, perf_counter() - started, irreversible=True)
    applied = _facts(engine)
    faults = _faults(engine, engine.down, before, ROLLED_BACK)
    faults = faults or _faults(engine, partial(engine.up, steps=1), applied, APPLIED_AGAIN)
    return Verdict(step.name, perf_counter() - started, faults)


def _try_all(
    engine: Engine, before: Mapping[str, list[Fact]], seed: Callable[[], object] | None
) -> Verdict:
    """Everything down, one after another, as far as there are rollbacks, and up once more."""
    started = perf_counter()
    if seed:
        seed()
    applied = _facts(engine)
    faults: list[str] = []
    bottom = "empty"
    for step in engine.plan().applied[::-1]:
        if step.irreversible:
            bottom = step.name
            break
        found = _faults(engine, engine.down, before[step.name], ROLLED_BACK)
        if found:
            faults = [f"{step.name}: {fault}" for fault in found]
            break
    faults = faults or _faults(engine, engine.up, applied, APPLIED_AGAIN)
    return Verdict(f"all in a row, down to {bottom} and up", perf_counter() - started, faults)


def _faults(
    engine: Engine, work: Callable[[], object], expected: list[Fact], sides: tuple[str, str]
) -> list[str]:
    """What is wrong after the work: that it failed, or where the schema is not as expected."""
    try:
        work()
    except MigrationFailedError as error:
        return [f"{error}"]
    return [fault.said(*sides) for fault in catalog.compare(_facts(engine), expected)]


def _facts(engine: Engine) -> list[Fact]:
    """Every fact of the database, but for the tracking table."""
    facts = catalog.read(engine.database)
    return [fact for fact in facts if TABLE not in (fact.name, fact.table)]
