"""The block, or the function, for which a thread has a connection of the pool."""

from __future__ import annotations

from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any

from peewee import ConnectionContext

if TYPE_CHECKING:
    from collections.abc import Callable

SUSPENDS = (iscoroutinefunction, isgeneratorfunction, isasyncgenfunction)


class ConnectionScope(ConnectionContext):
    """A connection of the pool for a block or a function; inside of another scope, the same one.

    An open connection stays open. It cannot decorate a coroutine, which would share the thread's
    connection with others, nor a generator, which continues after the function has returned.
    """

    def __enter__(self) -> None:
        state = self.db._state  # noqa: SLF001 # as Peewee's own does
        was_closed = state.closed
        if was_closed:
            self.db.connect()
        state.ctx.append(was_closed)

    def __exit__(self, *error: object) -> None:
        context = self.db._state.ctx  # noqa: SLF001 # as Peewee's own does
        if context and context.pop():  # empty where the block closed the database
            self.db.close()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if any(suspends(function) for suspends in SUSPENDS):
            raise TypeError(
                f"{function!r} continues after it has returned, without a connection: put the "
                "database's work into a function; a coroutine can await asyncio.to_thread() of it"
            )
        decorated: Callable[..., Any] = super().__call__(function)  # type: ignore[no-untyped-call]
        return decorated
