"""What this project is measured beside, in a folder of its own: nothing enters our environment."""

from __future__ import annotations

import json
import platform
import shutil
import sys
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING

from benchmarks.programs import output_of
from benchmarks.results import BenchError
from toolkit.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = ROOT / ".peers"
PYTHON = FOLDER / "python"
NODE = FOLDER / "node"
# By tool: the packages whose versions are told, and which of them are wanted.
OF_PYTHON = {
    "alembic": {"alembic": ">=1.13,<2", "SQLAlchemy": ">=2,<3"},
    "Django": {"Django": ">=5,<6"},
}
DRIVER = "psycopg2-binary>=2.9.10,<3"
OF_NODE = {"connect-pg-simple": "10", "pg": "8", "express-session": "1"}
OWN = ("peewee", "peewee-migrate", "psycopg2-binary", "invoke")
VERSIONS = "import sys, importlib.metadata as m; print(*map(m.version, sys.argv[1:]))"
INSTALL_SECONDS = 300


@dataclass
class Peers:
    """Which peers are there, with their versions, and why others are not."""

    versions: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name not in self.left_out


def install() -> Peers:
    """Install what is missing, each by itself: one that cannot be had leaves the others in."""
    own = {"Python": platform.python_version()} | {name: version(name) for name in OWN}
    found = Peers(versions=own)
    installs = {tool: partial(of_python, packages) for tool, packages in OF_PYTHON.items()}
    for tool, installed in (installs | {"connect-pg-simple": of_node}).items():
        try:
            found.versions |= installed()
        except BenchError as error:
            found.left_out[tool] = str(error)
    return found


def of_python(packages: dict[str, str]) -> dict[str, str]:
    """Install a tool's packages; returns their versions."""
    pip_install(*(name + bounds for name, bounds in packages.items()), DRIVER)
    told = output_of("python", [PYTHON / "bin" / "python", "-c", VERSIONS, *packages])
    return dict(zip(packages, told.split(), strict=True))


def pip_install(*requirements: str) -> None:
    """Install into the peers' environment; raises BenchError."""
    _make_environment(PYTHON)
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    python = PYTHON / "bin" / "python"
    output_of("pip", [python, *pip, *requirements], timeout=INSTALL_SECONDS)


@cache
def _make_environment(folder: Path) -> None:
    """Make a virtual environment, or mend it after a change of Python; once a run."""
    output_of("venv", [sys.executable, "-m", "venv", folder], timeout=INSTALL_SECONDS)


def of_node() -> dict[str, str]:
    """Install the store that Node services have; returns the versions."""
    if missing := [name for name in ("node", "npm") if not shutil.which(name)]:
        raise BenchError(f"no {' and no '.join(missing)} on PATH")
    NODE.mkdir(parents=True, exist_ok=True)
    npm = ["npm", "install", "--prefix", str(NODE), "--silent", "--no-audit", "--no-fund"]
    packages = [f"{name}@{major}" for name, major in OF_NODE.items()]
    output_of("npm", [*npm, *packages], timeout=INSTALL_SECONDS)
    node = output_of("node", ["node", "--version"]).strip().removeprefix("v")
    return {name: _version(name) for name in ("connect-pg-simple", "pg")} | {"node": node}


def _version(name: str) -> str:
    """The version of a package of Node."""
    told = json.loads((NODE / "node_modules" / name / "package.json").read_text())
    return str(told["version"])
