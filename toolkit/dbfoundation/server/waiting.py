"""Waiting for a server that is there and does not answer yet.

A silent server is given up after some seconds. One that answers that it is starting, recovering or
shutting down is not: a recovery takes as long as there is WAL to replay.
"""

from __future__ import annotations

import re
import socket
from time import monotonic, sleep
from typing import TYPE_CHECKING

from dbfoundation.errors import StartingError, UnavailableError
from dbfoundation.server import databases

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbfoundation.server.processes import Report
    from dbfoundation.settings import Settings

POLL_SECONDS = 0.1
REPORT_SECONDS = 1.0


def wait_for_answer(
    settings: Settings,
    report: Report,
    *,
    silence_seconds: float,
    is_alive: Callable[[UnavailableError], bool],
) -> None:
    """Poll until the server answers, and report each second.

    Raises the last DatabaseError when it is silent for too long or not alive.
    """
    started = reported = heard = monotonic()
    while True:
        try:
            return databases.check(settings)
        except UnavailableError as error:
            now = monotonic()
            heard = now if isinstance(error, StartingError) else heard
            if now - heard > silence_seconds:
                raise
            if now - reported > REPORT_SECONDS:
                if not is_alive(error):
                    raise
                report(f"waiting for {settings.url}: {now - started:.0f} s{_state(error)}")
                reported = now
        sleep(POLL_SECONDS)


def _state(error: UnavailableError) -> str:
    """The state that a server reports, for the end of a line; empty for a silent one."""
    found = re.search(r"the database system is [a-z ]+", error.reason)
    return f", {found[0].strip()}" if found else ""


def listens(host: str, port: int | str) -> bool:
    """Whether anything accepts connections at a port."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
