"""A step of the plan: a migration's file, its record in the history, or both, and its problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dbfoundation.migrations.content import FIX
from dbfoundation.migrations.files import number_of
from dbfoundation.migrations.problems import PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from dbfoundation.migrations.files import MigrationFile


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
    details: Mapping[str, str] = field(default_factory=dict, hash=False)

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
