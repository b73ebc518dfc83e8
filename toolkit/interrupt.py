"""Ctrl-C while the server works: Python is told only when the statement is over, so cancel it.

A process that is asked to end otherwise can be made to clean up as it does after Ctrl-C.
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
def interruptible(database: PostgresqlDatabase) -> Iterator[Event]:
    """Let a signal cancel the statement that the database's connection is at.

    For the main thread alone. The signal's own effect, KeyboardInterrupt, follows; but psycopg2
    loses it where the statement ends with a notice, so the event that is yielded is set as well.
    """
    connection = database.connection()
    came = Event()
    reader, writer = socket.socketpair()
    writer.setblocking(False)  # noqa: FBT003 # set_wakeup_fd() asks for it

    def cancel() -> None:
        while reader.recv(1):
            came.set()
            if not connection.closed:
                connection.cancel()

    thread = Thread(target=cancel, daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writer.fileno())
    try:
        yield came
    finally:
        signal.set_wakeup_fd(before)
        writer.close()
        thread.join()
        reader.close()


@contextmanager
def terminable() -> Iterator[None]:
    """Take the first termination, or end of the terminal, for a Ctrl-C, and none after it.

    So what is cleaned up at the end of the block is cleaned up to the end.
    """
    before = [signal.signal(number, _end) for number in SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(SIGNALS, before, strict=True):
            signal.signal(number, handler)


def ignore_signals() -> None:
    """Let nothing interrupt what follows, until terminable() ends.

    Not by SIG_IGN: Python complains of one that came just before.
    """
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)


def _end(*_: object) -> NoReturn:
    ignore_signals()
    raise KeyboardInterrupt
