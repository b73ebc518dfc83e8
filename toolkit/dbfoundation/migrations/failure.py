"""The description of a failed step: its place in the file, the reason, and what remains of it."""

from __future__ import annotations

from traceback import walk_tb
from typing import TYPE_CHECKING

import psycopg2
from peewee import PeeweeException

from dbfoundation.errors import FoundationError, LockTimeoutError, MigrationFailedError
from dbfoundation.migrations.statements import redact_parameters
from dbfoundation.runtime.server_errors import driver_error, server_message, sqlstate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbfoundation.migrations.attempt import Attempt

SHOWN_CHARACTERS = 300
LOCK_NOT_AVAILABLE = "55P03"
NO_ACTIVE_TRANSACTION = "25P01"


def describe_failure(
    attempt: Attempt,
    error: BaseException,
    *,
    invalid_indexes: Sequence[str],
    outcome: str,
) -> MigrationFailedError:
    """The error for a failed attempt; `outcome` describes what remains of it."""
    file = attempt.file
    line = _line_in(str(file.path), error)
    place = f"{file.place}:{line}" if line else file.place
    lines = f"{place}: {attempt.function}() failed: {_reason(error, attempt)}".splitlines()
    if is_sql_error(error) and attempt.statements:
        lines.append(f"statement: {_shorten(attempt.statements[-1].text)}")
    if attempt.watcher and attempt.watcher.blocker:
        lines.append(f"blocked by {_shorten(attempt.watcher.blocker)}")
    for name in invalid_indexes:
        lines.append(f"the index {name} is INVALID")
        lines.append(f"Fix: `DROP INDEX CONCURRENTLY {name}` before the next try")
    lines.append(outcome)
    is_lock_timeout = sqlstate(error) == LOCK_NOT_AVAILABLE
    return (LockTimeoutError if is_lock_timeout else MigrationFailedError)("\n  ".join(lines))


def root_cause(error: BaseException) -> BaseException:
    """The first error: without a connection or a transaction, the rollback after it fails too."""
    while error.__context__ is not None and _is_failed_rollback(error):
        error = error.__context__
    return error


def _is_failed_rollback(error: BaseException) -> bool:
    return type(error).__name__ == "InterfaceError" or sqlstate(error) == NO_ACTIVE_TRANSACTION


def is_sql_error(error: BaseException) -> bool:
    """Whether the error is Peewee's or the driver's, which quotes the statement's parameters."""
    return isinstance(error, PeeweeException | psycopg2.Error)


def _reason(error: BaseException, attempt: Attempt) -> str:
    """The server's message, or the exception, without the statements' parameters."""
    statements = attempt.statements
    if message := server_message(error):
        hint = driver_error(error).diag.message_hint  # type: ignore[attr-defined] # a psycopg2.Error
        return redact_parameters(message + (f" (hint: {hint})" if hint else ""), statements)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, FoundationError):
        return str(error)
    return redact_parameters(" ".join(f"{type(error).__name__}: {error}".split()), statements)


def _line_in(path: str, error: BaseException) -> int | None:
    """The last line of the file that an exception passed."""
    frames = walk_tb(error.__traceback__)
    lines = [number for frame, number in frames if frame.f_code.co_filename == path]
    return lines[-1] if lines else None


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}..."
