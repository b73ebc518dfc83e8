"""Messages without the parameters of the statements, because the server quotes them in errors.

Without this, `invalid input syntax for type integer: "hunter2"` shows a password in the log of a
deployment. Parameters are kept for that within a bound of memory. Beyond it, an error is described
by its SQLSTATE and by the objects that the server names, and no text of the server is shown.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CHARACTERS = 1_000_000
# A shorter value is replaced only where the server quotes it: its own words may contain it.
MIN_UNQUOTED_CHARACTERS = 6
# Where the server quotes a value: "...", (column)=(...), a row.
QUOTED = re.compile(
    r"""(?P<before>"|=\(|contains\ \()(?P<value>.*?)(?P<after>"|\)(?=\ |\.|,|$)|$)""",
    re.VERBOSE | re.MULTILINE,
)
JSON_LINE = re.compile(r"(JSON data, line \d+: ).*")
# A literal of SQL, also one that is cut off.
LITERAL = re.compile(r"'(?:[^']|'')*(?:'|$)|\$(\w*)\$.*?(?:\$\1\$|$)|\b\d{5,}\b", re.DOTALL)


class Parameters:
    """The texts of the parameters of all statements of an attempt.

    `is_complete` is False after more characters than are kept.
    """

    def __init__(self) -> None:
        self.is_complete = True
        self._texts: set[str] = set()
        self._room = MAX_CHARACTERS

    def add(self, values: Any) -> None:  # noqa: ANN401 # whatever psycopg2 accepts
        """Keep the parameters of a statement."""
        if values is None or not self.is_complete:
            return
        for text in _texts(values):
            if text not in self._texts:
                self._room -= len(text)
                self._texts.add(text)
        if self._room < 0:
            self.forget()

    def forget(self) -> None:
        """Keep no parameter any more: some of them are not known."""
        self.is_complete = False
        self._texts.clear()

    def redact(self, message: str) -> str:
        """The message without the parameters."""
        for text in sorted(self._texts, key=len, reverse=True):
            message = message.replace(f'"{text}"', '"..."')
            if len(text) >= MIN_UNQUOTED_CHARACTERS:
                message = message.replace(text, "...")
        if self._texts:
            message = JSON_LINE.sub(r"\1...", message)
        return QUOTED.sub(self._redact_quoted, message)

    def _redact_quoted(self, found: re.Match[str]) -> str:
        value = found["value"]
        is_secret = value and any(self._is_part(value, text) for text in self._texts)
        return f"{found['before']}{'...' if is_secret else value}{found['after']}"

    def _is_part(self, quoted: str, text: str) -> bool:
        """Whether the quoted text has a parameter, or a part of one, as the server shortens it."""
        parts = [quoted, *quoted.split(", ")]
        beginnings = [part.removesuffix("...") for part in parts]
        return text in parts or any(
            len(part) >= MIN_UNQUOTED_CHARACTERS and part in text for part in beginnings
        )


def redact_literals(sql: str) -> str:
    """SQL without its literals, which may be secret."""
    return LITERAL.sub("'...'", sql)


def literals(sql: str) -> list[str]:
    """The texts of the literals of SQL."""
    found = [match[0] for match in LITERAL.finditer(sql)]
    return [text.strip("'").replace("''", "'") for text in found]


def _texts(value: object) -> Iterator[str]:
    """The text of each parameter, also of those in lists and mappings."""
    value = getattr(value, "adapted", value)  # psycopg2's wrappers
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple | set):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, bytes):
        yield from (value.decode(errors="replace"), value.hex())
    elif value not in (None, ""):
        yield str(value)
