"""A step of the plan: a migration's file, its record in the history, or both, and its problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dbfoundation.migrations.content import FIX
from dbfoundation.migrations.files import number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from dbfoundation.migrations.files import MigrationFile

EDITED = "edited"
MISSING = "missing file"
UNKNOWN = "unknown"
RENAMED = "renamed"
OUT_OF_ORDER = "out of order"
DUPLICATE = "duplicate number"
STRAY = "stray file"
PROBLEMS = {
    EDITED: ("edited after it was applied", "restore the file, or `invoke migrate-accept {name}`"),
    MISSING: (
        "applied, but its file is missing",
        "restore the file, or use the branch or the release that has it",
    ),
    UNKNOWN: (
        "applied by a later release, and its file is missing here",
        "use the release that has it, or restore the file",
    ),
    RENAMED: (
        "its file was renamed after it was applied as {other}",
        "`invoke migrate-accept {name}` records the new name; or restore {other}.py, to run both",
    ),
    OUT_OF_ORDER: (
        "a later migration is applied",
        (
            "give the file the next number, {next}; if another database has applied it, use "
            "`--allow-out-of-order` here instead"
        ),
    ),
    DUPLICATE: (
        "another migration has this number: {other}",
        (
            "give the next number, {next}, to the file that production has not applied (or to the "
            "one merged last); where that is applied, `invoke migrate-accept {next}` renames it"
        ),
    ),
    STRAY: (
        "would be ignored, because its name is not NNN_name.py",
        "rename the file, for example to 004_add_users.py",
    ),
}
UP_TO_DATE = "up to date"
PENDING = "pending"
DIFFERENT = "different"
PROBLEM = "problem"
AHEAD = "ahead"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A migration: its file, or its record in the history, or both.

    `position` counts the applied ones in the order of applying. `details` belong to the problem.
    `recorded_as` is the name in the history where the file has another one.
    """

    name: str
    file: MigrationFile | None = None
    applied_at: datetime | None = None
    position: int | None = None
    recorded_as: str | None = None
    problem: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)

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
        texts = (text.format(name=self.name, **self.details) for text in PROBLEMS[self.problem])
        return f"{self.name}: {FIX.join(texts)}"


def state_of(steps: Sequence[Step], *, is_different: bool = False) -> str:
    """The state of a whole plan: its worst one; `is_different` is the result of migrate-check.

    "ahead" means that a later release has applied migrations whose files are missing here. The
    models of the earlier release then differ in any case.
    """
    problems = {step.problem for step in steps} - {None}
    if problems - {UNKNOWN}:
        return PROBLEM
    if problems:
        return AHEAD
    if not all(step.applied for step in steps):
        return PENDING
    return DIFFERENT if is_different else UP_TO_DATE


def names_of(steps: Iterable[Step]) -> str:
    return ", ".join(step.name for step in steps)
