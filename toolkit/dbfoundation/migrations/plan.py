"""The plan: files and history merged into one list of steps, each with a state and its problem."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from dbfoundation.errors import PlanError
from dbfoundation.migrations.content import FIX
from dbfoundation.migrations.files import MigrationFile, find_files, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

    from dbfoundation.migrations.history import Record

ZERO = "zero"
EDITED = "edited"
MISSING = "missing file"
OUT_OF_ORDER = "out of order"
DUPLICATE = "duplicate number"
STRAY = "stray file"
PROBLEMS = {
    EDITED: ("edited after it was applied", "restore the file, or `invoke migrate-accept {name}`"),
    MISSING: ("applied, but its file is missing", "restore the file"),
    OUT_OF_ORDER: (
        "a later migration is applied",
        "give the file a new number, or use `--allow-out-of-order`",
    ),
    DUPLICATE: ("another migration has this number", "give the file the next number"),
    STRAY: (
        "would be ignored, because its name is not NNN_name.py",
        "rename the file, for example to 004_add_users.py",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Step:
    """A migration: its file, or its record in the history, or both.

    `position` counts the applied ones in the order of applying.
    """

    name: str
    file: MigrationFile | None = None
    applied_at: datetime | None = None
    position: int | None = None
    problem: str | None = None

    @property
    def number(self) -> int | None:
        """The number of the migration; None for a stray file."""
        return number_of(self.name)

    @property
    def applied(self) -> bool:
        return self.position is not None

    @property
    def transactional(self) -> bool:
        """Whether the step runs in a transaction."""
        return self.file is not None and self.file.content.atomic

    @property
    def irreversible(self) -> bool:
        """Whether the file declares that it has no rollback."""
        return self.file is not None and self.file.content.irreversible

    @property
    def problem_kind(self) -> str | None:
        """The problem without its details and its fix."""
        return self.problem and self.problem.partition(FIX)[0].partition(":")[0]

    def describe_problem(self) -> str:
        """The problem as a sentence, with its fix."""
        if self.problem not in PROBLEMS:
            return f"{self.name}: {self.problem}"
        problem, fix = PROBLEMS[self.problem]
        return f"{self.name}: {problem}{FIX}{fix.format(name=self.name)}"


class Plan:
    """Every step, by number."""

    def __init__(self, folder: Path, records: Sequence[Record]) -> None:
        files, strays = find_files(folder)
        rows = {record.name: (at, record) for at, record in enumerate(records)}
        steps = [_step(file.name, file, rows.pop(file.name, None)) for file in files]
        steps += [_step(name, None, row) for name, row in rows.items()]
        steps += [Step(name=stray, problem=STRAY) for stray in strays]
        steps.sort(key=lambda step: (step.number or 0, step.name))
        numbers = Counter(step.number for step in steps)
        highest = max((step.number or 0 for step in steps if step.applied), default=0)
        self.steps = tuple(_compare_with_others(step, numbers, highest) for step in steps)

    @property
    def pending(self) -> list[Step]:
        """The steps that are not applied, by number."""
        return [step for step in self.steps if not step.applied]

    @property
    def applied(self) -> list[Step]:
        """The applied steps, in the order of applying."""
        applied = [step for step in self.steps if step.position is not None]
        return sorted(applied, key=lambda step: step.position or 0)

    def find(self, name: str) -> Step:
        """The step of a full name, a number or a part of a name, as in `--to sessions`.

        A full name is preferred to a number, and a number to a part of a name. Raises PlanError for
        a part of several names, and for an unknown name.
        """
        found = self._find_all(name)
        if len(found) > 1:
            raise PlanError(f"{name!r} is ambiguous: {_names(found)}")
        if not found:
            names = [step.name for step in self.steps]
            nearest = get_close_matches(name, names, cutoff=0.4) or names[-3:]
            raise PlanError(f"no migration is called {name!r}; similar: {', '.join(nearest)}")
        return found[0]

    def _find_all(self, name: str) -> list[Step]:
        number = int(name) if name.isascii() and name.isdecimal() else None
        return (
            [step for step in self.steps if step.name == name]
            or [step for step in self.steps if number is not None and step.number == number]
            or [step for step in self.steps if name and name in _searchable(name, step.name)]
        )

    def check(self, *, allow_out_of_order: bool) -> None:
        """Raise PlanError with every problem that prevents applying anything.

        A missing file prevents its own rollback only.
        """
        tolerated = (None, MISSING, OUT_OF_ORDER) if allow_out_of_order else (None, MISSING)
        _refuse(step.describe_problem() for step in self.steps if step.problem not in tolerated)

    def steps_up(
        self, to: str | None, count: int | None, *, allow_out_of_order: bool
    ) -> list[Step]:
        """The pending steps to apply; raises PlanError with every reason against it."""
        _check_selection(to, count)
        last = self.find(to) if to is not None else None
        if last and last.applied:
            raise PlanError(f"{last.name} is applied already")
        self.check(allow_out_of_order=allow_out_of_order)
        return self.pending[: self.pending.index(last) + 1] if last else self.pending[:count]

    def steps_down(self, to: str | None, count: int | None) -> list[Step]:
        """The applied steps to roll back, the last one first; raises PlanError as steps_up does."""
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
        _refuse(reason for step in chosen if (reason := _reason_against_rollback(step)))
        return chosen

    def steps_redo(self, count: int | None) -> list[Step]:
        """The applied steps to roll back and apply again; raises PlanError as steps_up does."""
        chosen = self.steps_down(None, count)
        _refuse(
            f"{step.name}: {step.file.content.problem}"
            for step in chosen
            if step.file and step.file.content.problem
        )
        return chosen

    def still_as_planned(self, planned: Sequence[Step]) -> list[Step]:
        """The steps of an earlier plan that no other runner has applied or rolled back since."""
        now = {step.name: step for step in self.steps}
        return [
            now[step.name]
            for step in planned
            if step.name in now and now[step.name].applied == step.applied
        ]


def _names(steps: Iterable[Step]) -> str:
    return ", ".join(step.name for step in steps)


def _searchable(name: str, whole: str) -> str:
    """The text to search for a part of a name: digits must not match a part of another number."""
    return whole.partition("_")[2] if name.isdecimal() else whole


def _check_selection(to: str | None, count: int | None) -> None:
    if to is not None and count is not None:
        raise PlanError("--to and --steps exclude each other")
    if count is not None and count < 1:
        raise PlanError("--steps must be a number, 1 or more")


def _refuse(reasons: Iterable[str]) -> None:
    if lines := [f"  {reason}" for reason in reasons]:
        raise PlanError("\n".join(["nothing was run:", *lines]))


def _reason_against_rollback(step: Step) -> str | None:
    if step.problem or step.file is None:
        return step.describe_problem()
    problem = step.file.content.rollback_problem
    return problem and f"{step.name}: {problem}"


def _step(name: str, file: MigrationFile | None, row: tuple[int, Record] | None) -> Step:
    if row is None:
        return Step(name=name, file=file, problem=file.content.problem if file else None)
    position, record = row
    problem = None
    if file is None:
        problem = MISSING
    elif _is_edited(file, record):
        problem = EDITED
    at = record.applied_at
    return Step(name=name, file=file, applied_at=at, position=position, problem=problem)


def _is_edited(file: MigrationFile, record: Record) -> bool:
    """Whether the file differs from the one that was applied; a record may have no checksum."""
    return record.checksum not in (None, file.checksum)


def _compare_with_others(step: Step, numbers: Counter[int | None], highest: int) -> Step:
    """The step with its problem among the others; `highest` is the highest applied number."""
    if step.applied or step.problem or step.number is None:
        return step
    if numbers[step.number] > 1:
        return replace(step, problem=DUPLICATE)
    return replace(step, problem=OUT_OF_ORDER) if step.number < highest else step
