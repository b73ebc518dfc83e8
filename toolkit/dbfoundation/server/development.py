"""The development server: db-up starts a PostgreSQL at the configured address, db-down stops it.

A server that answers already is left alone, and one that is starting or recovering is waited for.
Otherwise the data decide. The provider that has this project's data starts its server, or db-up
refuses with a fix: another provider's database would be empty. Only where there are no data are the
providers tried in order: Docker Compose; the PostgreSQL programs of this machine. `via` names a
provider in spite of the data. One start or stop runs at a time in a project.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbfoundation.errors import (
    DatabaseError,
    NoDatabaseError,
    ServerError,
    UnavailableError,
)
from dbfoundation.server import databases
from dbfoundation.server.binaries import MAJOR
from dbfoundation.server.local import servers_of_gone_projects
from dbfoundation.server.memory import Memory
from dbfoundation.server.ownership import key_of_owner
from dbfoundation.server.starting import SILENCE_SECONDS, Starter
from dbfoundation.server.waiting import listens, wait_for_answer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from psycopg2.extensions import connection

    from dbfoundation.server.processes import Report
    from dbfoundation.server.provider import Provider
    from dbfoundation.settings import Settings

# A listener that is not this project's may be silent for so long before it counts as no PostgreSQL.
FOREIGN_SILENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Answer:
    """The server that answers; `provider` is the name of its provider, None for another server."""

    provider: str | None
    version: str
    was_started: bool


class DevelopmentServer:
    """The server of the project in `root`, at the settings' address.

    `report` receives a line for each thing that takes time. Without `via`, each of the providers
    may start a server.
    """

    def __init__(
        self,
        root: Path,
        settings: Settings,
        report: Report,
        providers: dict[str, Provider],
        via: str | None = None,
    ) -> None:
        self.root = root
        self.settings = settings
        self.report = report
        self.providers = providers
        self.via = via
        self._memory = Memory(root)
        self._starter = Starter(settings, report, providers, self._memory)

    def start(self) -> Answer:
        """Make SELECT 1 work at the configured address.

        Raises ServerError or DatabaseError when it does not.
        """
        with self._one_at_a_time():
            started = None if self._answers() else self._starter.start(self.via)
            with databases.any_session(self.settings) as session:
                key = started or key_of_owner(self.providers, session)
                version = databases.version(session)
                self._warn(key, session)
            if key:
                self._memory.write(key, self.providers[key].place())
            name = self.providers[key].name if key else None
            return Answer(name, version, was_started=started is not None)

    def stop(self) -> list[str]:
        """Stop what `start` started, and root's servers of projects that are gone.

        Returns the names of what ran.
        """
        with self._one_at_a_time():
            running = {
                provider.name: provider
                for provider in self.providers.values()
                if provider.port() is not None
            } | {
                f"the private server of {server.project}, a folder that is gone": server
                for server in servers_of_gone_projects(self.settings)
                if server.port() is not None
            }
            for provider in running.values():
                provider.stop(self.report)
        return list(running)

    def data(self) -> dict[str, str]:
        """The places of this project's data by the keys of their providers.

        Raises ServerError where they cannot be looked for.
        """
        key, _ = self._memory.read()
        found = {}
        for name, provider in self.providers.items():
            place = provider.place()
            is_there = provider.holds(place)
            if is_there is None and name == key:
                raise ServerError(
                    f"{provider.name} has this project's data: {provider.unavailable_reason()}.\n"
                    f"Fix: {provider.advice}."
                )
            if place and is_there:
                found[name] = place
        return found

    def remove_data(self) -> None:
        """Stop this project's servers and remove their data."""
        with self._one_at_a_time():
            for key in self.data():
                self.providers[key].remove_data(self.report)
            self._memory.clear()

    def _warn(self, key: str | None, session: connection) -> None:
        """Report what may surprise about the server that answers."""
        version = databases.version(session)
        if version.partition(".")[0] != MAJOR:
            self.report(f"warning: this is PostgreSQL {version}, and the library is for {MAJOR}")
        if key:
            return
        for server in servers_of_gone_projects(self.settings):
            if key_of_owner({"gone": server}, session):
                self.report(
                    f"warning: this is the private server of {server.project}, a folder that is "
                    "gone; `invoke db-down` stops it"
                )
        holder, place = self._memory.read()
        provider = self.providers.get(holder)
        if provider and provider.holds(place) is not False:
            self.report(f"warning: this project has data of its own: {provider.name}, {place}")

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
            if not listens(url.host, url.port):
                return False
            self.report(f"waiting for {url}: a program listens there, and does not answer yet")
            return self._listener_answers()
        except DatabaseError as error:
            raise ServerError(f"{error} If that server is not yours, set DB_PORT.") from error
        return True

    def _listener_answers(self) -> bool:
        """Wait for a listener that does not answer: a server may be starting, or shutting down.

        False when it is gone.
        """
        url = self.settings.url
        owner = next((each for each in self.providers.values() if each.port() == url.port), None)
        try:
            wait_for_answer(
                self.settings,
                self.report,
                silence_seconds=SILENCE_SECONDS if owner else FOREIGN_SILENCE_SECONDS,
                is_alive=lambda error: (
                    self._starter.can_go_on(owner, error) if owner else listens(url.host, url.port)
                ),
            )
        except UnavailableError as error:
            if not listens(url.host, url.port):
                return False
            raise ServerError(
                f"port {url.port} is taken by a program that is not our database: {error.reason}\n"
                "Fix: set DB_PORT to a free port, or stop that program."
            ) from error
        return True

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
