"""A development server in a container: the service of docker-compose.yml."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from dbfoundation.errors import ServerError
from dbfoundation.server.processes import last_lines, run
from dbfoundation.url import DEFAULT_PORT, DEFAULT_SOCKET

if TYPE_CHECKING:
    from pathlib import Path

    from dbfoundation.server.processes import Report
    from dbfoundation.settings import Settings

SERVICE = "postgres"
FILES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
PUBLISHED_ON = ("127.0.0.1", "localhost")


class Compose:
    """The container of the project in `folder`; docker-compose.yml reads the settings' values."""

    name = "Docker Compose"
    storage = "the volume (`docker compose down --volumes`)"
    advice = "install Docker"

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
        if reason := self._failure_of("docker", "info"):
            return f"no Docker engine answers: {reason}"
        if not self._compose:
            return "a Docker engine answers, but neither `docker compose` nor `docker-compose` runs"
        return None

    def start(self, report: Report) -> None:
        self.run("up", "-d", report=report)

    def port(self) -> int | None:
        if not self._has_file() or self._failure_of("docker", "info") or not self._compose:
            return None
        if SERVICE not in self.run("ps", "--services", "--filter", "status=running").split():
            return None
        return int(self.run("port", SERVICE, "5432").strip().rpartition(":")[2])

    def stop(self, report: Report) -> None:
        """Remove the container and keep its volume."""
        self.run("down", report=report)

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

    def _has_file(self) -> bool:
        """Whether Compose finds a file; it also looks in the folders above."""
        folders = (self.folder, *self.folder.parents)
        exists = any((folder / name).exists() for folder in folders for name in FILES)
        return exists or "COMPOSE_FILE" in self.environment

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
