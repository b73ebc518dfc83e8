"""A health check of the database: an answer on a new connection, within a time limit."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from time import monotonic
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import extensions

from dbfoundation.errors import UnavailableError

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    from dbfoundation.settings import Settings

EVENTS = {extensions.POLL_READ: EVENT_READ, extensions.POLL_WRITE: EVENT_WRITE}


def ping(settings: Settings, timeout_seconds: float) -> None:
    """Return when the database has answered SELECT 1; raises UnavailableError when it does not.

    Tries one host after the other, each for `timeout_seconds`. A resolver of names has a limit of
    its own.
    """
    reasons = []
    for url in settings.url.each_host():
        try:
            _ask(replace(settings, url=url), monotonic() + timeout_seconds)
        except TimeoutError:
            reasons.append(f"{url} did not answer within {timeout_seconds} s")
        except psycopg2.Error as error:
            reasons.append(f"{url}: {' '.join(str(error).split())}")
        else:
            return
    raise UnavailableError("; ".join(reasons), "check the server, the network and DATABASE_URL.")


def _ask(settings: Settings, deadline: float) -> None:
    kwargs = settings.kwargs_for("ping")
    with closing(psycopg2.connect(**kwargs, async_=True)) as session:
        _await(session, deadline)
        cursor = session.cursor()  # kept until it has its answer, as psycopg2 demands
        cursor.execute("SELECT 1")
        _await(session, deadline)


def _await(session: connection, deadline: float) -> None:
    """Wait until libpq has finished; raises TimeoutError at the deadline."""
    while (state := session.poll()) != extensions.POLL_OK:
        with DefaultSelector() as selector:
            selector.register(session, EVENTS[state])
            if not selector.select(max(0, deadline - monotonic())):
                raise TimeoutError
