"""A step that failed, in words: what the server said, where in the file, and without parameters."""

from __future__ import annotations

from traceback import walk_tb
from typing import TYPE_CHECKING

import psycopg2
from peewee import PeeweeException

from toolkit.errors import ToolkitError, driver_error
from toolkit.statements import hide_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.statements import Statement

SHOWN_CHARACTERS = 300


def told(error: BaseException, statements: Sequence[Statement]) -> str:
    """What the server said, without the statements' parameters; or the exception."""
    diagnosis = getattr(driver_error(error), "diag", None)
    if diagnosis is not None and diagnosis.message_primary:
        hint = f" (hint: {diagnosis.message_hint})" if diagnosis.message_hint else ""
        return hide_values(diagnosis.message_primary + hint, statements)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, ToolkitError):
        return str(error)
    return hide_values(" ".join(f"{type(error).__name__}: {error}".split()), statements)


def first(error: BaseException) -> BaseException:
    """What went wrong first: where the connection is gone, the rollback after it fails as well."""
    while type(error).__name__ == "InterfaceError" and error.__context__ is not None:
        error = error.__context__
    return error


def is_sql(error: BaseException) -> bool:
    """Whether it is Peewee's or the driver's, which quotes the statement with its parameters."""
    return isinstance(error, PeeweeException | psycopg2.Error)


def sqlstate(error: BaseException) -> str | None:
    return getattr(driver_error(error), "pgcode", None)


def line_in(path: str, error: BaseException) -> int | None:
    """The line of the file that an exception came through last."""
    frames = walk_tb(error.__traceback__)
    lines = [number for frame, number in frames if frame.f_code.co_filename == path]
    return lines[-1] if lines else None


def shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}..."
