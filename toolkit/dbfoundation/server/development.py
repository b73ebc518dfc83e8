"""The development server: db-up starts a PostgreSQL at the configured address, db-down stops it.

A server that answers already is left alone. Otherwise the providers are tried in order: the one
that worked last, because it has the data; Docker Compose; the PostgreSQL programs of this machine.
One start or stop runs at a time in a project.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
from contextlib import contextmanager, suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING

from dbfoundation.errors import (
    AccessDeniedError,
    DatabaseError,
    NoDatabaseError,
    ServerError,
    UnavailableError,
)
from dbfoundation.server import databases
from dbfoundation.server.compose import Compose
from dbfoundation.server.local import LocalServer, home_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dbfoundation.server.processes import Report
    from dbfoundation.server.provider import Provider
    from dbfoundation.settings import Settings

START_SECONDS = 60.0
# A listener that is not ours may take this long to answer as a PostgreSQL.
FOREIGN_SERVER_SECONDS = 5.0
POLL_SECONDS = 0.1


def all_providers(root: Path, settings: Settings) -> dict[str, Provider]:
    """The providers by the names that --via accepts, in the order of trying them."""
    return {
        "docker": Compose(root, settings),
        "local": LocalServer(home_of(root), settings),
    }


class DevelopmentServer:
    """The server of the project in `root`, at the settings' address.

    `report` receives a line for each thing that takes time. `providers` are tried in their order.
    """

    def __init__(
        self, root: Path, settings: Settings, report: Report, providers: dict[str, Provider]
    ) -> None:
        self.root = root
        self.settings = settings
        self.report = report
        self.providers = providers
        self._memory = root / ".postgres" / "last-way"

    def start(self) -> str | None:
        """Make SELECT 1 work at the configured address.

        Returns the name of the provider that started a server, or None when one answered already.
        Raises ServerError or DatabaseError when none does.
        """
        with self._one_at_a_time():
            if self._answers():
                return None
            if not self.settings.url.password:
                raise ServerError("the server needs a password.\nFix: set DB_PASSWORD.")
            return self._start_first_possible()

    def stop(self) -> list[str]:
        """Stop what `start` started; returns the names of the providers whose server ran."""
        with self._one_at_a_time():
            running = [provider for provider in self.providers.values() if provider.port()]
            for provider in running:
                provider.stop(self.report)
        return [provider.name for provider in running]

    def psql(self) -> tuple[list[str], dict[str, str]]:
        """The command and the environment for psql at the configured address; raises ServerError.

        It is the psql on PATH, or a provider's. The first error ends it unless a person types.
        """
        command = next(self._psql_commands(), None)
        if command is None:
            raise ServerError("no psql is on PATH.\nFix: install the client of PostgreSQL 15.")
        mode = [] if os.isatty(0) else ["-v", "ON_ERROR_STOP=1"]
        return [*command, *mode], self.settings.psql_environment()

    def _psql_commands(self) -> Iterator[list[str]]:
        """Each psql; the container's comes last, because it reads no file of this machine."""
        if on_path := shutil.which("psql"):
            yield [on_path, "-d", self.settings.psql_url()]
        for provider in reversed(self.providers.values()):
            if command := provider.psql():
                yield command

    def _answers(self) -> bool:
        """Whether our database answers; False when nothing listens; raises for anything else."""
        url = self.settings.url
        try:
            databases.check(self.settings)
        except NoDatabaseError:
            raise
        except UnavailableError as error:
            if not url.is_local:
                raise ServerError(
                    f"{error.reason}\nFix: start that server; db-up starts one on this machine "
                    "only (DB_HOST=127.0.0.1)."
                ) from error
            if not listens(url.host, int(url.port)):
                return False
            self.report(f"waiting for {url}: a program listens there, and does not answer yet")
            self._wait_for_listener()
        except DatabaseError as error:
            raise ServerError(f"{error} If that server is not yours, set DB_PORT.") from error
        return True

    def _wait_for_listener(self) -> None:
        """Wait for a listener that does not answer: our server may be starting."""
        port = self.settings.url.port
        is_ours = any(provider.port() == port for provider in self.providers.values())
        seconds = START_SECONDS if is_ours else FOREIGN_SERVER_SECONDS
        try:
            self._wait_for_answer(seconds, is_alive=lambda: True)
        except UnavailableError as error:
            raise ServerError(
                f"port {port} is taken by a program that is not our database: {error.reason}\n"
                "Fix: set DB_PORT to a free port, or stop that program."
            ) from error

    def _start_first_possible(self) -> str:
        """Start the server of the first provider that can; returns its name."""
        failures: list[str] = []
        last = self._last_provider()
        for key in sorted(self.providers, key=lambda key: key != last):
            provider = self.providers[key]
            if failures:
                self.report(failures[-1])
            try:
                self._start(provider)
            except ServerError as error:
                failures.append(f"{provider.name}: {error}")
            else:
                self._remember_provider(key)
                return provider.name
        raise ServerError("\n".join(["no server could be started.", *failures, *self._advice()]))

    def _advice(self) -> list[str]:
        """How to get a provider, where this machine has none."""
        providers = self.providers.values()
        if not all(provider.unavailable_reason() for provider in providers):
            return []
        return [f"Fix: {'; or '.join(provider.advice for provider in providers)}."]

    def _start(self, provider: Provider) -> None:
        """Start a server and wait until it answers; stops it again before raising ServerError."""
        if reason := provider.unavailable_reason():
            raise ServerError(reason)
        self.report(f"starting PostgreSQL: {provider.name}")
        try:
            provider.start(self.report)
            self._wait_for_answer(START_SECONDS, is_alive=lambda: provider.port() is not None)
        except NoDatabaseError:
            databases.create_database(self.settings)
        except AccessDeniedError as error:
            self._stop_failed(provider)
            raise AccessDeniedError(
                error.reason,
                "the server's data were created with another user or password, and keep them. Use "
                f"those, or remove {provider.storage}.",
            ) from error
        except (ServerError, DatabaseError) as error:
            log = self._stop_failed(provider)
            reason = error.reason if isinstance(error, DatabaseError) else str(error)
            raise ServerError(reason + (f"\nIts log ends: {log}" if log else "")) from error

    def _stop_failed(self, provider: Provider) -> str:
        """Stop a server that failed, and return the end of its log; suppresses a second failure."""
        with suppress(ServerError):
            log = provider.log()
            if provider.port():
                provider.stop(self.report)
            return log
        return ""

    def _wait_for_answer(self, seconds: float, is_alive: Callable[[], bool]) -> None:
        """Poll until the server answers; raises the last DatabaseError when it dies or is slow."""
        started = reported = monotonic()
        while True:
            try:
                return databases.check(self.settings)
            except UnavailableError:
                now = monotonic()
                if now - started > seconds:
                    raise
                if now - reported > 1:
                    if not is_alive():
                        raise
                    self.report(f"waiting for {self.settings.url}: {now - started:.0f} s")
                    reported = now
            sleep(POLL_SECONDS)

    def _last_provider(self) -> str | None:
        try:
            return self._memory.read_text(encoding="utf-8")
        except OSError:
            return None

    def _remember_provider(self, key: str) -> None:
        with suppress(OSError):  # in a read-only project, the order of trying stays the same
            self._memory.parent.mkdir(exist_ok=True)
            self._memory.write_text(key, encoding="utf-8")

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Hold the project's lock: a lock on its folder, which leaves no file."""
        folder = os.open(self.root, os.O_RDONLY)
        try:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.report("waiting for another db-up or db-down of this project")
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)


def listens(host: str, port: int) -> bool:
    """Whether anything accepts connections at a port."""
    try:
        with socket.create_connection((host, port), timeout=1):
            return True
    except OSError:
        return False
