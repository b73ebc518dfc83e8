"""The block, or the function, for which a thread has a connection of the pool."""

from __future__ import annotations

from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

from peewee import ConnectionContext

from dbfoundation.errors import ConnectionContextError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbfoundation.runtime.pool import Pool
    from dbfoundation.runtime.pooled_connection import ThreadSlot

P = ParamSpec("P")
R = TypeVar("R")
SUSPENDS = (iscoroutinefunction, isgeneratorfunction, isasyncgenfunction)


# One use of a scope: the slot of its thread, and whether it has taken a connection for it.
Entry: TypeAlias = "tuple[ThreadSlot, bool]"


class ConnectionScope(ConnectionContext):
    """A connection of the pool for a block or a function; inside of another scope, the same one.

    An open connection stays open. It cannot decorate a coroutine, which would share the thread's
    connection with others, nor a generator, which continues after the function has returned.
    """

    __slots__ = ("_entries",)
    db: Pool

    def __init__(self, database: Pool) -> None:
        self.db = database
        self._entries: list[Entry] = []

    def __enter__(self) -> None:
        has_taken = self.db.connect(reuse_if_open=True)
        state = self.db._state  # noqa: SLF001 # as Peewee's own does
        entry = state.slot, has_taken
        self._entries.append(entry)
        state.ctx.append(entry)

    def __exit__(self, *error: object) -> None:
        """Return the connection that this use of the scope has taken, unless the block did."""
        state = self.db._state  # noqa: SLF001 # as Peewee's own does
        entry = self._remove_entry(getattr(state, "slot", None))
        if entry in state.ctx:
            state.ctx.remove(entry)
            if entry[1]:
                self.db.close()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if any(suspends(function) for suspends in SUSPENDS):
            raise TypeError(
                f"{function!r} continues after it has returned, without a connection: put the "
                "database's work into a function; a coroutine can await asyncio.to_thread() of it"
            )

        @wraps(function)
        def with_connection(*args: P.args, **kwargs: P.kwargs) -> R:
            with ConnectionScope(self.db):
                return function(*args, **kwargs)

        return with_connection

    def _remove_entry(self, slot: ThreadSlot | None) -> Entry:
        """The thread's last entry; raises ConnectionContextError when only others have entered."""
        entries = self._entries.copy()  # a scope that several threads share changes meanwhile
        for entry in reversed(entries):
            if entry[0] is slot:
                self._entries.remove(entry)
                return entry
        self._entries.remove(entries[-1])
        other_slot, has_taken = entries[-1]
        if has_taken:
            other_slot.discard()
        raise ConnectionContextError(
            "a connection_context() was entered on another thread than the one that leaves it; "
            "its connection is closed, and an open transaction rolled back",
            "enter and leave it in one function. A dependency of FastAPI that yields runs on two "
            "threads: open the context in the function that uses the database.",
        )
