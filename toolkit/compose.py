"""A development server in a container: the service of docker-compose.yml, through its own tool."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from toolkit import process
from toolkit.errors import ServerError

if TYPE_CHECKING:
    from pathlib import Path

    from toolkit.process import Report
    from toolkit.settings import Settings

SERVICE = "postgres"


class Compose:
    """The container of the project in `folder`; the values in docker-compose.yml are settings'."""

    name = "Docker Compose"
    storage = "the volume (`docker compose down --volumes`)"

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.host = settings.url.host
        self.environment = settings.child_environment()

    def obstacle(self) -> str | None:
        """Why this way is closed on this machine; None when it is open."""
        if self.host not in ("127.0.0.1", "localhost"):
            return f"the container is published on 127.0.0.1, and DB_HOST is {self.host}"
        if fault := self._fault("docker", "info"):
            return f"no Docker engine answers: {fault}"
        if not self._tool():
            return "a Docker engine answers, but neither `docker compose` nor `docker-compose` runs"
        return None

    def start(self, report: Report) -> None:
        """Create and start the container; raises ServerError in the words of compose."""
        self.run("up", "-d", report=report)

    def port(self) -> int | None:
        """The port that the container is published on; None when it does not run."""
        if self._fault("docker", "info") or not self._tool():
            return None
        if SERVICE not in self.run("ps", "--services", "--filter", "status=running").split():
            return None
        return int(self.run("port", SERVICE, "5432").strip().rpartition(":")[2])

    def stop(self, report: Report) -> None:
        """Remove the container; its volume, with the data, stays."""
        self.run("down", report=report)

    def log(self) -> str:
        """The last lines the server wrote."""
        return process.last_lines(
            self.run("logs", "--no-color", "--no-log-prefix", "--tail", "10", SERVICE)
        )

    def psql(self, user: str, name: str) -> list[str]:
        """The command for psql inside the container, whose socket asks for no password."""
        terminal = () if sys.stdin.isatty() else ("-T",)
        return [*self._tool(), "exec", *terminal, SERVICE, "psql", "-U", user, "-d", name]

    def run(self, *words: str, report: Report = lambda _: None) -> str:
        """Run compose; returns what it printed. Raises ServerError in its words."""
        command = (*self._tool(), *words)
        what = f"waiting for `{' '.join(command)}`"
        done = process.run(command, report=report, what=what, cwd=self.folder, env=self.environment)
        if done.returncode:
            raise ServerError(f"`{' '.join(command)}` failed: {process.last_lines(done.stdout)}")
        return done.stdout

    def _tool(self) -> tuple[str, ...]:
        generations = (("docker", "compose"), ("docker-compose",))
        return next((tool for tool in generations if not self._fault(*tool, "version")), ())

    def _fault(self, *command: str) -> str | None:
        """The last line that a command wrote before it failed; None when it did not."""
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
        return process.last_lines(done.stderr or "it failed", 1) if done.returncode else None
