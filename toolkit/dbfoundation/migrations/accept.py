"""Accepting: the history takes the text and the name that a file has now, without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbfoundation.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbfoundation.migrations.files import MigrationFile
    from dbfoundation.migrations.history import History
    from dbfoundation.migrations.step import Step


def file_to_accept(step: Step) -> MigrationFile:
    """The file of an applied step; raises PlanError for a missing or an invalid one."""
    if not step.applied or step.file is None:
        reason = "is not applied" if step.file else "has no file"
        raise PlanError(f"{step.name} {reason}: there is nothing to accept")
    if step.file.content.problem:
        raise PlanError(f"{step.name}: {step.file.content.problem}")
    return step.file


def record_files(history: History, steps: Iterable[Step]) -> list[Step]:
    """Record the files of steps, all or none; returns the steps that were recorded otherwise."""
    files = [(step, file_to_accept(step)) for step in steps]
    with history.database.atomic():
        return [
            step
            for step, file in files
            if history.accept(
                step.recorded_as or step.name, file.name, file.checksum, file.code_checksum
            )
        ]
