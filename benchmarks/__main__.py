"""python -m benchmarks [--quick] [--json FILE]: what `invoke bench` runs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from benchmarks import migrations, peers, rows, sessions
from benchmarks.programs import output_of
from benchmarks.results import BenchError, Results
from toolkit import binaries, maintenance
from toolkit.database import configure, connected, database, dedicated
from toolkit.engine import Engine
from toolkit.errors import ToolkitError
from toolkit.interrupt import terminable
from toolkit.local import LocalServer
from toolkit.settings import MIGRATION_URL, PARTS, ROOT, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

PICTURE = Path(__file__).with_name("migrations.svg")
TARGETS = (*migrations.TARGETS, *sessions.TARGETS, *rows.TARGETS)
UNJUDGED = "no verdicts: one round of short samples is too little for them; the full run judges"
# The shipped ones: what .env and the shell say is the user's, and would change what is measured.
SETTINGS = {
    "DB_POOL_MAX_CONNECTIONS": f"{sessions.POOL_SIZE}",
    "DB_POOL_STALE_TIMEOUT": "300",
    "DB_POOL_WAIT_TIMEOUT": "5",
    "DB_POOL_PING_AFTER": "30",
    "MIGRATE_LOCK_WAIT": "60",
    "MIGRATE_LOCK_TIMEOUT": "5",
}
# Containers set them for programs that run once; a developer's machine keeps what was compiled.
PYTHONS = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")


@dataclass(frozen=True)
class Scope:
    """How much is measured, and whether that is enough for verdicts."""

    rounds: int
    sizes: tuple[int, ...]
    seconds: float
    rows: int
    judges: bool


FULL = Scope(rounds=5, sizes=(1, 100, 1000), seconds=1, rows=100_000, judges=True)
QUICK = Scope(rounds=1, sizes=(1, 100), seconds=0.1, rows=10_000, judges=False)


@dataclass
class Run:
    """What was measured, on what."""

    scope: Scope
    installed: peers.Peers
    date: str = f"{datetime.now(UTC):%Y-%m-%d}"
    results: Results = field(default_factory=Results)

    def lines(self) -> Iterator[str]:
        """The report in Markdown, as the README shows it."""
        rounds = "1 round" if self.scope.rounds == 1 else f"medians of {self.scope.rounds} rounds"
        versions = (f"{name} {version}" for name, version in self.installed.versions.items())
        yield f"{self.date}, {machine()}; {rounds}; {', '.join(versions)}."
        yield "In brackets: how many times this project's figure, the one median by the other."
        yield ""
        yield from self.results.tables()
        yield from self.results.judged(TARGETS) if self.scope.judges else [UNJUDGED]
        for name, reason in self.installed.left_out.items():
            yield f"left out: {name}: {reason}"

    def json(self) -> str:
        values = {
            "date": self.date,
            "machine": machine(),
            "rounds": self.scope.rounds,
            "versions": self.installed.versions,
            "left_out": self.installed.left_out,
            "measurements": self.results.json(),
            "targets": self.results.targets_json(TARGETS) if self.scope.judges else [],
            "unjudged": None if self.scope.judges else UNJUDGED,
        }
        return json.dumps(values, indent=1) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="invoke bench")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    try:
        if arguments.json:
            # What cannot be written is told before the work; what is there stays until the end.
            arguments.json.open("a").close()
        run = measure(QUICK if arguments.quick else FULL)
        print("\n".join(run.lines()))
        if arguments.json:
            arguments.json.write_text(run.json())
        if not arguments.quick:
            draw(run)
    except (BenchError, ToolkitError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def measure(scope: Scope) -> Run:
    """Run everything, on a server of its own; raises BenchError."""
    if reason := binaries.obstacle():
        raise BenchError(f"a server of its own is wanted, and {reason}")
    report("installing what is compared")
    installed = peers.install()
    run = Run(scope, installed)
    with folder() as own, server() as (settings, programs):
        if not (programs / sessions.PGBENCH).exists():
            installed.left_out[sessions.PGBENCH] = "it is not beside the server's programs"
        installed.versions["PostgreSQL"] = prepare(settings)
        migrating = migrations.Migrations(own, settings, programs, installed, run.results)
        projects = migrating.projects(scope.sizes)
        using = sessions.Sessions(own, settings, programs, installed, run.results)
        adding = rows.Rows(own, settings, programs, run.results)
        for number in range(scope.rounds):
            said = partial(report, f"round {number + 1} of {scope.rounds}: ")
            migrating.round(number, projects, said)
            using.round(number, scope.seconds, said)
            adding.round(number, scope.rows, said)
        database.close_all()
    return run


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for the block, which SIGTERM and Ctrl-C leave behind no more than its end does."""
    with terminable(), tempfile.TemporaryDirectory(prefix="bench-") as name:
        yield Path(name)


@contextmanager
def server() -> Iterator[tuple[Settings, Path]]:
    """A private server for the block; yields its settings, and the folder of its programs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    settings = export(f"postgresql://bench:{token_hex(16)}@127.0.0.1:{port}/bench")
    # PostgreSQL runs as another account for root, which the folder of this one is closed to.
    home = Path(tempfile.mkdtemp(prefix="bench-server-"))
    local = LocalServer(home, settings)
    try:
        local.start(report)
        yield settings, binaries.provide(home)
    finally:
        if local.port():
            local.stop(report)
        shutil.rmtree(home)


def export(address: str) -> Settings:
    """Export the address and the shipped settings, which every tool's process gets; return them."""
    libpqs = [name for name in os.environ if name.startswith("PG")]
    for name in (*PARTS, MIGRATION_URL, *libpqs, *PYTHONS):
        os.environ.pop(name, None)
    os.environ |= SETTINGS | {"APP_ENV": "test", "DATABASE_URL": address}
    return Settings.load()


def prepare(settings: Settings) -> str:
    """Create and migrate the database of the two tables; returns the server's version."""
    maintenance.create_database(settings)
    migrating = dedicated(settings, "bench")
    with connected(migrating, settings):
        Engine(migrating, ROOT / "migrations").up()
        ((version,),) = migrating.execute_sql("SHOW server_version").fetchall()
    configure(settings)
    return str(version).split()[0]


def machine() -> str:
    """The processor's name and number of cores, and the system."""
    try:
        names = Path("/proc/cpuinfo").read_text().partition("model name")[2]
        name = names.partition(":")[2].partition("\n")[0].strip()
    except OSError:
        name = ""
    return f"{name or platform.machine()}, {os.cpu_count()} cores, {platform.system()}"


def draw(run: Run) -> None:
    """Draw the picture with the peers' matplotlib, or say why there is none."""
    try:
        peers.pip_install("matplotlib>=3.8,<4")
    except BenchError as error:
        print(f"no picture: {error}")
        return
    python = peers.PYTHON / "bin" / "python"
    script = Path(__file__).with_name("picture.py")
    output_of("the picture", [python, script, PICTURE], input=run.json())
    print(f"picture: {PICTURE.relative_to(ROOT)}")


def report(*words: str) -> None:
    print("".join(words), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
