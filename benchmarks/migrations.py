"""What `invoke migrate-up` costs with 1 and with 1,000 migrations, beside psql and a bare invoke.

    .venv/bin/python benchmarks/migrations.py [ROUNDS]

Whole processes on a private server of its own, the variants in turn within each round, medians in
milliseconds. After each step the tables are counted, so that a run that did nothing fails.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import psycopg2

from toolkit import maintenance, server
from toolkit.local import LocalServer
from toolkit.settings import ROOT, Settings

PROJECT = ("toolkit", "models", "tasks.py", "seeds.py", "invoke.yaml", ".env")
TABLE = "CREATE TABLE t{n} (id SERIAL PRIMARY KEY, name VARCHAR(100) NOT NULL)"
FILE = f"""def migrate(migrator, database, *, fake=False):
    migrator.sql("{TABLE}")


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE t{{n}}")
"""
SIZES = (1, 1000)
PORT = 54329


class Bench:
    """One server, and a copy of the project for each size of its history."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.settings = settings
        self.times: dict[str, list[float]] = defaultdict(list)

    def project(self, size: int) -> Path:
        folder = self.folder / f"of-{size}"
        (folder / "migrations").mkdir(parents=True)
        for name in PROJECT:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        for n in range(1, size + 1):
            self.write(folder, n)
        return folder

    def write(self, folder: Path, n: int) -> Path:
        path = folder / "migrations" / f"{n:03}_t{n}.py"
        path.write_text(FILE.format(n=n))
        return path

    def fresh(self, name: str) -> Settings:
        settings = replace(self.settings, url=replace(self.settings.url, name=name))
        maintenance.drop_database(settings)
        maintenance.create_database(settings)
        return settings

    def run(
        self, what: str, command: list[str], folder: Path, settings: Settings, **io: str
    ) -> None:
        url = settings.url
        own = {"DATABASE_URL": url.render(with_password=True), "PGPASSWORD": url.password}
        started = perf_counter()
        subprocess.run(
            command,
            cwd=folder,
            env=os.environ | own,
            check=what != "invoke --list",  # which fails where there are no tasks
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            **io,
        )
        self.times[what].append((perf_counter() - started) * 1000)

    def invoke(self, what: str, task: str, folder: Path, settings: Settings, applied: int) -> None:
        self.run(what, [sys.executable, "-m", "invoke", task], folder, settings)
        assert self.tables(settings) == applied + 1, what  # the history is one more

    def tables(self, settings: Settings) -> int:
        with closing(psycopg2.connect(**settings.libpq())) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            return int((cursor.fetchone() or (0,))[0])

    def round(self, empty: Path, projects: dict[int, Path]) -> None:
        self.run("invoke --list", [sys.executable, "-m", "invoke", "--list"], empty, self.settings)
        for size, folder in projects.items():
            settings = self.fresh(f"bench_{size}")
            self.invoke(f"fresh up, {size}", "migrate-up", folder, settings, size)
            self.invoke(f"nothing to do, {size}", "migrate-up", folder, settings, size)
            one_more = self.write(folder, size + 1)
            self.invoke(f"one more, {size}", "migrate-up", folder, settings, size + 1)
            self.invoke(f"down one, {size}", "migrate-down", folder, settings, size)
            one_more.unlink()
        settings = self.fresh("bench_psql")
        sql = "".join(f"BEGIN;\n{TABLE.format(n=n)};\nCOMMIT;\n" for n in range(1, SIZES[-1] + 1))
        psql, _ = server.psql(settings)
        self.run(f"psql, {SIZES[-1]}", [*psql, "-q"], empty, settings, input=sql)
        assert self.tables(settings) == SIZES[-1], "psql"

    def report(self) -> None:
        medians = {what: statistics.median(times) for what, times in self.times.items()}
        for what, median in medians.items():
            print(f"{what:22} {median:8.0f} ms")
        for over, under, bound in (
            ("nothing to do, 1000", "nothing to do, 1", 1.2),
            ("nothing to do, 1000", "invoke --list", 1.3),
            ("one more, 1000", "one more, 1", 1.5),
            ("fresh up, 1000", "psql, 1000", 1.5),
        ):
            ratio = medians[over] / medians[under]
            print(f"{over} / {under}: {ratio:.2f} (bound {bound})")


def main(rounds: int) -> None:
    own = {"APP_ENV": "test", "DATABASE_URL": f"postgresql://bench:bench@127.0.0.1:{PORT}/postgres"}
    os.environ.update(own)
    settings = Settings.load()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        bench = Bench(Path(name), settings)
        (Path(name) / "empty").mkdir()
        (Path(name) / "empty" / "tasks.py").touch()
        home = Path(tempfile.mkdtemp(prefix="bench-server-"))
        local = LocalServer(home, settings)
        local.start(print)
        try:
            projects = {size: bench.project(size) for size in SIZES}
            for _ in range(rounds):
                bench.round(Path(name) / "empty", projects)
        finally:
            local.stop(print)
            shutil.rmtree(home)
    bench.report()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
