"""A development server without Docker: a private one, by this machine's PostgreSQL 15.

It listens on the loopback address only, has no socket, and asks for a password. Its data and its
log are in one folder, which belongs to the account that the server runs as: PostgreSQL refuses to
run as root, so root's servers run as `postgres` or `nobody`. Their data are outside of the project,
beside a note of the project's folder: so a server is found whose project is gone.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from dbfoundation.errors import ServerError
from dbfoundation.server import binaries
from dbfoundation.server.databases import ask
from dbfoundation.server.processes import (
    STOP_SECONDS,
    command_of,
    last_lines,
    parent_of,
    run,
    works_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection

    from dbfoundation.server.processes import Report
    from dbfoundation.settings import Settings

ROOTS_HOMES = Path("/var/lib/postgresql-foundation")
# pg_ctl stops waiting for a start after so many seconds; the server goes on.
START_SECONDS = 10


def home_of(project: Path) -> Path:
    """The folder of a project's private server: inside of the project, except for root.

    Other accounts cannot read root's home, so root's servers are in /var/lib, under a name made
    from the project's path.
    """
    if os.geteuid():
        return project / ".postgres"
    return _roots_home(project)


def _roots_home(project: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(project)).hexdigest()[:8]
    return ROOTS_HOMES / f"{project.name}-{digest}"


def servers_of_gone_projects(settings: Settings) -> Iterator[LocalServer]:
    """Root's private servers whose project was removed or moved."""
    for note in sorted(ROOTS_HOMES.glob("*/project")):
        project = Path(os.fsdecode(note.read_bytes()))
        if not project.exists():
            yield LocalServer(note.parent, settings, project)


class LocalServer:
    """The private server of a project whose data are in `home`."""

    name = "a private server"

    def __init__(self, home: Path, settings: Settings, project: Path | None = None) -> None:
        self.home = home
        self.data = home / "data"
        self.settings = settings
        self.project = project
        is_without_account = binaries.account_problem() and not self.data.exists()
        self.advice = binaries.ADVICE_ON_ACCOUNTS if is_without_account else binaries.ADVICE

    def unavailable_reason(self) -> str | None:
        if not self.data.exists() and (problem := binaries.account_problem()):
            return problem
        return binaries.unavailable_reason()

    def place(self) -> str:
        return str(self.data)

    def holds(self, place: str | None) -> bool:
        return place is not None and os.access(place, os.F_OK)

    def move_fix(self, place: str) -> str | None:
        gone = {str(server.data): server for server in servers_of_gone_projects(self.settings)}
        if place in gone:
            return f"move them: `mv {gone[place].home} {self.home}`"
        home = Path(place).parent
        if self.project and home in (self.project / ".postgres", _roots_home(self.project)):
            return "run this as the account that made them" if home.exists() else None
        return None

    def start(self, report: Report) -> None:
        """Start the server on the configured port, to which a running one moves.

        Returns early for a server that is recovering, however long that takes.
        """
        if not self.data.exists():
            self._create_data(report)
        if self.project and self.home.parent == ROOTS_HOMES:
            (self.home / "project").write_bytes(os.fsencode(self.project))
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
        wait = ("-w", "-t", str(START_SECONDS))
        try:
            self._run("pg_ctl", "start", *wait, "-l", self._log, "-o", options, report=report)
        except ServerError:
            if self.port() is None:
                raise

    def port(self) -> int | None:
        running = self._running()
        return running[1] if running else None

    def serves(self, session: connection) -> bool:
        """Whether the session's process is a child of the running server, and the data its own.

        A tunnel on an address beside the server's leads to processes of another machine.
        """
        running = self._running()
        if running is None or parent_of(int(ask(session, "SELECT pg_backend_pid()"))) != running[0]:
            return False
        identifier = (self.data / "global" / "pg_control").read_bytes()[:8]
        query = "SELECT system_identifier FROM pg_control_system()"
        return ask(session, query) == str(int.from_bytes(identifier, sys.byteorder, signed=True))

    def is_incomplete(self) -> bool:
        """Whether initdb was interrupted; never, because its folder is renamed when it ends."""
        return False

    def stop(self, report: Report) -> None:
        seconds = str(STOP_SECONDS)
        try:
            self._run("pg_ctl", "stop", "-w", "-t", seconds, "-m", "fast", report=report)
        except ServerError:
            if self.port() is not None:  # otherwise it was shutting down already
                raise

    def remove_data(self, report: Report) -> None:
        if self.port():
            self.stop(report)
        shutil.rmtree(self.home)

    def log(self) -> str:
        return last_lines(self._log.read_text(errors="replace")) if self._log.exists() else ""

    def psql(self) -> list[str] | None:
        """psql beside the server's programs."""
        if self.unavailable_reason():
            return None
        return [str(self._programs / "psql"), "-d", self.settings.psql_url()]

    def _running(self) -> tuple[int, int] | None:
        """The process and the port of the running server.

        After a crash, postmaster.pid may be empty or name an unrelated process, and pg_ctl would
        signal that. Trust it only for a process whose command names these data, or which works in
        their folder.
        """
        try:
            lines = self._pid_file.read_text().splitlines()
            pid, port = int(lines[0]), int(lines[3])
        except (OSError, ValueError, IndexError):
            return None
        is_ours = f"-D {self.data} " in f"{command_of(pid)} " or works_in(pid, self.data)
        return (pid, port) if is_ours else None

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
