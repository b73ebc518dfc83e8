"""Ctrl-C while the server works: Python is told only when the statement is over, so cancel it.

A process that is asked to end otherwise can be made to clean up as it does after Ctrl-C.
"""

from __future__ import annotations

import signal
import socket
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import PostgresqlDatabase


@contextmanager
def interruptible(database: PostgresqlDatabase) -> Iterator[None]:
    """Let a signal cancel the statement that the database's connection is at.

    For the main thread alone. The signal's own effect, KeyboardInterrupt, follows.
    """
    connection = database.connection()
    reader, writer = socket.socketpair()
    writer.setblocking(False)  # noqa: FBT003 # set_wakeup_fd() asks for it

    def cancel() -> None:
        while reader.recv(1):
            connection.cancel()

    thread = Thread(target=cancel, daemon=True)
    thread.start()
    before = signal.set_wakeup_fd(writer.fileno())
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writer.close()
        thread.join()
        reader.close()


@contextmanager
def terminable() -> Iterator[None]:
    """Take a termination, or the end of the terminal, for a Ctrl-C during the block."""
    signals = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.default_int_handler) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
