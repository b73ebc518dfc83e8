"""What migrating costs with a history of 1, 100 and 1,000 files: whole processes, wall and CPU."""

from __future__ import annotations

import os
import sys
from contextlib import closing
from dataclasses import replace
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter
from typing import TYPE_CHECKING, Any

import psycopg2

from benchmarks.programs import output_of
from benchmarks.results import OURS, BenchError, Figure, Results, Target, in_turn
from benchmarks.tools import TOOLS, Tool
from toolkit import maintenance
from toolkit.settings import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from benchmarks.peers import Peers
    from toolkit.settings import Settings

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
    """A project of each tool for each size of the history, on databases of their own."""

    def __init__(
        self, folder: Path, settings: Settings, programs: Path, installed: Peers, results: Results
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.programs = programs
        self.results = results
        self.tools = [tool for tool in TOOLS if tool.name in installed]
        self.empty = folder / "empty"
        self.empty.mkdir()
        (self.empty / "tasks.py").touch()

    def projects(self, sizes: Iterable[int]) -> dict[int, list[Tool]]:
        """Write a project of each tool for each size of the history."""
        return {size: [self._project(tool, size) for tool in self.tools] for size in sizes}

    def _project(self, tool: type[Tool], size: int) -> Tool:
        name = f"{tool.__name__.lower()}_{size}"
        url = replace(self.settings.url, name=name)
        project = tool(self.folder / name, url, self.programs)
        for n in range(1, size + 1):
            project.write(n)
        return project

    def round(
        self, number: int, projects: dict[int, list[Tool]], report: Callable[[str], None]
    ) -> None:
        """Take every project through every step once, from an empty database."""
        for tasks, folder in in_turn([(EMPTY, self.empty), (OURS, ROOT)], number):
            # invoke ends with 1 where there are no tasks.
            fine = (1,) if tasks == EMPTY else (0,)
            wall, cpu = self._run(f"invoke, {tasks}", LIST, folder, self.settings, fine=fine)
            self.results.add(STARTUP, "wall", tasks, wall)
            self.results.add(STARTUP, "CPU", tasks, cpu)
        for size, of_size in projects.items():
            for project in in_turn(of_size, number):
                report(f"{size} migrations, {project.name}")
                self._take(project, size)

    def _take(self, project: Tool, size: int) -> None:
        settings = replace(self.settings, url=project.url)
        maintenance.drop_database(settings)
        maintenance.create_database(settings)
        for step, command, tables in self._steps(project, size):
            case = f"{step}, {size}"
            what = f"{project.name}, {case}"
            wall, cpu = self._run(what, command, project.folder, settings)
            self.results.add(WALL, case, project.name, wall)
            self.results.add(CPU, case, project.name, cpu)
            if (found := _tables(settings)) != tables:
                raise BenchError(f"{what}: left {found} tables, not {tables}")

    def _steps(self, project: Tool, size: int) -> Iterator[tuple[str, list[str], int]]:
        """Each step's name, its command, and how many tables there are afterwards."""
        yield "fresh up", project.up(range(1, size + 1)), size
        yield "no-op up", project.up(range(0)), size
        one_more = project.write(size + 1)
        yield "one more", project.up(range(size + 1, size + 2)), size + 1
        yield "down one", project.down(size + 1), size
        one_more.unlink()
        yield "status", project.status(), size

    def _run(
        self,
        what: str,
        command: list[str],
        folder: Path,
        settings: Settings,
        **options: Any,  # noqa: ANN401 # output_of's
    ) -> tuple[float, float]:
        """Run a whole process; returns its milliseconds, by the clock and of CPU."""
        url = settings.url
        own = {"DATABASE_URL": url.render(with_password=True), "PGPASSWORD": url.password}
        started, before = perf_counter(), getrusage(RUSAGE_CHILDREN)
        output_of(what, command, cwd=folder, env=os.environ | own, **options)
        wall, after = perf_counter() - started, getrusage(RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return wall * 1000, cpu * 1000


def _tables(settings: Settings) -> int:
    """How many tables the migrations made; a tool's own ones have other names."""
    with closing(psycopg2.connect(**settings.libpq())) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename ~ '^t[0-9]+$'")
        ((count,),) = cursor.fetchall()
        return int(count)
