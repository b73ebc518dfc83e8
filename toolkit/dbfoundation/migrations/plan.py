"""The plan: every migration with its problem, and the steps that a request selects."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import PurePath
from typing import TYPE_CHECKING

from dbfoundation.errors import PlanError
from dbfoundation.migrations.merge import merge
from dbfoundation.migrations.problems import MISSING, OUT_OF_ORDER, UNKNOWN, names_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from dbfoundation.migrations.history import Record
    from dbfoundation.migrations.step import Step

ZERO = "zero"
LONGEST_SHOWN = 60  # characters of a text that a message repeats


class Plan:
    """Every step, by number."""

    def __init__(self, folder: Path, records: Sequence[Record]) -> None:
        self.steps = merge(folder, records)

    @property
    def pending(self) -> list[Step]:
        """The steps that are not applied, by number."""
        return [step for step in self.steps if not step.applied]

    @property
    def applied(self) -> list[Step]:
        """The applied steps, in the order of applying."""
        applied = [step for step in self.steps if step.position is not None]
        return sorted(applied, key=lambda step: step.position or 0)

    @property
    def missing(self) -> list[Step]:
        """The applied steps whose file is missing here."""
        return [step for step in self.steps if step.problem in (MISSING, UNKNOWN)]

    def find(self, name: str) -> Step:
        """The step of a full name, a file, a number or a part of a name, as in `--to sessions`.

        A full name is preferred to a number, and a number to a part of a name. Raises PlanError for
        a part of several names, and for an unknown name.
        """
        found = self._find_all(name)
        if len(found) > 1:
            raise PlanError(f"{shown(name)} is ambiguous: {names_of(found)}")
        if not found:
            names = [step.name for step in self.steps]
            nearest = get_close_matches(name, names, cutoff=0.4) or names[-3:]
            raise PlanError(f"no migration is called {shown(name)}; similar: {', '.join(nearest)}")
        return found[0]

    def _find_all(self, name: str) -> list[Step]:
        path = PurePath(name)
        file = path.stem if path.suffix == ".py" else None  # as the shell completes it
        is_number = name.isascii() and name.isdecimal()
        number = (name.lstrip("0") or "0") if is_number else None
        return (
            [step for step in self.steps if step.name in (name, file)]
            or [step for step in self.steps if f"{step.number}" == number]
            or [step for step in self.steps if name and name in _searchable(name, step.name)]
        )

    def check(self, *, allow_out_of_order: bool) -> None:
        """Raise PlanError with every problem that prevents applying anything.

        A missing file prevents its own rollback only.
        """
        tolerated = {None, MISSING, UNKNOWN} | ({OUT_OF_ORDER} if allow_out_of_order else set())
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

    def steps_to_record(self, to: str) -> list[Step]:
        """The pending steps up to `to`, to record without running; raises PlanError as steps_up.

        Every file up to `to` runs on a scratch database, so that none may be missing.
        """
        last = self.find(to)
        self.check(allow_out_of_order=False)
        chosen = [s for s in self.steps[: self.steps.index(last) + 1] if not s.applied]
        if chosen:
            _refuse(step.describe_problem() for step in self.missing)
        return chosen

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


def shown(name: str) -> str:
    """A text of the command line for a message."""
    return repr(name if len(name) <= LONGEST_SHOWN else f"{name[:LONGEST_SHOWN]}…")


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
