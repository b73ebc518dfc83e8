"""The other tools, installed into a folder of their own: this environment stays as it is."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from benchmarks import LIBRARY
from benchmarks.programs import output_of
from benchmarks.results import BenchError

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = LIBRARY / ".peers"
PYTHON = FOLDER / "python"
PYTEST = FOLDER / "pytest"  # with psycopg 3, which Django would prefer in the other environment
NODE = FOLDER / "node"
# For each tool, its packages, whose versions are reported.
PYTHON_PACKAGES = {
    "alembic": {"alembic": ">=1.13,<2", "SQLAlchemy": ">=2,<3"},
    "Django": {"Django": ">=5,<6"},
}
PYTEST_PACKAGES = {
    "pytest-django": {"pytest-django": ">=4.9,<5", "Django": ">=5,<6"},
    "pytest-postgresql": {"pytest-postgresql": ">=7,<9", "psycopg": ">=3,<4"},
}
DRIVER = "psycopg2-binary>=2.9.10,<3"
NODE_STORE = "connect-pg-simple"
# The tests of shared sessions use express, too.
NODE_PACKAGES = {NODE_STORE: "10", "pg": "8", "express-session": "1", "express": "5"}
OUR_PACKAGES = ("peewee", "peewee-migrate", "psycopg2-binary", "invoke")
PRINT_VERSIONS = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"
INSTALL_SECONDS = 300


@dataclass
class Peers:
    """The versions of the tools that are installed, and the reason for each that is left out."""

    versions: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name not in self.left_out


def install() -> Peers:
    """Install each tool by itself, so that a failure leaves out this tool alone."""
    ours = {"Python": platform.python_version()} | {name: version(name) for name in OUR_PACKAGES}
    peers = Peers(versions=ours)
    installs = {
        tool: partial(install_for_python, packages) for tool, packages in PYTHON_PACKAGES.items()
    }
    installs |= {
        tool: partial(install_for_python, packages, PYTEST, "psycopg[binary]")
        for tool, packages in PYTEST_PACKAGES.items()
    }
    for tool, installed in (installs | {NODE_STORE: install_for_node}).items():
        try:
            peers.versions |= installed()
        except BenchError as error:
            peers.left_out[tool] = str(error)
    return peers


def install_for_python(
    packages: dict[str, str], folder: Path | None = None, driver: str = DRIVER
) -> dict[str, str]:
    """Install a tool's packages; returns their versions."""
    pip_install(*(name + bounds for name, bounds in packages.items()), driver, folder=folder)
    python = (folder or PYTHON) / "bin" / "python"
    versions = output_of("python", [python, "-c", PRINT_VERSIONS, *packages])
    return dict(zip(packages, versions.split(), strict=True))


def pip_install(*requirements: str, folder: Path | None = None) -> None:
    """Install into the peers' environment, or into another one; raises BenchError."""
    environment = folder or PYTHON
    make_environment(environment)
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    python = environment / "bin" / "python"
    output_of("pip", [python, *pip, *requirements], timeout=INSTALL_SECONDS)


@cache
def make_environment(folder: Path) -> None:
    """Make a virtual environment, or repair it after an update of Python; once a run."""
    output_of("venv", [sys.executable, "-m", "venv", folder], timeout=INSTALL_SECONDS)


def install_for_node() -> dict[str, str]:
    """Install the session store of Node services; returns the versions."""
    if missing := [name for name in ("node", "npm") if not shutil.which(name)]:
        raise BenchError(f"no {' and no '.join(missing)} on PATH")
    NODE.mkdir(parents=True, exist_ok=True)
    npm = ["npm", "install", "--prefix", str(NODE), "--silent", "--no-audit", "--no-fund"]
    packages = [f"{name}@{major}" for name, major in NODE_PACKAGES.items()]
    output_of("npm", [*npm, *packages], timeout=INSTALL_SECONDS)
    node = output_of("node", ["node", "--version"]).strip().removeprefix("v")
    return {name: _node_version(name) for name in (NODE_STORE, "pg")} | {"node": node}


def _node_version(name: str) -> str:
    """The version of an installed package of Node."""
    package = json.loads((NODE / "node_modules" / name / "package.json").read_text())
    return str(package["version"])
