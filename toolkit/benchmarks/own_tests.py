"""The time of a test that inserts a row and reads it, with each pytest plugin, on one server.

A run has many tests. The first one, which prepares the database, is not counted. pytest's own time
for a test is a part of each figure.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from benchmarks import peers
from benchmarks.programs import output_of
from benchmarks.results import OURS, BenchError, Figure, Results, Target, rotate

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers import Peers
    from dbfoundation.server.processes import Report
    from dbfoundation.settings import Settings
    from dbfoundation.url import DatabaseURL

QUANTITY = "µs a test, with one insert and one select"
ROLLED_BACK = "rolled back"
COMMITTED = "committed"
DJANGO = "pytest-django"
POSTGRESQL = "pytest-postgresql"
TARGETS = [
    Target(Figure(QUANTITY, ROLLED_BACK), Figure(QUANTITY, ROLLED_BACK, DJANGO), 1.2),
    Target(Figure(QUANTITY, COMMITTED), Figure(QUANTITY, COMMITTED, DJANGO), 1),
]
CREATE = "CREATE TABLE things (id SERIAL PRIMARY KEY, name VARCHAR(100) NOT NULL)"
# Writes the microseconds of a test, from the end of the first one to the end of the last one.
TIMER = """
from pathlib import Path
from time import perf_counter

ends = []

def pytest_runtest_logfinish():
    ends.append(perf_counter())

def pytest_sessionfinish():
    mean = (ends[-1] - ends[0]) / max(1, len(ends) - 1)
    Path("microseconds").write_text(f"{1e6 * mean}")
"""
FILES = {
    OURS: {
        "pytest.ini": "[pytest]\npythonpath = .\ndbfoundation_database = things:database\n",
        "migrations/001_things.py": f"""
def migrate(migrator, database, *, fake=False):
    migrator.sql("{CREATE}")

def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE things")
""",
        "things.py": """
from pathlib import Path

from dbfoundation import Pool
from peewee import CharField, Model

database = Pool(Path(".env"))

class Thing(Model):
    name = CharField(max_length=100)

    class Meta:
        database = database
        table_name = "things"
""",
        "test_things.py": """
import pytest
from things import Thing, database

@pytest.mark.parametrize("number", range({count}))
def test_thing({fixture}, number):
    with database.connection_context():
        Thing.create(name="a")
        assert [thing.name for thing in Thing.select()] == ["a"]
""",
    },
    DJANGO: {
        "pytest.ini": "[pytest]\npythonpath = .\nDJANGO_SETTINGS_MODULE = config\n",
        "config.py": """
INSTALLED_APPS = ["app"]
DATABASES = {{"default": {{
    "ENGINE": "django.db.backends.postgresql",
    "HOST": "{host}", "PORT": {port}, "USER": "{user}", "NAME": "{name}",
}}}}
""",
        "app/__init__.py": "",
        "app/models.py": """
from django.db import models

class Thing(models.Model):
    id = models.AutoField(primary_key=True)
    name = models.CharField(max_length=100)

    class Meta:
        db_table = "things"
""",
        "test_things.py": """
import pytest
from app.models import Thing

@pytest.mark.parametrize("number", range({count}))
def test_thing({fixture}, number):
    Thing.objects.create(name="a")
    assert [thing.name for thing in Thing.objects.all()] == ["a"]
""",
    },
    POSTGRESQL: {
        "pytest.ini": "[pytest]\n",
        "things.sql": f"{CREATE};\n",
        "test_things.py": """
import os
from pathlib import Path
import pytest
from pytest_postgresql import factories

things = factories.postgresql_noproc(
    host="{host}", port={port}, user="{user}", password=os.environ["PGPASSWORD"],
    dbname="bench_{{}}".format(os.getpid()), load=[Path("things.sql")],
)
{fixture} = factories.postgresql("things")

@pytest.mark.parametrize("number", range({count}))
def test_thing({fixture}, number):
    {fixture}.execute("INSERT INTO things (name) VALUES ('a')")
    {fixture}.commit()
    assert {fixture}.execute("SELECT name FROM things").fetchall() == [("a",)]
""",
    },
}
# For each case, the fixture of each tool that has one.
FIXTURES = {
    ROLLED_BACK: {OURS: "db", DJANGO: "db"},
    COMMITTED: {OURS: "committing_db", DJANGO: "transactional_db", POSTGRESQL: "postgresql"},
}


class OwnTests:
    """A project of each plugin, in a folder of its own."""

    def __init__(self, folder: Path, settings: Settings, peers: Peers, results: Results) -> None:
        self.folder = folder / "own_tests"
        self.url = settings.url
        self.peers = peers
        self.results = results

    def round(self, number: int, count: int, report: Report) -> None:
        """Run `count` tests with each plugin."""
        for case, fixtures in FIXTURES.items():
            for tool, fixture in rotate(list(fixtures.items()), number):
                if tool in self.peers:
                    report(f"tests {case}, {tool}")
                    microseconds = self._run(tool, fixture, count)
                    self.results.add(QUANTITY, case, tool, microseconds)

    def _run(self, tool: str, fixture: str, count: int) -> float:
        project = self.folder / tool / fixture
        write_project(project, FILES[tool], self.url, fixture, count)
        python = sys.executable if tool == OURS else peers.PYTEST / "bin" / "python"
        output = output_of(
            f"{tool}, {fixture}",
            [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--rootdir={project}"],
            cwd=project,
            env=environment_for(self.url),
        )
        if f"{count} passed" not in output:
            raise BenchError(f"{tool}, {fixture}: {output}")
        return float((project / "microseconds").read_text())


def write_project(
    folder: Path, files: dict[str, str], url: DatabaseURL, fixture: str, count: int
) -> None:
    values = {"host": url.host, "port": url.port, "user": url.user, "name": url.name}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        is_template = name in ("config.py", "test_things.py")
        path.write_text(
            text.format(**values, fixture=fixture, count=count) if is_template else text
        )
    (folder / "conftest.py").write_text(TIMER)


def environment_for(url: DatabaseURL) -> dict[str, str]:
    """The server's address for each plugin, and no option of the user's."""
    address = {"TEST_DATABASE_URL": url.render(with_password=True), "PGPASSWORD": url.password}
    return {name: text for name, text in os.environ.items() if name[:7] != "PYTEST_"} | address
