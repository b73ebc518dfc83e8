"""A bed: an application in a virtual environment of its own, and the schema that it creates.

Everything is in `.beds/NAME` beside `toolkit`, which is in no commit: `venv`, the application's
files, and `schema.sql`, pg_dump's text of the schema. A folder that is there is used again; remove
it to install the application anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from beds.server import Server, UnavailableError

if TYPE_CHECKING:
    from beds.applications import Application
    from dbfoundation.settings import Settings

BEDS = Path(__file__).resolve().parent.parent.parent / ".beds"
LONGEST_SECONDS = 400
DUMP = ("--schema-only", "--no-owner")


@dataclass(frozen=True)
class Bed:
    """The folder of an application."""

    application: Application

    @property
    def folder(self) -> Path:
        return BEDS / self.application.name

    @property
    def dump(self) -> Path:
        return self.folder / "schema.sql"

    def install(self) -> None:
        """Install the application unless it is installed; raises UnavailableError."""
        finished = self.folder / "installed"
        wanted = "\n".join(self.application.requirements)
        if finished.exists() and finished.read_text() == wanted:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = self.folder / "venv"
        self._run(sys.executable, "-m", "venv", "--clear", environment)
        pip = (environment / "bin" / "pip", "--disable-pip-version-check", "install", "--quiet")
        self._run(*pip, *self.application.requirements)
        finished.write_text(wanted)

    def migrate(self, server: Server, database: Settings) -> None:
        """Create the schema through the application's own migrations; raises UnavailableError."""
        values = _values(database, self.folder)
        (self.folder / "data").mkdir(exist_ok=True)
        for name, text in self.application.files.items():
            (self.folder / name).write_text(Template(text).substitute(values))
        for extension in self.application.extensions:
            server.run("psql", "-qc", f"CREATE EXTENSION {extension}", database=database)
        program, *words = (Template(word).substitute(values) for word in self.application.command)
        own = {name: Template(text).substitute(values) for name, text in self._variables().items()}
        self._run(self.folder / "venv" / "bin" / program, *words, **own)

    def load(self, server: Server, database: Settings) -> None:
        """Create the schema from the dump."""
        server.run("psql", "-qXv", "ON_ERROR_STOP=1", "-f", self.dump, database=database)

    def _variables(self) -> dict[str, str]:
        libpq = {"PGHOST": "$host", "PGPORT": "$port", "PGUSER": "$user", "PGDATABASE": "$name"}
        python = {"PYTHONPATH": "$folder", "HOME": "$folder/data"}
        return libpq | python | {"PGPASSWORD": "$password"} | self.application.environment

    def _run(self, *command: str | Path, **variables: str) -> None:
        """Run a command in the folder; its output is in `output`."""
        output = self.folder / "output"
        ours = ("PYTHON", "PG", "DATABASE_URL", "VIRTUAL_ENV", "DJANGO")
        inherited = {key: text for key, text in os.environ.items() if not key.startswith(ours)}
        try:
            with output.open("w") as stream:
                subprocess.run(
                    command,
                    check=True,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    cwd=self.folder,
                    env=inherited | variables,
                    timeout=LONGEST_SECONDS,
                )
        except (OSError, subprocess.SubprocessError) as error:
            lines = output.read_text(errors="replace").splitlines()
            last = [line for line in lines if line and not line.startswith("WARNING")][-3:]
            raise UnavailableError(f"{Path(command[0]).name} failed: {' '.join(last)}") from error


def _values(database: Settings, folder: Path) -> dict[str, str]:
    """The values of a template."""
    url = database.url
    parts = {"host": url.host, "port": str(url.port), "name": url.name, "user": url.user}
    return parts | {
        "password": url.password,
        "url": url.render(with_password=True),
        "folder": str(folder),
    }
