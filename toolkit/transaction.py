"""A transaction that begins and ends along with other statements.

A migration is a few short statements, so what a long history of them costs beside bare SQL is the
round trips: two of them fewer a step make a third of that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from peewee import PostgresqlDatabase


class Transaction:
    """A transaction on the database's connection, or a savepoint where one is open.

    `begin` is to be sent in front of the first statement, and `end` behind the last. Peewee's own
    transactions become savepoints in it. What fails in the block is undone.
    """

    def __init__(self, database: PostgresqlDatabase) -> None:
        self.database = database
        self.nested = database.in_transaction()
        self.begin = "SAVEPOINT step; " if self.nested else "BEGIN; "
        self.end = "; RELEASE SAVEPOINT step" if self.nested else "; COMMIT"

    def __enter__(self) -> Self:
        self.database.push_transaction(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.database.pop_transaction()
        if kind:
            self.database.execute_sql("ROLLBACK TO SAVEPOINT step" if self.nested else "ROLLBACK")
        if not self.nested:
            # As Peewee's own transactions do with what waits for a commit.
            getattr(self.database, "_clear_commit_callbacks" if kind else "_run_commit_callbacks")()
