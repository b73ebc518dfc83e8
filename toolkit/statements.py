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
    from collections.abc import Iterable, Iterator

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
# May change a setting of the session; an UPDATE does not, and is as good as one that does.
SETS = re.compile(r"\b(SET|set_config)\b", re.IGNORECASE)
# A value as long as this is no word of the server's, and is hidden without its quotes as well.
TELLING_CHARACTERS = 6


@dataclass
class Statement:
    """A statement as it was written, its parameters, and as it was sent with them."""

    text: str
    values: Any
    sent: str = ""


def hide_values(message: str, statements: Iterable[Statement]) -> str:
    """What the server said, without the parameters that it quotes of this statement or another."""
    values = {text for statement in statements for text in _texts(statement.values)}
    for value in sorted(values, key=len, reverse=True):
        message = message.replace(f'"{value}"', '"..."')
        if len(value) >= TELLING_CHARACTERS:
            message = message.replace(value, "...")
    return message


def _texts(value: object) -> Iterator[str]:
    """Each value in it as a text."""
    value = getattr(value, "adapted", value)  # psycopg2's wrappers
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple | set):
        for item in value:
            yield from _texts(item)
    elif value not in (None, ""):
        yield str(value)


def change_settings(statements: Iterable[Statement]) -> bool:
    """Whether one of the statements may have changed a setting of the session."""
    return any(SETS.search(statement.text) for statement in statements)


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
        except (IndexError, TypeError, ValueError) as error:
            raise MigrationError(
                f"{type(error).__name__}: {error}; a lone % is written %%: {text}"
            ) from error
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
