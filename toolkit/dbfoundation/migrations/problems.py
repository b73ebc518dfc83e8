"""The problems of a migration, each with its fix, and the state of a whole plan.

It imports nothing, because each start of invoke loads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dbfoundation.migrations.step import Step

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
