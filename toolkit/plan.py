"""The plan: files and history merged into one list of steps. Everything else stands on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from toolkit.errors import PlanError
from toolkit.files import MigrationFile, find, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from toolkit.history import Record

ZERO = "zero"
MISSING = "missing file"
OUT_OF_ORDER = "out of order"
WAYS_OUT = {
    "edited": "it was edited after it was applied: restore it, or `invoke migrate-accept {name}`",
    MISSING: "it is applied, and its file is gone: restore the file",
    OUT_OF_ORDER: "a later one is applied: give it a new number, or `--allow-out-of-order`",
    "duplicate number": "another migration has this number: give it the next one",
    "stray file": "it would be ignored: a migration is called NNN_name.py, as 004_add_users.py",
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A migration: its file, or its row, or both.

    `position` counts the applied ones in the order of being applied.
    """

    name: str
    file: MigrationFile | None = None
    applied_at: datetime | None = None
    position: int | None = None
    problem: str | None = None

    @property
    def applied(self) -> bool:
        return self.position is not None

    @property
    def transactional(self) -> bool:
        """Whether the step runs in a transaction."""
        return self.file is not None and self.file.content.atomic

    @property
    def irreversible(self) -> bool:
        """Whether the file says that it has no rollback."""
        return self.file is not None and self.file.content.irreversible

    @property
    def problem_kind(self) -> str | None:
        """The problem, without the words about it."""
        return self.problem and self.problem.partition(":")[0]

    def said(self) -> str:
        """The problem in words, with the way out."""
        words = WAYS_OUT.get(self.problem or "", self.problem or "")
        return f"{self.name}: {words.format(name=self.name)}"


class Plan:
    """Every step, by number."""

    def __init__(self, folder: Path, records: Sequence[Record]) -> None:
        files, strays = find(folder)
        rows = {record.name: (at, record) for at, record in enumerate(records)}
        steps = [_step(file.name, file, rows.pop(file.name, None)) for file in files]
        steps += [_step(name, None, row) for name, row in rows.items()]
        steps += [Step(name=stray, problem="stray file") for stray in strays]
        steps.sort(key=lambda step: (number_of(step.name) or 0, step.name))
        numbers = Counter(number_of(step.name) for step in steps)
        highest = max((number_of(step.name) or 0 for step in steps if step.applied), default=0)
        self.steps = tuple(_related(step, numbers, highest) for step in steps)

    @property
    def pending(self) -> list[Step]:
        """What is not applied, by number."""
        return [step for step in self.steps if not step.applied]

    @property
    def applied(self) -> list[Step]:
        """What is applied, in the order of being applied."""
        applied = [step for step in self.steps if step.position is not None]
        return sorted(applied, key=lambda step: step.position or 0)

    def find(self, name: str) -> Step:
        """The step of a whole name, a number, or a part of one name alone; raises PlanError."""
        names = [step.name for step in self.steps]
        number = int(name) if name.isascii() and name.isdecimal() else None
        found = (
            [step for step in self.steps if step.name == name]
            or [
                step for step in self.steps if number is not None and number_of(step.name) == number
            ]
            or [step for step in self.steps if name and name in _part_for(name, step.name)]
        )
        match found:
            case [step]:
                return step
            case []:
                nearest = get_close_matches(name, names, cutoff=0.4) or names[-3:]
                raise PlanError(f"no migration is called {name!r}; near: {', '.join(nearest)}")
        called = ", ".join(step.name for step in found)
        raise PlanError(f"{name!r} is ambiguous: {called}")

    def check(self, *, allow_out_of_order: bool) -> None:
        """Refuse to apply anything while something is wrong; raises PlanError with all of it.

        A vanished file stands in the way of its own rollback alone.
        """
        tolerated = (None, MISSING, OUT_OF_ORDER) if allow_out_of_order else (None, MISSING)
        _refuse(step.said() for step in self.steps if step.problem not in tolerated)

    def upward(self, to: str | None, count: int | None, *, allow_out_of_order: bool) -> list[Step]:
        """The pending steps to apply; raises PlanError with every reason not to."""
        _check_selection(to, count)
        last = self.find(to) if to is not None else None
        if last and last.applied:
            raise PlanError(f"{last.name} is applied already")
        self.check(allow_out_of_order=allow_out_of_order)
        return self.pending[: self.pending.index(last) + 1] if last else self.pending[:count]

    def downward(self, to: str | None, count: int | None) -> list[Step]:
        """The applied steps to roll back, the last one first; raises PlanError likewise."""
        _check_selection(to, count)
        applied = self.applied[::-1]
        if to is None:
            chosen = applied[: count or 1]
        elif to == ZERO:
            chosen = applied
        else:
            kept = self.find(to)
            if not kept.applied:
                raise PlanError(f"{kept.name} is not applied")
            chosen = applied[: applied.index(kept)]
        _refuse(reason for step in chosen if (reason := _obstacle_down(step)))
        return chosen

    def again(self, count: int | None) -> list[Step]:
        """The applied steps to roll back and apply again; raises PlanError likewise."""
        chosen = self.downward(None, count)
        _refuse(
            f"{step.name}: {step.file.content.fault}"
            for step in chosen
            if step.file and step.file.content.fault
        )
        return chosen

    def unchanged(self, wanted: Sequence[Step]) -> list[Step]:
        """The steps of an earlier plan that are as they were then: another runner may have come."""
        now = {step.name: step for step in self.steps}
        return [
            now[step.name]
            for step in wanted
            if step.name in now and now[step.name].applied == step.applied
        ]


def _part_for(name: str, whole: str) -> str:
    """Where a part of a name is looked for: digits are no part of another number."""
    return whole.partition("_")[2] if name.isdecimal() else whole


def _check_selection(to: str | None, count: int | None) -> None:
    if to is not None and count is not None:
        raise PlanError("--to and --steps exclude one another")
    if count is not None and count < 1:
        raise PlanError("--steps takes a number, 1 or more")


def _refuse(reasons: Iterable[str]) -> None:
    if told := list(reasons):
        raise PlanError("\n".join(["nothing was run:", *(f"  {reason}" for reason in told)]))


def _obstacle_down(step: Step) -> str | None:
    if step.problem or step.file is None:
        return step.said()
    fault = step.file.content.rollback_fault
    return fault and f"{step.name}: {fault}"


def _step(name: str, file: MigrationFile | None, row: tuple[int, Record] | None) -> Step:
    if row is None:
        return Step(name=name, file=file, problem=file.content.fault if file else None)
    position, record = row
    problem = None
    if file is None:
        problem = MISSING
    elif record.checksum not in (None, file.checksum):
        problem = "edited"
    at = record.applied_at
    return Step(name=name, file=file, applied_at=at, position=position, problem=problem)


def _related(step: Step, numbers: Counter[int | None], highest: int) -> Step:
    """The step with what is wrong with it beside the others; `highest` is applied."""
    number = number_of(step.name)
    if step.applied or step.problem or number is None:
        return step
    if numbers[number] > 1:
        return replace(step, problem="duplicate number")
    return replace(step, problem=OUT_OF_ORDER) if number < highest else step
