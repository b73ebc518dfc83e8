"""What a connection is told: every statement is noted, and none may end the transaction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import cursor
from psycopg2.sql import Composable

from toolkit.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import PostgresqlDatabase

# What may hold a semicolon, or a word that is none of SQL's.
OPAQUE = re.compile(
    r"""--[^\n]* | /\*.*?\*/  # comments
    | \bE'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'  # literals
    | "(?:[^"]|"")*"  # identifiers
    | \$(\w*)\$.*?\$\1\$  # dollar-quoted text""",
    re.DOTALL | re.VERBOSE,
)
ENDS_TRANSACTION = re.compile(
    r"""\s* (?: COMMIT | END | ABORT | BEGIN | ROLLBACK (?!.*\bTO\b)
    | START \s+ TRANSACTION | PREPARE \s+ TRANSACTION ) \b""",
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
# The body of an SQL function, which has its own BEGIN and END.
SQL_BODY = re.compile(r"\bBEGIN\s+ATOMIC\b", re.IGNORECASE)


@dataclass
class Statement:
    """A statement as it was written, its parameters, and as it was sent with them."""

    text: str
    values: Any
    sent: str = ""

    def hide_values(self, message: str) -> str:
        """What the server said of the statement, without the parameters that it quotes."""
        values = self.values.values() if isinstance(self.values, Mapping) else self.values or ()
        for value in values:
            message = message.replace(f'"{value}"', '"..."')
        return message


def ends_transaction(text: str) -> bool:
    """Whether one of the statements begins or ends a transaction."""
    plain = OPAQUE.sub(" ", text)
    if SQL_BODY.search(plain):
        return False
    return any(ENDS_TRANSACTION.match(statement) for statement in plain.split(";"))


class NotingCursor(cursor):
    """A cursor that adds each statement to a list before it is sent.

    With `transaction`, one that would begin or end a transaction is not sent: MigrationError.
    """

    def __init__(
        self, *args: Any, statements: list[Statement], transaction: bool, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.statements = statements
        self.transaction = transaction

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 # psycopg2's name
        text = query.as_string(self) if isinstance(query, Composable) else query
        text = text.decode() if isinstance(text, bytes) else text
        if self.transaction and ends_transaction(text):
            raise MigrationError(
                "it begins or ends a transaction itself: leave that to the engine, or say "
                "`atomic = False` to run the file outside of one"
            )
        statement = Statement(text, vars)
        self.statements.append(statement)
        try:
            super().execute(query, vars)
        finally:
            statement.sent = (self.query or b"").decode()

    def executemany(self, query: Any, vars_list: Any) -> None:
        for values in vars_list:
            self.execute(query, values)


@contextmanager
def noted(
    database: PostgresqlDatabase, statements: list[Statement], *, transaction: bool
) -> Iterator[None]:
    """Note in the list what the database's connection is told during the block."""
    connection = database.connection()
    before = connection.cursor_factory
    connection.cursor_factory = partial(
        NotingCursor, statements=statements, transaction=transaction
    )
    try:
        yield
    finally:
        connection.cursor_factory = before
