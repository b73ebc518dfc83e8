"""A connection whose statements an observer receives, whichever class of cursor sends them.

Psycopg calls no method of Python for `with connection:`, for a large object, and for a cursor that
is made as `psycopg2.extensions.cursor(connection)`. An observer does not receive those.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, cast

from psycopg2 import extensions
from psycopg2.sql import Composable

from dbfoundation.runtime.time_zone import UTCConnection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from psycopg2.extensions import cursor


class Observer(Protocol):
    """Receives each statement of a connection."""

    def before(self, cursor: RecordingCursor, text: str, values: Any, *, is_composed: bool) -> None:
        """Receive a statement and its parameters before it is sent; an error refuses it.

        `is_composed` if psycopg2 has put parameters into the text, as execute_values() lets it.
        """

    def sending(self, cursor: RecordingCursor, text: str) -> AbstractContextManager[None]:
        """A context in which the statement is sent; an error at its end is the statement's."""

    def mogrified(self, values: Any) -> None:
        """Receive the parameters of a text that may be sent later."""

    def after(self, sent: str) -> None:
        """Receive the text that was sent, with its parameters."""


class RecordableConnection(UTCConnection):
    """A connection that an observer can listen to, whichever class of cursor a caller asks for."""

    observer: Observer | None = None

    def cursor(
        self, name: Any = None, cursor_factory: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        factory = cursor_factory or self.cursor_factory
        if factory is None or isinstance(factory, type):
            factory = recording(factory or extensions.cursor)
        return super().cursor(name, factory, *args, **kwargs)


@contextmanager
def observe(connection: extensions.connection, observer: Observer) -> Iterator[None]:
    """Let the observer receive the statements of the connection during the block.

    Any other connection than a RecordableConnection has only its default class of cursors observed.
    """
    if isinstance(connection, RecordableConnection):
        connection.observer = observer
        try:
            yield
        finally:
            connection.observer = None
        return
    factory = recording(extensions.cursor)
    before = connection.cursor_factory
    connection.cursor_factory = type(factory.__name__, (factory,), {"observer": observer})
    try:
        yield
    finally:
        connection.cursor_factory = before


class RecordingCursor:
    """The part of a cursor that informs the observer of its connection."""

    connection: Any
    observer: Observer | None = None

    def execute(self, query: Any, vars: Any = None) -> None:  # noqa: A002 # psycopg2's name
        with self._observed(query, vars):
            super().execute(query, vars)  # type: ignore[misc] # a cursor's

    def mogrify(self, query: Any, vars: Any = None) -> bytes:  # noqa: A002 # psycopg2's name
        if observer := self._observer():
            observer.mogrified(vars)
        mogrified: bytes = super().mogrify(query, vars)  # type: ignore[misc] # a cursor's
        return mogrified

    def executemany(self, query: Any, vars_list: Any) -> None:
        for values in vars_list:
            self.execute(query, values)

    def callproc(self, procname: str, parameters: Any = None) -> Any:
        with self._observed(procname, parameters):
            return super().callproc(procname, parameters)  # type: ignore[misc] # a cursor's

    def copy_expert(self, sql: Any, *args: Any, **kwargs: Any) -> None:
        with self._observed(sql, None):
            super().copy_expert(sql, *args, **kwargs)  # type: ignore[misc] # a cursor's

    def copy_from(self, file: Any, table: str, *args: Any, **kwargs: Any) -> None:
        with self._observed(f"COPY {table} FROM STDIN", None):
            super().copy_from(file, table, *args, **kwargs)  # type: ignore[misc] # a cursor's

    def copy_to(self, file: Any, table: str, *args: Any, **kwargs: Any) -> None:
        with self._observed(f"COPY {table} TO STDOUT", None):
            super().copy_to(file, table, *args, **kwargs)  # type: ignore[misc] # a cursor's

    def _observer(self) -> Observer | None:
        return getattr(self.connection, "observer", self.observer)

    @contextmanager
    def _observed(self, query: Any, values: Any) -> Iterator[None]:
        observer = self._observer()
        if observer is None:
            yield
            return
        text = query.as_string(cast("cursor", self)) if isinstance(query, Composable) else query
        text = text.decode() if isinstance(text, bytes) else text
        observer.before(self, text, values, is_composed=not isinstance(query, str))
        try:
            with observer.sending(self, text):
                yield
        finally:
            observer.after((self.query or b"").decode())  # type: ignore[attr-defined] # a cursor's


@cache
def recording(factory: type) -> type:
    """A class of cursors like this one, which informs the observer, too."""
    if issubclass(factory, RecordingCursor):
        return factory
    return type(f"Recording{factory.__name__}", (RecordingCursor, factory), {})
