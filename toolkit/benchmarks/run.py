"""One run of the benchmarks: its scope, and its results as Markdown and as JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import migrations, own_tests, rows, sessions
from benchmarks.results import Results

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.peers import Peers

TARGETS = (*migrations.TARGETS, *sessions.TARGETS, *rows.TARGETS, *own_tests.TARGETS)
NO_VERDICTS = (
    "no verdicts: one round of short samples is not enough for them; the full run prints them"
)
RATIOS = "In brackets: the ratio to this project. Every ratio is the median of the rounds' ratios."


@dataclass(frozen=True)
class Scope:
    """How much is measured, and whether that is enough for verdicts."""

    rounds: int
    sizes: tuple[int, ...]  # numbers of migrations
    seconds: float
    rows: int
    tests: int
    calls: int
    tables: tuple[int, ...]  # of a project whose models draft a migration
    has_verdicts: bool


FULL = Scope(
    rounds=5,
    sizes=(1, 100, 1000),
    seconds=1,
    rows=100_000,
    tests=200,
    calls=20_000,
    tables=(10, 100, 1000),
    has_verdicts=True,
)
QUICK = Scope(
    rounds=1,
    sizes=(1, 100),
    seconds=0.1,
    rows=10_000,
    tests=20,
    calls=2000,
    tables=(10,),
    has_verdicts=False,
)


@dataclass
class Run:
    """The results, and the circumstances of the measurement."""

    scope: Scope
    peers: Peers
    date: str = f"{datetime.now(UTC):%Y-%m-%d}"
    results: Results = field(default_factory=Results)

    def markdown(self) -> Iterator[str]:
        """The lines of docs/speed.md."""
        rounds = "1 round" if self.scope.rounds == 1 else f"medians of {self.scope.rounds} rounds"
        versions = (f"{name} {version}" for name, version in self.peers.versions.items())
        yield f"{self.date}, {machine()}; {rounds}; {', '.join(versions)}."
        yield RATIOS
        yield ""
        yield from self.results.tables()
        yield from self.results.verdicts(TARGETS) if self.scope.has_verdicts else [NO_VERDICTS]
        for name, reason in self.peers.left_out.items():
            yield f"left out: {name}: {reason}"

    def json(self) -> str:
        values = {
            "date": self.date,
            "machine": machine(),
            "rounds": self.scope.rounds,
            "versions": self.peers.versions,
            "left_out": self.peers.left_out,
            "measurements": self.results.json(),
            "targets": self.results.targets_json(TARGETS) if self.scope.has_verdicts else [],
            "unjudged": None if self.scope.has_verdicts else NO_VERDICTS,
        }
        return json.dumps(values, indent=1) + "\n"


def machine() -> str:
    """The processor's name, the number of cores, and the system."""
    try:
        names = Path("/proc/cpuinfo").read_text().partition("model name")[2]
        name = names.partition(":")[2].partition("\n")[0].strip()
    except OSError:
        name = ""
    return f"{name or platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
