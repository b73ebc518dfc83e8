"""Signals while the server works.

psycopg2 notices Ctrl-C only at the end of a statement, so a signal cancels the statement.
"""

from __future__ import annotations

import signal
import socket
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import PostgresqlDatabase

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def cancel_on_signal(database: PostgresqlDatabase) -> Iterator[Event]:
    """Let a signal cancel the running statement of the database's connection.

    Works in the main thread only. KeyboardInterrupt follows. psycopg2 loses it when the statement
    ends with a notice, so the yielded event is set, too.
    """
    connection = database.connection()
    interrupted = Event()
    reader, writer = socket.socketpair()
    writer.setblocking(False)  # noqa: FBT003 # set_wakeup_fd() requires it

    def cancel() -> None:
        while reader.recv(1):
            interrupted.set()
            if not connection.closed:
                connection.cancel()

    thread = Thread(target=cancel, daemon=True)
    thread.start()
    previous = signal.set_wakeup_fd(writer.fileno())
    try:
        yield interrupted
    finally:
        signal.set_wakeup_fd(previous)
        writer.close()
        thread.join()
        reader.close()


@contextmanager
def end_on_first_signal() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first SIGINT, SIGTERM or SIGHUP, and ignore all later ones.

    The cleanup at the end of the block is not interrupted.
    """
    previous = [signal.signal(number, _interrupt) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(SIGNALS, previous, strict=True):
            signal.signal(number, handler)


def ignore_signals() -> None:
    """Ignore signals until end_on_first_signal() ends.

    A function instead of SIG_IGN: Python complains about a signal that arrived just before.
    """
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)


def _interrupt(*_: object) -> NoReturn:
    ignore_signals()
    raise KeyboardInterrupt
