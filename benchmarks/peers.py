"""What this project is measured beside, in a folder of its own: nothing enters our environment."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from toolkit.settings import ROOT

FOLDER = ROOT / ".peers"
PYTHON = FOLDER / "python"
NODE = FOLDER / "node"
OF_PYTHON = ("alembic>=1.13,<2", "django>=5,<6", "psycopg2-binary>=2.9.10,<3")
OF_NODE = ("connect-pg-simple@10", "express-session@1", "pg@8")
OWN = ("peewee", "peewee-migrate", "psycopg2-binary", "invoke")
INSTALL_SECONDS = 300


@dataclass
class Peers:
    """Which peers are there, with their versions, and why others are not."""

    versions: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def __contains__(self, name: str) -> bool:
        return name not in self.left_out


def install() -> Peers:
    """Install what is missing."""
    peers = Peers(versions={name: version(name) for name in OWN})
    if reason := pip_install(*OF_PYTHON):
        peers.left_out |= dict.fromkeys(("alembic", "Django"), reason)
    else:
        script = "from importlib.metadata import version as v; print(v('alembic'), v('django'))"
        found = _run([str(PYTHON / "bin" / "python"), "-c", script]).stdout.split()
        peers.versions |= zip(("alembic", "Django"), found, strict=True)
    if reason := npm_install():
        peers.left_out["connect-pg-simple"] = reason
    else:
        package = NODE / "node_modules" / "connect-pg-simple" / "package.json"
        peers.versions["connect-pg-simple"] = json.loads(package.read_text())["version"]
        peers.versions["node"] = _run(["node", "--version"]).stdout.strip().removeprefix("v")
    return peers


def pip_install(*requirements: str) -> str | None:
    """Install into the peers' environment; returns the reason when it cannot be."""
    made = _run([sys.executable, "-m", "venv", str(PYTHON)])
    if made.returncode:
        return _reason(made)
    pip = [str(PYTHON / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    done = _run([*pip, "--disable-pip-version-check", *requirements])
    return _reason(done) if done.returncode else None


def npm_install() -> str | None:
    if missing := [name for name in ("node", "npm") if not shutil.which(name)]:
        return f"no {' and no '.join(missing)} on PATH"
    NODE.mkdir(parents=True, exist_ok=True)
    npm = ["npm", "install", "--prefix", str(NODE), "--silent", "--no-audit", "--no-fund"]
    done = _run([*npm, *OF_NODE])
    return _reason(done) if done.returncode else None


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        told = f"{Path(command[0]).name} took longer than {INSTALL_SECONDS} s"
        return subprocess.CompletedProcess(command, 1, "", told)


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
