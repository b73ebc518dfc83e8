"""The time of migrating with 1, 100 and 1,000 files: whole processes, wall clock and CPU."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import replace
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter
from typing import TYPE_CHECKING

import psycopg2

from benchmarks import PROJECT
from benchmarks.programs import output_of
from benchmarks.results import OURS, BenchError, Figure, Results, Target, rotate
from benchmarks.tools import TOOLS, Tool
from dbfoundation.server import databases

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from benchmarks.peers import Peers
    from dbfoundation.server.processes import Report
    from dbfoundation.settings import Settings

WALL = "migrations, ms"
CPU = "migrations, ms of CPU"
STARTUP = "invoke --list, ms"
LIST = [sys.executable, "-m", "invoke", "--list"]
EMPTY = "an empty tasks.py"
TARGETS = [
    Target(Figure(WALL, "no-op up, 1000"), Figure(WALL, "no-op up, 1"), 1.2),
    Target(Figure(WALL, "one more, 1000"), Figure(WALL, "one more, 1"), 1.5),
    Target(Figure(WALL, "no-op up, 1000"), Figure(STARTUP, "wall", EMPTY), 1.3),
    Target(Figure(WALL, "fresh up, 1000"), Figure(WALL, "fresh up, 1000", "psql"), 1.5),
]


class Migrations:
    """A project of each tool for each number of migrations, each on a database of its own."""

    def __init__(
        self, folder: Path, settings: Settings, programs: Path, peers: Peers, results: Results
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.programs = programs
        self.results = results
        self.tools = [tool for tool in TOOLS if tool.name in peers]
        self.empty = folder / "empty"
        self.empty.mkdir()
        (self.empty / "tasks.py").touch()

    def projects(self, sizes: Iterable[int]) -> dict[int, list[Tool]]:
        """Write the projects, by their number of migrations."""
        return {size: [self._project(tool, size) for tool in self.tools] for size in sizes}

    def _project(self, tool: type[Tool], size: int) -> Tool:
        name = f"{tool.__name__.lower()}_{size}"
        url = replace(self.settings.url, name=name)
        project = tool(self.folder / name, url, self.programs)
        for n in range(1, size + 1):
            project.write(n)
        return project

    def round(self, number: int, projects: dict[int, list[Tool]], report: Report) -> None:
        """Run every step of every project once, starting with an empty database."""
        for tasks, folder in rotate([(EMPTY, self.empty), (OURS, PROJECT)], number):
            # invoke ends with exit code 1 when there are no tasks.
            exit_code = 1 if tasks == EMPTY else 0
            case = f"invoke --list, {tasks}"
            wall, cpu = _measure(case, LIST, folder, self.settings, exit_code)
            self.results.add(STARTUP, "wall", tasks, wall)
            self.results.add(STARTUP, "CPU", tasks, cpu)
        for size, of_size in projects.items():
            for project in rotate(of_size, number):
                report(f"{size} migrations, {project.name}")
                self._run_steps(project, size)

    def _run_steps(self, project: Tool, size: int) -> None:
        settings = replace(self.settings, url=project.url)
        databases.drop_database(settings)
        databases.create_database(settings)
        for step, command, tables in _steps(project, size):
            case = f"{step}, {size}"
            name = f"{project.name}, {case}"
            wall, cpu = _measure(name, command, project.folder, settings)
            self.results.add(WALL, case, project.name, wall)
            self.results.add(CPU, case, project.name, cpu)
            if (count := _count_tables(settings)) != tables:
                raise BenchError(f"{name}: the database has {count} tables instead of {tables}")


def _steps(project: Tool, size: int) -> Iterator[tuple[str, list[str], int]]:
    """Each step's name, its command, and the number of tables after it."""
    yield "fresh up", project.up(range(1, size + 1)), size
    yield "no-op up", project.up(range(0)), size
    one_more = project.write(size + 1)
    yield "one more", project.up(range(size + 1, size + 2)), size + 1
    yield "down one", project.down(size + 1), size
    one_more.unlink()
    yield "status", project.status(), size


def _measure(
    name: str, command: list[str], folder: Path, settings: Settings, exit_code: int = 0
) -> tuple[float, float]:
    """Run a process to its end; returns its milliseconds of wall clock and of CPU."""
    url = settings.url
    address = {"DATABASE_URL": url.render(with_password=True), "PGPASSWORD": url.password}
    started, before = perf_counter(), getrusage(RUSAGE_CHILDREN)
    output_of(name, command, cwd=folder, env=os.environ | address, exit_code=exit_code)
    wall, after = perf_counter() - started, getrusage(RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1000, cpu * 1000


def _count_tables(settings: Settings) -> int:
    """The number of tables that the migrations created; a tool's own tables have other names."""
    with (
        closing(psycopg2.connect(**settings.connect_kwargs())) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename ~ '^t[0-9]+$'")
        ((count,),) = cursor.fetchall()
        return int(count)
