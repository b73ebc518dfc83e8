"""The statements of a migration: recorded as sent, and refused if they end a transaction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import cursor
from psycopg2.sql import Composable

from dbfoundation.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from peewee import PostgresqlDatabase

    from dbfoundation.migrations.server_wide import ServerGuard

# Text that may contain a semicolon, or a word that is not a keyword.
OPAQUE = re.compile(
    r"""--[^\n]* | /\*  # comments, of which the second kind nests
    | \bE'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*'  # literals
    | "(?:[^"]|"")*"  # identifiers
    | \$(\w*)\$.*?\$\1\$  # dollar-quoted text""",
    re.DOTALL | re.VERBOSE,
)
COMMENT_EDGE = re.compile(r"/\*|\*/")
ENDS_TRANSACTION = re.compile(
    r"""\s* (?: COMMIT | END | ABORT | BEGIN | ROLLBACK (?!.*\bTO\b)
    | START \s+ TRANSACTION | PREPARE \s+ TRANSACTION ) \b""",
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)
# The body of an SQL function, which has its own BEGIN and END.
SQL_BODY = re.compile(r"\bBEGIN\s+ATOMIC\b", re.IGNORECASE)
# May change a setting of the session; it also matches an UPDATE, which costs one more RESET.
SETS = re.compile(r"\b(SET|set_config)\b", re.IGNORECASE)
# A shorter value is replaced in quotes only, because the server's own words may contain it.
MIN_UNQUOTED_CHARACTERS = 6


@dataclass
class Statement:
    """The text of a statement, its parameters, and the text that was sent with them."""

    text: str
    values: Any
    sent: str = ""


def redact_parameters(message: str, statements: Iterable[Statement]) -> str:
    """The message without the statements' parameters, because the server quotes them in errors.

    Without this, `invalid input syntax for type integer: "hunter2"` shows a password in the log of
    a deployment.
    """
    values = {text for statement in statements for text in _parameter_texts(statement.values)}
    for value in sorted(values, key=len, reverse=True):
        message = message.replace(f'"{value}"', '"..."')
        if len(value) >= MIN_UNQUOTED_CHARACTERS:
            message = message.replace(value, "...")
    return message


def _parameter_texts(value: object) -> Iterator[str]:
    """The text of each parameter, also of those in lists and mappings."""
    value = getattr(value, "adapted", value)  # psycopg2's wrappers
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple | set):
        for item in value:
            yield from _parameter_texts(item)
    elif value not in (None, ""):
        yield str(value)


def change_settings(statements: Iterable[Statement]) -> bool:
    """Whether one of the statements may have changed a setting of the session."""
    return any(SETS.search(statement.text) for statement in statements)


def ends_transaction(text: str) -> bool:
    """Whether one of the statements begins or ends a transaction."""
    plain = plain_text(text)
    if SQL_BODY.search(plain):
        return False
    return any(ENDS_TRANSACTION.match(statement) for statement in plain.split(";"))


def plain_text(text: str) -> str:
    """The text without literals, comments and quoted names."""
    return "".join(_plain_parts(text))


def _plain_parts(text: str) -> Iterator[str]:
    position = 0
    while found := OPAQUE.search(text, position):
        yield text[position : found.start()] + " "
        position = _end_of_comment(text, found.end()) if found[0] == "/*" else found.end()
    yield text[position:]


def _end_of_comment(text: str, position: int) -> int:
    """The end of a comment that begins before the position; comments nest."""
    depth = 1
    for edge in COMMENT_EDGE.finditer(text, position):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    return len(text)


class RecordingCursor(cursor):
    """A cursor that adds each statement to a list before sending it.

    With `in_transaction`, a statement that would begin or end a transaction raises MigrationError.
    With `guard`, a statement that takes effect on the whole server raises it, too.
    """

    def __init__(
        self,
        *args: Any,
        statements: list[Statement],
        in_transaction: bool,
        guard: ServerGuard | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.statements = statements
        self.in_transaction = in_transaction
        self.guard = guard

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 # psycopg2's name
        text = query.as_string(self) if isinstance(query, Composable) else query
        text = text.decode() if isinstance(text, bytes) else text
        if self.in_transaction and ends_transaction(text):
            raise MigrationError(
                "a statement begins or ends a transaction, which the engine does.\n"
                "Fix: remove it, or set `atomic = False` to run the file outside of a transaction"
            )
        statement = Statement(text, vars)
        self.statements.append(statement)
        try:
            with self.guard.watch(self, text) if self.guard else nullcontext():
                super().execute(query, vars)
        except (IndexError, TypeError, ValueError) as error:
            raise MigrationError(
                f"{type(error).__name__}: {error}: {text}\nFix: write a single % as %%"
            ) from error
        finally:
            statement.sent = (self.query or b"").decode()

    def executemany(self, query: Any, vars_list: Any) -> None:
        for values in vars_list:
            self.execute(query, values)


@contextmanager
def record_statements(
    database: PostgresqlDatabase,
    statements: list[Statement],
    *,
    in_transaction: bool,
    guard: ServerGuard | None = None,
) -> Iterator[None]:
    """Add the statements of the database's connection to the list during the block."""
    connection = database.connection()
    before = connection.cursor_factory
    connection.cursor_factory = partial(
        RecordingCursor, statements=statements, in_transaction=in_transaction, guard=guard
    )
    try:
        yield
    finally:
        connection.cursor_factory = before
