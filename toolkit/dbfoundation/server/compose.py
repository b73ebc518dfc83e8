"""A development server in a container: the service of docker-compose.yml.

Its data are in a volume that Compose names after the folder's name. Two clones whose folders have
the same name would share them, so a container that another clone made is not this project's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbfoundation.errors import ServerError
from dbfoundation.server.compose_config import data_source
from dbfoundation.server.databases import IDENTITY, ask
from dbfoundation.server.processes import STOP_SECONDS, last_lines, output_of, run
from dbfoundation.url import DEFAULT_PORT, DEFAULT_SOCKET

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    from dbfoundation.server.processes import Report
    from dbfoundation.settings import Settings

SERVICE = "postgres"
FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
PUBLISHED_ON = ("127.0.0.1", "localhost")
DATA = "/var/lib/postgresql/data"
# The image appends it to pg_hba.conf when initdb has ended, before a server listens on TCP.
HBA_LINE = "host all all all "


class Compose:
    """The container of the project in `folder`; docker-compose.yml reads the settings' values."""

    name = "Docker Compose"
    advice = "install Docker, or start it"

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.url = settings.url
        self.environment = settings.child_environment()

    def unavailable_reason(self) -> str | None:
        if self.url.host not in PUBLISHED_ON:
            return f"the container is published on 127.0.0.1, and DB_HOST is {self.url.host}"
        if not self._has_file():
            return f"{self.folder} has no docker-compose.yml"
        if reason := self._engine_failure:
            return f"no Docker engine answers: {reason}"
        if not self._compose:
            return "a Docker engine answers, but neither `docker compose` nor `docker-compose` runs"
        return None

    def place(self) -> str | None:
        """The name of the volume, or the folder that docker-compose.yml names in its place."""
        return self._place

    def holds(self, place: str | None) -> bool | None:
        if place is None or self._engine_failure:
            return None
        if place.startswith("/"):
            return Path(place).exists()
        is_there = not self._failure_of("docker", "volume", "inspect", place)
        return is_there and not self._other_clone()

    def move_fix(self, place: str) -> str | None:
        label = '{{index .Labels "com.docker.compose.project"}}'
        name = output_of("docker", "volume", "inspect", "-f", label, place, env=self.environment)
        return f"set COMPOSE_PROJECT_NAME={name.strip()} in .env" if name else None

    def start(self, report: Report) -> None:
        if other := self._other_clone():
            raise ServerError(
                f"the container is that of {other}, whose folder has the same name.\n"
                "Fix: set another COMPOSE_PROJECT_NAME and another DB_PORT in .env for one of them."
            )
        self.run("up", "-d", SERVICE, report=report)

    def port(self) -> int | None:
        container = self._container()
        if not container or not container["State"]["Running"] or self._other_clone(container):
            return None
        bindings = (container["NetworkSettings"]["Ports"] or {}).get("5432/tcp") or []
        return next((int(binding["HostPort"]) for binding in bindings if binding["HostPort"]), None)

    def serves(self, session: connection) -> bool:
        """Whether the server inside of the container gives the same answer as the session's.

        A published port proves nothing: the engine may be that of another machine.
        """
        query = ("psql", "-XAtq", "-U", self.url.user, "-d", "postgres", "-c", IDENTITY)
        command = (*self._compose, "exec", "-T", SERVICE, *query)
        inside = output_of(*command, cwd=self.folder, env=self.environment)
        return inside is not None and inside.strip() == ask(session, IDENTITY)

    def is_incomplete(self) -> bool:
        """Whether the container was killed in its very first start, which a later one skips."""
        container = self._container()
        if not container or container["State"]["StartedAt"].startswith("0001-"):
            return False  # it never ran, as when another program has its port
        if f"PGDATA={DATA}" not in container["Config"]["Env"]:
            return False
        file = f"{container['Id']}:{DATA}/pg_hba.conf"
        return HBA_LINE not in (output_of("docker", "cp", file, "-", env=self.environment) or "")

    def stop(self, report: Report) -> None:
        """Stop the container and keep it: its labels name the folder of the clone that made it."""
        self.run("stop", "--timeout", str(STOP_SECONDS), SERVICE, report=report)

    def remove_data(self, report: Report) -> None:
        place = self.place()
        self.run("rm", "--stop", "--force", "-v", SERVICE, report=report)
        if place and place.startswith("/"):
            raise ServerError(f"the data are in a folder of your own.\nFix: remove {place}.")
        if place and (reason := self._failure_of("docker", "volume", "rm", place)):
            raise ServerError(f"the volume {place} cannot be removed: {reason}")

    def log(self) -> str:
        words = ("logs", "--no-color", "--no-log-prefix", "--tail", "10", SERVICE)
        return last_lines(self.run(*words))

    def psql(self) -> list[str] | None:
        """psql inside of the container, whose socket asks for no password.

        None unless the container is the configured server.
        """
        if self.url.host not in PUBLISHED_ON or self.port() != self.url.port:
            return None
        terminal = () if sys.stdin.isatty() else ("-T",)
        session = self.settings.kwargs_for("shell")
        kept = {name: session[name] for name in ("application_name", "client_encoding", "options")}
        socket = replace(self.url, host=DEFAULT_SOCKET, port=DEFAULT_PORT, parameters=kept)
        address = socket.render(with_password=False)
        return [*self._compose, "exec", *terminal, SERVICE, "psql", "-d", address]

    def run(self, *words: str, report: Report = lambda _: None) -> str:
        """Run compose; returns its output. Raises ServerError with the end of that."""
        command = (*self._compose, *words)
        text = f"`{' '.join(command)}`"
        done = run(command, report=report, waiting_for=text, cwd=self.folder, env=self.environment)
        if done.returncode:
            raise ServerError(f"{text} failed: {last_lines(done.stdout)}")
        return done.stdout

    def _container(self) -> dict[str, Any] | None:
        """The service's container, running or not, as `docker inspect` prints it."""
        if not self._has_file() or self._engine_failure or not self._compose:
            return None
        listing = (*self._compose, "ps", "--all", "-q", SERVICE)
        ids = output_of(*listing, cwd=self.folder, env=self.environment)
        text = output_of("docker", "inspect", *ids.split(), env=self.environment) if ids else None
        containers: list[dict[str, Any]] = json.loads(text or "[]")
        return next((one for one in containers if _label(one, "oneoff") != "True"), None)

    def _other_clone(self, container: dict[str, Any] | None = None) -> str | None:
        """The folder of another clone that made the container, if that folder exists."""
        container = container or self._container()
        folder = _label(container, "project.working_dir") if container else ""
        own = (self.folder.resolve(), *self.folder.resolve().parents)
        if not folder or "COMPOSE_FILE" in self.environment or Path(folder).resolve() in own:
            return None
        return folder if Path(folder).exists() else None

    def _has_file(self) -> bool:
        """Whether Compose finds a file; it also looks in the folders above."""
        folders = (self.folder, *self.folder.parents)
        exists = any((folder / name).exists() for folder in folders for name in FILES)
        return exists or "COMPOSE_FILE" in self.environment

    @cached_property
    def _place(self) -> str | None:
        if not self._has_file() or not self._compose:
            return None
        return data_source(self._compose, self.folder, self.environment, DATA)

    @cached_property
    def _engine_failure(self) -> str | None:
        """Why no Docker engine answers; None where one does."""
        return self._failure_of("docker", "info")

    @cached_property
    def _compose(self) -> tuple[str, ...]:
        """The command of Compose's version 2 or 1; empty where neither runs."""
        versions = (("docker", "compose"), ("docker-compose",))
        return next((words for words in versions if not self._failure_of(*words, "version")), ())

    def _failure_of(self, *command: str) -> str | None:
        """The last line that a failing command printed; None when it succeeded."""
        try:
            done = subprocess.run(
                command,
                check=False,
                capture_output=True,
                text=True,
                timeout=30,
                env=self.environment,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        return last_lines(done.stderr or "it failed", 1) if done.returncode else None


def _label(container: dict[str, Any], name: str) -> str:
    return str((container["Config"]["Labels"] or {}).get(f"com.docker.compose.{name}", ""))
