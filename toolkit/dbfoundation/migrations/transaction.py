"""The transaction of a step, as the server knows it.

A file can end its transaction in more ways than the driver can see. So no message relies on what
the file was meant to do. A step's transaction begins with a savepoint, and its number is read: the
savepoint exists only in that transaction, and the number has a state that survives the session.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from time import sleep
from typing import TYPE_CHECKING

from peewee import PeeweeException, PostgresqlDatabase

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMITTED = "committed"
ABORTED = "aborted"
IN_PROGRESS = "in progress"
SAVEPOINT = "dbfoundation_step"
# Begins the last statement before a function of a file, to recognize it in pg_stat_activity.
STEP_BEGINS = "/* dbfoundation begins a step */"
# After a failover, another server answers, at the next host or at the same address. Its history may
# lack the last transactions, and other ones have their numbers.
SERVER_START = "extract(epoch FROM pg_postmaster_start_time())::text"
# The server notices a lost connection after two seconds; see lock.CONNECTION_CHECK.
POLLS = 40
POLL_SECONDS = 0.1


def undo(database: PostgresqlDatabase) -> bool:
    """Roll the open step back; returns False when the session has left the step's transaction.

    After True, everything that this session sent since the step began is undone: a session has one
    transaction at a time, and this one is still the step's.
    """
    try:
        database.execute_sql(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
    except PeeweeException:
        return False
    return True


def state_of(database: PostgresqlDatabase, transaction: str, server_start: str) -> str | None:
    """The state of a transaction by its number; None where its server does not answer.

    `IN_PROGRESS` only if it stays so: the transaction of a lost session ends soon.
    """
    try:
        with another_session(database) as session:
            if not is_at(session, server_start):
                return None
            for _ in range(POLLS):
                query = session.execute_sql("SELECT pg_xact_status(%s::xid8)", (transaction,))
                [(state,)] = query.fetchall()
                if state != IN_PROGRESS:
                    break
                sleep(POLL_SECONDS)
            return str(state)
    except PeeweeException:
        return None


def is_at(session: PostgresqlDatabase, server_start: str) -> bool:
    """Whether a session is at the server that started then, and has run since."""
    [(start,)] = session.execute_sql(f"SELECT {SERVER_START}").fetchall()
    return bool(start == server_start)


def has_sent(database: PostgresqlDatabase) -> bool:
    """Whether the session has sent a statement since the step began, by any API."""
    connection = database.connection()
    if connection.closed:
        return True  # by its end at least
    pid = connection.info.backend_pid
    with another_session(database) as session:
        found = session.execute_sql("SELECT query FROM pg_stat_activity WHERE pid = %s", (pid,))
        return not all(STEP_BEGINS in query or not query for (query,) in found.fetchall())


@contextmanager
def another_session(database: PostgresqlDatabase) -> Iterator[PostgresqlDatabase]:
    """A connection to the same database, for a question that the first one cannot answer."""
    other = PostgresqlDatabase(database.database, **database.connect_params)
    with other.connection_context():
        yield other


@contextmanager
def rolled_back(database: PostgresqlDatabase) -> Iterator[None]:
    """A transaction that is rolled back in any case."""
    transaction = database.transaction()
    transaction.__enter__()
    try:
        yield
    finally:
        roll_back(database)


def roll_back(database: PostgresqlDatabase) -> None:
    """Roll back the open transaction, of which Peewee may know nothing, with its commit hooks.

    The server has rolled back the transaction of a session that is closed or lost.
    """
    while database.in_transaction():
        database.pop_transaction()
    with suppress(PeeweeException):
        database.transaction().rollback(begin=False)
