"""What remains of a failed step, in words that the server's state confirms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peewee import PeeweeException

from dbfoundation.errors import FoundationError
from dbfoundation.migrations.history import History
from dbfoundation.migrations.transaction import (
    ABORTED,
    COMMITTED,
    another_session,
    is_at,
    roll_back,
    state_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import PostgresqlDatabase

    from dbfoundation.migrations.attempt import Attempt

NOTHING = "nothing was changed"
DONE = "the step is done and recorded"
UNDONE = "the step is undone"
KEPT = "what the file committed remains"
LEFT = (
    "the file committed its transaction: its work up to that point remains, and what it committed "
    "later remains, too"
)
# By the function of the file.
NOT_RECORDED = {
    "migrate": "the step is not recorded",
    "rollback": "the migration stays recorded as applied",
}
ROLLED_BACK = "transaction is rolled back; what the file committed outside of it remains"
OPEN = "unknown: the step's transaction is still open on the server; see pg_stat_activity"
UNKNOWN = (
    "unknown: the server that ran the step does not answer; `invoke migrate-status` shows whether "
    "the step is recorded"
)


def describe_outcome(database: PostgresqlDatabase, attempt: Attempt, done: Sequence[str]) -> str:
    """The state of a failed step, and the steps that were `done` before it in this run."""
    if attempt.recorder.is_shown:
        return _of_dry_run(database, attempt, done)
    outcome = _of_transaction if attempt.file.content.atomic else _without_transaction
    return f"{outcome(database, attempt)}; {describe_done(done, is_dry_run=False)}"


def describe_done(done: Sequence[str], *, is_dry_run: bool) -> str:
    """The steps that a run has done; a dry run does none."""
    return NOTHING if is_dry_run else f"done before: {', '.join(done) or 'nothing'}"


def _of_transaction(database: PostgresqlDatabase, attempt: Attempt) -> str:
    if attempt.is_undone or attempt.transaction is None:
        return UNDONE
    state = state_of(database, attempt.transaction, attempt.server_start)
    if attempt.is_recorded and state in (COMMITTED, ABORTED):
        return DONE if state == COMMITTED else UNDONE
    left = f"{LEFT}; {NOT_RECORDED[attempt.function]}"
    return {COMMITTED: left, ABORTED: f"the step's {ROLLED_BACK}", None: UNKNOWN}.get(state, OPEN)


def _without_transaction(database: PostgresqlDatabase, attempt: Attempt) -> str:
    kept = f"{KEPT}, and {NOT_RECORDED[attempt.function]}"
    if not (attempt.is_recording or database.connection().closed):
        return kept
    try:
        with another_session(database) as session:
            if not is_at(session, attempt.server_start):
                return UNKNOWN
            names = {record.name for record in History(session).records()}
    except (PeeweeException, FoundationError):
        return UNKNOWN
    return DONE if (attempt.file.name in names) is (attempt.function == "migrate") else kept


def _of_dry_run(database: PostgresqlDatabase, attempt: Attempt, done: Sequence[str]) -> str:
    """The transaction of a dry run has all of its steps."""
    if attempt.is_undone or attempt.transaction is None:
        return NOTHING
    roll_back(database)
    state = state_of(database, attempt.transaction, attempt.server_start)
    if state == COMMITTED:
        before = f"; the steps before it are done and recorded: {', '.join(done)}" if done else ""
        return f"{LEFT}; {NOT_RECORDED[attempt.function]}{before}"
    if state == ABORTED:
        return f"the dry run's {ROLLED_BACK}"
    return UNKNOWN if state is None else OPEN
