"""A development server without Docker: a private one, by this machine's PostgreSQL 15.

It listens on the loopback address only, has no socket, and asks for a password. Its data and its
log are in one folder, which belongs to the account that the server runs as: PostgreSQL refuses to
run as root, so root's servers run as `postgres` or `nobody`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dbfoundation.errors import ServerError
from dbfoundation.server import binaries
from dbfoundation.server.processes import command_of, last_lines, run, works_in

if TYPE_CHECKING:
    from dbfoundation.server.processes import Report
    from dbfoundation.settings import Settings


def home_of(project: Path) -> Path:
    """The folder of a project's private server: inside of the project, except for root.

    Other accounts cannot read root's home, so root's servers are in /var/lib, under a name made
    from the project's path.
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
        is_without_account = binaries.account_problem() and not self.data.exists()
        self.advice = binaries.ADVICE_ON_ACCOUNTS if is_without_account else binaries.ADVICE

    def unavailable_reason(self) -> str | None:
        if not self.data.exists() and (problem := binaries.account_problem()):
            return problem
        return binaries.unavailable_reason()

    def start(self, report: Report) -> None:
        """Start the server on the configured port, to which a running one moves."""
        if not self.data.exists():
            self._create_data(report)
        if self.port():
            # pg_ctl restart would start a server whose command does not name its data.
            self.stop(report)
        else:
            # A crash left it. PostgreSQL would trust it while any process has its number; it finds
            # a process that still uses the data by its shared memory.
            self._pid_file.unlink(missing_ok=True)
        if self._log.exists():
            self._log.replace(self.home / "log.before")
        options = (
            f"-p {self.settings.url.port} -c listen_addresses={self.settings.url.host} "
            "-c unix_socket_directories=''"
        )
        self._run("pg_ctl", "start", "-w", "-l", self._log, "-o", options, report=report)

    def port(self) -> int | None:
        """The port of the running server; None when it does not run.

        After a crash, postmaster.pid may name an unrelated process, and pg_ctl would signal that.
        Trust it only for a process whose command names these data, or which works in their folder.
        """
        try:
            lines = self._pid_file.read_text().splitlines()
        except OSError:
            return None
        pid, port = int(lines[0]), int(lines[3])
        is_ours = str(self.data) in command_of(pid) or works_in(pid, self.data)
        return port if is_ours else None

    def stop(self, report: Report) -> None:
        self._run("pg_ctl", "stop", "-w", "-m", "fast", report=report)

    def log(self) -> str:
        return last_lines(self._log.read_text(errors="replace")) if self._log.exists() else ""

    def psql(self) -> list[str] | None:
        """psql beside the server's programs."""
        if self.unavailable_reason():
            return None
        return [str(self._programs / "psql"), "-d", self.settings.psql_url()]

    @property
    def _pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    @property
    def _log(self) -> Path:
        return self.home / "log"

    @cached_property
    def _programs(self) -> Path:
        return binaries.find_programs(self.home)

    def _create_data(self, report: Report) -> None:
        """Run initdb in another folder and rename that, so that incomplete data are never used.

        The password goes through a file, because a list of processes shows arguments.
        """
        fresh, password = self.home / "data.new", self.home / "password"
        if not self.home.parent.exists():
            self.home.parent.mkdir(parents=True)
            self.home.parent.chmod(0o755)  # the server must enter it, whatever the umask is
        self.home.mkdir(exist_ok=True)
        binaries.chown_to_server(self.home).chmod(0o700)
        shutil.rmtree(fresh, ignore_errors=True)
        password.touch(0o600)
        binaries.chown_to_server(password).write_text(self.settings.url.password, encoding="utf-8")
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
        """Run one of the server's programs on its data; raises ServerError with its last lines."""
        command = [str(self._programs / program), *map(str, words), "-D", str(data or self.data)]
        done = run(
            command,
            report=report,
            waiting_for=program,
            cwd="/",
            env=self.settings.child_environment(),
            **binaries.run_as(),
        )
        if done.returncode:
            raise ServerError(f"{program} failed: {last_lines(done.stdout)}")
