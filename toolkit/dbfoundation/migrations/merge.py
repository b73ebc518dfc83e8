"""Files and history merged into one list of steps.

A migration is recognized by its name, and after its file was renamed by its text. An applied
migration without a file belongs to a later release if all that is known here was applied before.
Otherwise its file is missing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from dbfoundation.migrations.files import find_files
from dbfoundation.migrations.problems import (
    DUPLICATE,
    EDITED,
    MISSING,
    OUT_OF_ORDER,
    RENAMED,
    STRAY,
    UNKNOWN,
)
from dbfoundation.migrations.step import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from dbfoundation.migrations.files import MigrationFile
    from dbfoundation.migrations.history import Record

    Rows = dict[str, tuple[int, Record]]  # the position and the record of an applied migration


def merge(folder: Path, records: Sequence[Record]) -> tuple[Step, ...]:
    """Every step by number, with its problem."""
    files, strays = find_files(folder)
    rows: Rows = {record.name: (at, record) for at, record in enumerate(records)}
    known = {file.name: rows.pop(file.name) for file in files if file.name in rows}
    new = [file for file in files if file.name not in known]
    renamed = _find_renamed(new, rows)
    steps = [_known(file, *known[file.name]) for file in files if file.name in known]
    steps += [_renamed(file, *rows.pop(renamed[file.name])) for file in new if file.name in renamed]
    steps += [_new(file) for file in new if file.name not in renamed]
    steps += [_missing(*row) for row in rows.values()]
    steps += [Step(name=stray, problem=STRAY) for stray in strays]
    steps.sort(key=lambda step: (step.number or 0, step.name))
    return _mark_unknown(_compare_numbers(steps))


def _find_renamed(files: Iterable[MigrationFile], rows: Rows) -> dict[str, str]:
    """The recorded name of each file that has another name now, by the new one."""
    found: dict[str, str] = {}
    for name, (_, record) in rows.items():
        same = [file for file in files if file.name not in found and _is_renamed(file, record)]
        if same:
            best = min(same, key=lambda file: _words(file.name) != _words(name))
            found[best.name] = name
    return found


def _is_renamed(file: MigrationFile, record: Record) -> bool:
    """Whether a file has the text of a record; without a checksum, the words of its name."""
    if record.checksum is None:
        return _words(file.name) == _words(record.name)
    return _has_text(file, record)


def _has_text(file: MigrationFile, record: Record) -> bool:
    """Whether the file is the one that was applied, at least for Python.

    Equal files are not parsed: a plan without a change depends on no version of Python.
    """
    if record.checksum == file.checksum:
        return True
    return record.code_checksum is not None and record.code_checksum == file.code_checksum


def _words(name: str) -> str:
    """The name without its number."""
    return name.partition("_")[2]


def _known(file: MigrationFile, position: int, record: Record) -> Step:
    """A record may have no checksum."""
    problem = None
    if record.checksum is not None and not _has_text(file, record):
        problem = f"{EDITED}: {file.content.problem}" if file.content.problem else EDITED
    return Step(
        name=file.name,
        file=file,
        applied_at=record.applied_at,
        position=position,
        problem=problem,
    )


def _renamed(file: MigrationFile, position: int, record: Record) -> Step:
    return Step(
        name=file.name,
        file=file,
        applied_at=record.applied_at,
        position=position,
        recorded_as=record.name,
        problem=RENAMED,
        details={"other": record.name},
    )


def _new(file: MigrationFile) -> Step:
    return Step(name=file.name, file=file, problem=file.content.problem)


def _missing(position: int, record: Record) -> Step:
    return Step(name=record.name, applied_at=record.applied_at, position=position, problem=MISSING)


def _compare_numbers(steps: Sequence[Step]) -> list[Step]:
    """The steps with the problems of their numbers."""
    by_number: dict[int | None, list[Step]] = defaultdict(list)
    for step in steps:
        by_number[step.number].append(step)
    highest = max((step.number or 0 for step in steps if step.applied), default=0)
    details = {"next": f"{max((step.number or 0 for step in steps), default=0) + 1:03}"}
    return [_compare_number(step, by_number[step.number], highest, details) for step in steps]


def _compare_number(
    step: Step, same: Sequence[Step], highest: int, details: Mapping[str, str]
) -> Step:
    """The step with the problem of its number; `highest` is the highest applied number."""
    if step.applied or step.problem or step.number is None:
        return step
    if others := [other for other in same if other is not step]:
        text = ", ".join(f"{other.name}, which is {_state(other)} here" for other in others)
        return replace(step, problem=DUPLICATE, details={**details, "other": text})
    if step.number < highest:
        return replace(step, problem=OUT_OF_ORDER, details=details)
    return step


def _state(step: Step) -> str:
    return "applied" if step.applied else "not applied"


def _mark_unknown(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Missing files belong to a later release if all others are applied before them, and valid."""
    missing = [step.position or 0 for step in steps if step.problem == MISSING]
    known = [step for step in steps if step.problem != MISSING]
    last = max((step.position or 0 for step in known), default=-1)
    is_up_to_date = all(step.applied and step.problem is None for step in known)
    if not (missing and is_up_to_date and min(missing) > last):
        return tuple(steps)
    return tuple(
        replace(step, problem=UNKNOWN) if step.problem == MISSING else step for step in steps
    )
