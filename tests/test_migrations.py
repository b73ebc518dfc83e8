"""The migrations agree with the models, and every rollback undoes its migration."""

import ast
import subprocess
import sys
from pathlib import Path

from dbfoundation.testing import environment_for

ROOT = Path(__file__).resolve().parent.parent


def imports(path):
    """The top-level names of the modules that a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {name.partition(".")[0] for name in names}


def test_the_migrations_agree_with_the_models_and_every_rollback_works(empty_database):
    tasks = ("migrate-up", "migrate-check", "migrate-verify", "--with-seed")
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *tasks],
        check=False,
        cwd=ROOT,
        env=environment_for(empty_database),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_migration_imports_a_module_of_the_project_which_changes_later():
    for path in (ROOT / "migrations").glob("*.py"):
        assert not imports(path) & {"models", "seeds", "tasks"}, path.name
