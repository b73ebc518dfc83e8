"""A development server without Docker: a private one, on this machine's PostgreSQL 15.

It listens on the loopback address alone, has no socket, and asks for a password. Data and log stand
in one folder, which belongs to the account that the server runs as: PostgreSQL refuses to run as
root, so root's servers run as `postgres` or `nobody`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit import binaries
from toolkit.errors import ServerError
from toolkit.process import command_of, last_lines, run, works_in

if TYPE_CHECKING:
    from toolkit.process import Report
    from toolkit.settings import Settings


def home_of(project: Path) -> Path:
    """The folder of a project's private server.

    It stands in the project. Root's homes are closed to other accounts, so for root it stands in
    /var/lib, under a name made from the project's path.
    """
    if os.geteuid():
        return project / ".postgres"
    digest = hashlib.sha256(os.fsencode(project)).hexdigest()[:8]
    return Path("/var/lib/postgresql-foundation") / f"{project.name}-{digest}"


class LocalServer:
    """The private server whose data are in `home`."""

    name = "a private server"

    def __init__(self, home: Path, settings: Settings) -> None:
        self.home = home
        self.data = home / "data"
        self.storage = f"the folder {self.data}"
        self.settings = settings

    def obstacle(self) -> str | None:
        """Why this way is closed on this machine; None when it is open."""
        return binaries.obstacle()

    def start(self, report: Report) -> None:
        """Start the server, creating its data the first time; raises ServerError.

        One that runs on another port moves to the configured one.
        """
        if not self.data.exists():
            self._create_data(report)
        if self.port():
            self.stop(report)  # not pg_ctl restart: that starts one whose command names no data
        else:
            # Left by a crash. PostgreSQL believes the number in it as long as any process has that,
            # or nobody has collected the dead one; what still works on the data it finds without.
            self._pid_file.unlink(missing_ok=True)
        if self._log.exists():
            self._log.replace(self.home / "log.before")
        options = (
            f"-p {self.settings.url.port} -c listen_addresses={self.settings.url.host} "
            "-c unix_socket_directories=''"
        )
        self._run("pg_ctl", "start", "-w", "-l", self._log, "-o", options, report=report)

    def port(self) -> int | None:
        """The port that the server runs on; None when it does not run.

        After a crash, postmaster.pid may name a process that has nothing to do with the server, and
        pg_ctl would signal it: believe it only of a process that was started for these data, or
        works in their folder.
        """
        try:
            lines = self._pid_file.read_text().splitlines()
        except OSError:
            return None
        pid, port = int(lines[0]), int(lines[3])
        ours = str(self.data) in command_of(pid) or works_in(pid, self.data)
        return port if ours else None

    def stop(self, report: Report) -> None:
        """Stop the server; its data stay."""
        self._run("pg_ctl", "stop", "-w", "-m", "fast", report=report)

    def log(self) -> str:
        """The last lines the server wrote."""
        return last_lines(self._log.read_text(errors="replace")) if self._log.exists() else ""

    @property
    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    @property
    def _log(self) -> Path:
        return self.home / "log"

    @cached_property
    def _programs(self) -> Path:
        return binaries.provide(self.home)

    def _create_data(self, report: Report) -> None:
        """Run initdb beside the final place, so that half-made data are never taken for whole."""
        fresh, password = self.home / "data.new", self.home / "password"
        if not self.home.parent.exists():
            self.home.parent.mkdir(parents=True)
            self.home.parent.chmod(0o755)  # whatever the umask is, the server has to get through
        self.home.mkdir(exist_ok=True)
        binaries.hand_over(self.home).chmod(0o700)
        shutil.rmtree(fresh, ignore_errors=True)
        password.touch(0o600)
        binaries.hand_over(password).write_text(self.settings.url.password, encoding="utf-8")
        try:
            self._run(
                "initdb",
                f"--username={self.settings.url.user}",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-instructions",
                data=fresh,
                report=report,
            )
        finally:
            password.unlink()
        fresh.rename(self.data)

    def _run(
        self,
        program: str,
        *words: str | Path,
        data: Path | None = None,
        report: Report = lambda _: None,
    ) -> None:
        """Run one of the server's programs on its data; raises ServerError in its words."""
        command = [str(self._programs / program), *map(str, words), "-D", str(data or self.data)]
        done = run(
            command,
            report=report,
            what=f"waiting for {program}",
            cwd="/",
            env=self.settings.child_environment(),
            **binaries.account(),
        )
        if done.returncode:
            raise ServerError(f"{program} failed: {last_lines(done.stdout)}")
