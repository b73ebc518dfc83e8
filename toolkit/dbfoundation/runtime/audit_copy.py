"""Many rows by COPY, which are streamed: memory does not grow with their number."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import peewee

from dbfoundation.errors import ConnectionBusyError
from dbfoundation.runtime.models import get_database, quote_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# Characters of COPY data in one piece for the driver; a longer row is one piece.
CHUNK = 65_536
# psycopg2's words for an exception that read() raised, whose type is lost.
INTERRUPTED = "error in .read() call: KeyboardInterrupt"

Texts = tuple[str | None, ...]


class BusyConnection:
    """In the place of the thread's connection while it copies."""

    def __getattr__(self, name: str) -> NoReturn:
        raise ConnectionBusyError(
            "the entries of record_many() use the connection that copies them\n"
            "Fix: read what they need into a list before, or with a pool of its own."
        )


class CopySource:
    """Entries as a file in COPY's text format, read chunk by chunk."""

    def __init__(self, chunks: Iterator[bytes], database: peewee.Database) -> None:
        self.chunks = chunks
        self.state = database._state  # type: ignore[attr-defined] # noqa: SLF001 # Peewee has no other way
        self.error: BaseException | None = None

    def read(self, _: int) -> bytes:
        """The next rows, nothing at the end; keeps an error, which the driver replaces."""
        connection = self.state.conn
        try:
            self.state.conn = BusyConnection()
            return next(self.chunks, b"")
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.state.conn = connection


def copy_rows(model: type[peewee.Model], columns: Sequence[str], rows: Iterable[Texts]) -> int:
    """COPY the rows; returns their number. An error of the iterable replaces COPY's own."""
    database = get_database(model)
    source = CopySource(_chunks(rows), database)
    copy = f"COPY {quote_table(model)} ({', '.join(columns)}) FROM STDIN"
    cursor = database.cursor()
    try:
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined] # not in its types
            cursor.copy_expert(copy, source)
    except Exception as error:
        if INTERRUPTED in str(error):  # Ctrl-C between two lines of read()
            raise KeyboardInterrupt from None
        raise (source.error or error) from None
    return int(cursor.rowcount)


def _chunks(rows: Iterable[Texts]) -> Iterator[bytes]:
    lines: list[str] = []
    size = 0
    for row in rows:
        line = "\t".join(map(_escape, row)) + "\n"
        lines.append(line)
        size += len(line)
        if size > CHUNK:
            yield "".join(lines).encode()
            lines.clear()
            size = 0
    yield "".join(lines).encode()


def _escape(text: str | None) -> str:
    """A value in COPY's text format."""
    if text is None:
        return r"\N"
    if text.isalnum():
        return text
    text = text.replace("\\", "\\\\").replace("\t", "\\t")
    return text.replace("\n", "\\n").replace("\r", "\\r")
