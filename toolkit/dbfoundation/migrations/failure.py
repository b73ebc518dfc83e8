"""The description of a failed step: its place in the file, the reason, and what remains of it."""

from __future__ import annotations

from traceback import walk_tb
from typing import TYPE_CHECKING

import psycopg2
from peewee import PeeweeException

from dbfoundation.errors import LockTimeoutError, MigrationFailedError
from dbfoundation.migrations.advice import fix_for
from dbfoundation.migrations.reason import reasons, shorten
from dbfoundation.runtime.server_errors import sqlstate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbfoundation.migrations.attempt import Attempt

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
    file, recorder = attempt.file, attempt.recorder
    line = _line_in(str(file.path), error)
    place = f"{file.place}:{line}" if line else file.place
    first, *rest = reasons(error, recorder)
    lines = [f"{place}: {attempt.function}() failed: {first}", *rest]
    if is_sql_error(error) and recorder.last_is_of(error):
        lines.append(f"statement: {shorten(recorder.last)}")
    if attempt.watcher and attempt.watcher.blocker:
        lines.append(f"blocked by {attempt.watcher.blocker.describe()}")
        lines.append(f"Fix: let it finish, or end it by `{attempt.watcher.blocker.termination}`")
    if is_sql_error(error) and (fix := fix_for(error, atomic=file.content.atomic)):
        lines.append(f"Fix: {fix}")
    for name in invalid_indexes:
        lines.append(f"the index {name} is INVALID")
        lines.append(f"Fix: `DROP INDEX CONCURRENTLY {name}` before the next try")
    lines.append(outcome)
    # A step that may have left something must not be retried.
    can_retry = attempt.is_undone or not file.content.atomic
    is_lock_timeout = sqlstate(error) == LOCK_NOT_AVAILABLE and can_retry
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


def _line_in(path: str, error: BaseException) -> int | None:
    """The last line of the file that an exception passed."""
    frames = walk_tb(error.__traceback__)
    lines = [number for frame, number in frames if frame.f_code.co_filename == path]
    return lines[-1] if lines else None
