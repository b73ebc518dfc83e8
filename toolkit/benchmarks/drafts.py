"""The time and memory of drafting a migration for one changed column among many tables.

Each tool has the same tables, which its own first draft has created. A draft counts if the changed
column has the models' type after it is applied, nothing is left to draft, and its rollback leaves
the schema as it was. Our draft is proven before it is written, which is a part of its time.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from abc import abstractmethod
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING, ClassVar

from benchmarks import PROJECT
from benchmarks.peers import PYTHON
from benchmarks.programs import output_of
from benchmarks.results import OURS, BenchError, Results, rotate
from benchmarks.tools import Alembic, Django
from dbfoundation.runtime.connection import connected, dedicated
from dbfoundation.schema.catalog import read
from dbfoundation.schema.comparison import compare
from dbfoundation.server import databases

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from benchmarks.peers import Peers
    from dbfoundation.schema.catalog import SchemaObject
    from dbfoundation.server.processes import Report
    from dbfoundation.settings import Settings

WALL = "draft of one changed column, ms"
MEMORY = "draft of one changed column, MB at most"
COLUMN = ("t1.name", "character varying(200)")
LENGTHS = (100, 200)


class Project:
    """A project of a tool with many tables, of which the first one changes."""

    name: ClassVar[str]
    drafts: ClassVar[str]  # the folder of its migrations

    def __init__(self, folder: Path, settings: Settings, size: int) -> None:
        self.folder = folder
        self.settings = settings
        self.size = size
        folder.mkdir()
        self.prepare()
        databases.drop_database(settings)
        databases.create_database(settings)
        self.declare(LENGTHS[0])
        self.run(self.draft())
        self.run(self.up())

    @abstractmethod
    def prepare(self) -> None:
        """Write every file except the models."""

    @abstractmethod
    def declare(self, length: int) -> None:
        """Write the models; the first table's column has this length."""

    @abstractmethod
    def draft(self) -> list[str]:
        """The command that drafts a migration."""

    @abstractmethod
    def up(self) -> list[str]: ...

    @abstractmethod
    def down(self) -> list[str]:
        """The command that rolls back the second migration."""

    def run(self, command: list[str]) -> str:
        name = f"{self.name}, {self.size} tables"
        return output_of(name, command, cwd=self.folder, env=self.environment)

    @property
    def environment(self) -> dict[str, str]:
        url = self.settings.url
        address = {"DATABASE_URL": url.render(with_password=True), "PGPASSWORD": url.password}
        return os.environ | {"APP_ENV": "test"} | address

    def lengths(self, first: int) -> Iterable[tuple[int, int]]:
        """The number of each table, and the length of its column."""
        return ((n, first if n == 1 else LENGTHS[0]) for n in range(1, self.size + 1))

    def files(self) -> set[Path]:
        return {*(self.folder / self.drafts).glob("*.py")}

    def objects(self) -> list[SchemaObject]:
        database = dedicated(self.settings, "bench")
        with connected(database, self.settings):
            return read(database)


class Ours(Project):
    name = OURS
    drafts = "migrations"

    def prepare(self) -> None:
        (self.folder / "migrations").mkdir()
        for name in ("tasks.py", ".env"):
            shutil.copy(PROJECT / name, self.folder)
        (self.folder / "seeds.py").write_text(
            "from dbfoundation import insert_missing\nfrom models import database\n\n\n"
            "def seed():\n    return insert_missing(database, [])\n"
        )

    def declare(self, length: int) -> None:
        classes = "".join(
            f"\n\nclass T{n}(Model):\n    name = CharField(max_length={size})\n\n"
            f'    class Meta:\n        database = database\n        table_name = "t{n}"\n'
            for n, size in self.lengths(length)
        )
        names = ", ".join(f"T{n}" for n in range(1, self.size + 1))
        (self.folder / "models.py").write_text(
            "from pathlib import Path\n\nfrom dbfoundation import Pool\n"
            'from peewee import CharField, Model\n\ndatabase = Pool(Path(".env"))\n'
            f"{classes}\n\nMODELS = [{names}]\n"
        )

    def draft(self) -> list[str]:
        number = len(self.files())
        return [sys.executable, "-m", "invoke", "migrate-create", f"change_{number}", "--auto"]

    def up(self) -> list[str]:
        return [sys.executable, "-m", "invoke", "migrate-up"]

    def down(self) -> list[str]:
        return [sys.executable, "-m", "invoke", "migrate-down"]


class OfAlembic(Project):
    name = Alembic.name
    drafts = "alembic/versions"
    script = Alembic.environment.replace(
        "with create_engine", "from models import Base\n\nwith create_engine"
    ).replace("connection=connection,", "connection=connection, target_metadata=Base.metadata,")
    template = (
        "from alembic import op\nimport sqlalchemy as sa\n\nrevision = ${repr(up_revision)}\n"
        "down_revision = ${repr(down_revision)}\n\n\ndef upgrade():\n    ${upgrades}\n\n\n"
        "def downgrade():\n    ${downgrades}\n"
    )

    def prepare(self) -> None:
        address = self.settings.url.render(with_password=False)
        address = address.replace("postgresql:", "postgresql+psycopg2:")
        (self.folder / "alembic.ini").write_text(
            "[alembic]\nscript_location = alembic\nprepend_sys_path = .\n"
            f"sqlalchemy.url = {address}\n"
        )
        (self.folder / self.drafts).mkdir(parents=True)
        (self.folder / "alembic" / "env.py").write_text(self.script)
        (self.folder / "alembic" / "script.py.mako").write_text(self.template)

    def declare(self, length: int) -> None:
        classes = "".join(
            f'\n\nclass T{n}(Base):\n    __tablename__ = "t{n}"\n'
            "    id: Mapped[int] = mapped_column(primary_key=True)\n"
            f"    name: Mapped[str] = mapped_column(String({size}))\n"
            for n, size in self.lengths(length)
        )
        (self.folder / "models.py").write_text(
            "from sqlalchemy import String\n"
            "from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column\n\n\n"
            f"class Base(DeclarativeBase):\n    pass\n{classes}"
        )

    def draft(self) -> list[str]:
        return self._alembic("revision", "--autogenerate", "-m", "change")

    def up(self) -> list[str]:
        return self._alembic("upgrade", "head")

    def down(self) -> list[str]:
        return self._alembic("downgrade", "-1")

    def _alembic(self, *arguments: str) -> list[str]:
        return [str(PYTHON / "bin" / "alembic"), *arguments]


class OfDjango(Project):
    name = Django.name
    drafts = "app/migrations"

    def prepare(self) -> None:
        url = self.settings.url
        (self.folder / self.drafts).mkdir(parents=True)
        for package in ("app", self.drafts):
            (self.folder / package / "__init__.py").touch()
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": url.host,
            "PORT": url.port,
            "USER": url.user,
            "NAME": url.name,
        }
        settings = f'INSTALLED_APPS = ["app"]\nDATABASES = {{"default": {database}}}\n'
        (self.folder / "config.py").write_text(settings)

    def declare(self, length: int) -> None:
        classes = "".join(
            f"\n\nclass T{n}(models.Model):\n    id = models.AutoField(primary_key=True)\n"
            f"    name = models.CharField(max_length={size})\n\n"
            f'    class Meta:\n        db_table = "t{n}"\n'
            for n, size in self.lengths(length)
        )
        models = f"from django.db import models\n{classes}"
        (self.folder / "app" / "models.py").write_text(models)

    def draft(self) -> list[str]:
        return self._admin("makemigrations", "app")

    def up(self) -> list[str]:
        return self._admin("migrate")

    def down(self) -> list[str]:
        return self._admin("migrate", "app", "0001")

    def _admin(self, *arguments: str) -> list[str]:
        admin = str(PYTHON / "bin" / "django-admin")
        return [admin, *arguments, "--settings=config", "--pythonpath=."]


class Drafts:
    """A project of each tool for each number of tables, on a database of its own."""

    def __init__(self, folder: Path, settings: Settings, peers: Peers, results: Results) -> None:
        self.folder = folder / "drafts"
        self.folder.mkdir()
        self.settings = settings
        self.results = results
        self.tools = [tool for tool in (Ours, OfAlembic, OfDjango) if tool.name in peers]

    def projects(self, sizes: Iterable[int], report: Report) -> list[list[Project]]:
        """Make the projects, those of each size together."""
        return [[self._project(tool, size, report) for tool in self.tools] for size in sizes]

    def _project(self, tool: type[Project], size: int, report: Report) -> Project:
        report(f"{size} tables of {tool.name}")
        name = f"drafts_{tool.__name__.lower()}_{size}"
        url = replace(self.settings.url, name=name)
        return tool(self.folder / name, replace(self.settings, url=url), size)

    def round(self, number: int, projects: list[list[Project]], report: Report) -> None:
        """Let each tool draft the change once; its files are removed afterwards."""
        for of_size in projects:
            for project in rotate(of_size, number):
                case = f"{project.size} tables"
                report(f"draft, {case}, {project.name}")
                milliseconds, megabytes = measure(project)
                self.results.add(WALL, case, project.name, milliseconds)
                self.results.add(MEMORY, case, project.name, megabytes)


def measure(project: Project) -> tuple[float, float]:
    """Draft the change, apply it, and roll it back; returns the draft's time and memory."""
    files, before = project.files(), project.objects()
    project.declare(LENGTHS[1])
    try:
        figures = _run_measured(project)
        if len(project.files() - files) != 1:
            raise BenchError(f"{project.name}: the draft is not one file")
        project.run(project.up())
        after = {thing.name: thing.details.get("type") for thing in project.objects()}
        if after[COLUMN[0]] != COLUMN[1]:
            raise BenchError(f"{project.name}: {COLUMN[0]} is {after[COLUMN[0]]}")
        project.run(project.down())
        if different := compare(before, project.objects()):
            difference = different[0].describe("the schema before", "the one after the rollback")
            raise BenchError(f"{project.name}: {difference}")
    finally:
        for file in project.files() - files:
            file.unlink()
        project.declare(LENGTHS[0])
    return figures


def _run_measured(project: Project) -> tuple[float, float]:
    """The milliseconds and the megabytes of the draft's process."""
    started = perf_counter()
    with subprocess.Popen(
        project.draft(),
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        output = process.stdout.read() if process.stdout else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchError(f"{project.name}: {output.decode()[-500:]}")
    return (perf_counter() - started) * 1000, usage.ru_maxrss / 1024
