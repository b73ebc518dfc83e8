"""The project's tasks: those of dbfoundation, and its own."""

import sys
from contextlib import chdir
from pathlib import Path
from shlex import quote

from dbfoundation.tasks import ns
from invoke.context import Context
from invoke.tasks import task

ns.configure({"dbfoundation": {"models": "models:MODELS", "seeds": "seeds:seed"}})

ROOT = Path(__file__).resolve().parent
# The project, and the library where its source is beside the project.
FOLDERS = [ROOT, *(tests.parent for tests in ROOT.glob("toolkit/tests"))]


def run(c: Context, module: str, folder: Path = ROOT) -> None:
    """Run a module of this environment in a folder."""
    with chdir(folder):  # c.cd() would not quote every path
        c.run(f"{quote(sys.executable)} -m {module}", pty=sys.stdout.isatty())


@task()
def test(c: Context) -> None:
    """Run the tests of the project, then those of the library."""
    for folder in FOLDERS:
        run(c, "pytest", folder)


@task()
def lint(c: Context) -> None:
    """Check style and types: ruff, and mypy in strict mode."""
    run(c, "ruff check")
    run(c, "ruff format --check")
    for folder in FOLDERS:
        run(c, "mypy", folder)


@task(help={"quick": "less of everything, in about a minute", "json": "a file for the figures"})
def bench(c: Context, quick: bool = False, json: str = "") -> None:
    """Measure the library's speed, beside other tools."""
    figures = f" --json {quote(str(Path(json).resolve()))}" if json else ""
    run(c, f"benchmarks{' --quick' * quick}{figures}", ROOT / "toolkit")


ns.add_task(test)
ns.add_task(lint)
if len(FOLDERS) > 1:
    ns.add_task(bench)
