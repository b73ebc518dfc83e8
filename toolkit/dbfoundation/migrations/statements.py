"""The statements of one attempt: counted, refused if they end its transaction, kept within bounds.

A migration may send any number of statements. What messages need is kept: the last text, the
parameters to redact, and for a dry run the text as sent, each within a bound of memory.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from dbfoundation.errors import MigrationError, TransactionEndedError
from dbfoundation.migrations.invalid_indexes import is_named
from dbfoundation.migrations.redaction import Parameters, literals, redact_literals
from dbfoundation.runtime.recording import RecordingCursor
from dbfoundation.runtime.server_errors import driver_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from contextlib import AbstractContextManager

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
SQL_BODY = re.compile(r"\bBEGIN\s+ATOMIC\b.*\bEND\b", re.IGNORECASE | re.DOTALL)
# May change a setting of the session; it also matches an UPDATE, which costs one more RESET.
SETS = re.compile(r"\b(SET|set_config)\b", re.IGNORECASE)
COPY = re.compile(r"\s*COPY\b", re.IGNORECASE)
# Its data are sent apart from the statement, and the server quotes them in errors.
COPY_IN = re.compile(r"\s*COPY\b.*\bFROM\s+STDIN\b", re.IGNORECASE | re.DOTALL)
MAX_SHOWN_STATEMENTS = 1_000
MAX_SHOWN_CHARACTERS = 1_000_000


@dataclass
class Recorder:
    """Observes the statements of one attempt.

    With `in_transaction`, a statement that would begin or end a transaction is not sent, and no
    statement is sent after the transaction has ended. With `is_shown`, the texts are kept as sent.
    `names` are to be looked for in the statements; `named` has those that were found. `guard`
    refuses statements on the whole server.
    """

    in_transaction: bool
    is_shown: bool = False
    guard: ServerGuard | None = None
    names: Collection[str] = ()
    named: set[str] = field(default_factory=set)
    count: int = 0
    last: str = ""
    last_values: Any = None
    last_cursor: RecordingCursor | None = None
    changes_settings: bool = False
    parameters: Parameters = field(default_factory=Parameters)
    shown: list[str] = field(default_factory=list)
    room: int = MAX_SHOWN_CHARACTERS

    @property
    def not_shown(self) -> int:
        """The number of statements beyond the bound of what is shown."""
        return self.count - len(self.shown)

    def before(self, cursor: RecordingCursor, text: str, values: Any, *, is_composed: bool) -> None:
        if self.in_transaction:
            refuse_end_of_transaction(cursor, text)
        self.count += 1
        self.last, self.last_values, self.last_cursor = text, values, cursor
        if is_composed:
            self.last = redact_literals(text)
            self.parameters.add(literals(text))
        self.parameters.add(values)
        if COPY_IN.match(text):
            self.parameters.forget()
        self.changes_settings |= SETS.search(text) is not None
        self.named.update(name for name in self.names if is_named(name, text))

    def sending(self, cursor: RecordingCursor, text: str) -> AbstractContextManager[None]:
        return self.guard.watch(cursor, text) if self.guard else nullcontext()

    def mogrified(self, values: Any) -> None:
        self.parameters.add(values)

    def after(self, sent: str) -> None:
        self.room -= len(sent)
        if self.is_shown and self.room >= 0 and len(self.shown) < MAX_SHOWN_STATEMENTS:
            self.shown.append(_as_comment(sent) if COPY.match(sent) else sent)

    def last_is_of(self, error: BaseException) -> bool:
        """Whether the last statement caused the error, as far as the driver knows."""
        cursor = getattr(driver_error(error), "cursor", None)
        return bool(self.last) and cursor in (None, self.last_cursor)

    def knows_parameters_of(self, error: BaseException) -> bool:
        """Whether the parameters are known that the server may quote in the error."""
        cursor = getattr(driver_error(error), "cursor", None)
        return self.parameters.is_complete and isinstance(cursor, RecordingCursor | None)


def refuse_end_of_transaction(cursor: RecordingCursor, text: str) -> None:
    """Raise MigrationError for a statement that begins or ends a transaction, or comes after it."""
    if ends_transaction(text):
        raise MigrationError(
            "a statement begins or ends a transaction, which the engine does.\n"
            "Fix: remove it, or set `atomic = False` to run the file outside of a transaction"
        )
    if cursor.connection.get_transaction_status() == TRANSACTION_STATUS_IDLE:
        raise TransactionEndedError(
            "the file ended the transaction of the step, and no statement is sent after that.\n"
            "Fix: remove its COMMIT or ROLLBACK, or set `atomic = False`"
        )


def ends_transaction(text: str) -> bool:
    """Whether one of the statements begins or ends a transaction, as far as the text shows it.

    The server's state decides; a statement that is recognized here does no harm.
    """
    plain = SQL_BODY.sub(" ", plain_text(text))
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


def _as_comment(sent: str) -> str:
    """COPY as a comment, because its data are not part of the statement."""
    return f"-- {' '.join(sent.split())} (COPY; its data are not shown)"
