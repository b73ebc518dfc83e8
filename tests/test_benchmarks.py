"""invoke bench: figures and ratios, peers that are not there, and tools that did nothing."""

import json
from collections import Counter

import pytest

from benchmarks import peers
from benchmarks.__main__ import Run
from benchmarks.migrations import WALL, Migrations
from benchmarks.results import OURS, BenchError, Figure, Results, Target
from benchmarks.tools import Playhouse, Psql, PwMigrate, ThisProject
from toolkit import binaries


def results(**tools):
    filled = Results()
    for tool, rounds in tools.items():
        for number in rounds:
            filled.add("ms", "up", OURS if tool == "ours" else tool, number)
    return filled


def test_a_ratio_is_the_median_of_the_rounds_own_ones():
    filled = results(ours=[10, 20, 100], other=[20, 60, 100])
    assert filled.ratio(Figure("ms", "up", "other"), Figure("ms", "up")) == 2
    assert filled.ratio(Figure("ms", "up", "absent"), Figure("ms", "up")) is None


def test_a_table_has_medians_and_how_many_times_ours_they_are():
    filled = results(ours=[1000, 3000, 2000], other=[1500, 4500, 3000])
    filled.add("ms", "down", OURS, 5)
    assert list(filled.tables()) == [
        "| ms | this project | other |",
        "|---|---:|---:|",
        "| up | 2,000 | 3,000 (1.50) |",
        "| down | 5 |  |",
        "",
    ]


def test_targets_are_judged_by_their_bounds_and_left_out_when_not_measured():
    filled = results(ours=[10], other=[20])
    ours, other = Figure("ms", "up"), Figure("ms", "up", "other")
    absent = Figure("ms", "up of another size")
    targets = [
        Target(ours, other, 0.5),
        Target(ours, other, 0.4),
        Target(ours, other, 0.5, at_least=True),
        Target(ours, other, 0.6, at_least=True),
        Target(absent, other, 1),
    ]
    rows = list(filled.judged(targets))[2:-1]
    assert [row.rpartition("| ")[2] for row in rows] == ["met |", "missed |", "met |", "missed |"]
    assert rows[0] == "| up / other | 0.50 | ≤ 0.5 | met |"
    assert [target["met"] for target in filled.targets_json(targets)] == [True, False] * 2
    assert str(Target(absent, other, 1)) == "up of another size / up of other"


def test_the_json_has_every_round_and_what_was_left_out():
    run = Run(1, peers.Peers(left_out={"alembic": "no network"}), results=results(ours=[1, 3]))
    told = json.loads(run.json())
    assert told["measurements"] == [
        {"quantity": "ms", "case": "up", "tool": OURS, "median": 2, "rounds": [1, 3]}
    ]
    assert told["left_out"] == {"alembic": "no network"}
    assert "left out: alembic: no network" in list(run.lines())


def test_without_node_its_store_is_left_out_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert peers.npm_install() == "no node and no npm on PATH"


def test_what_pip_cannot_install_is_left_out_with_its_reason(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "python")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert "No matching distribution found" in peers.pip_install("alembic")


@pytest.fixture
def bench(tmp_path, settings):
    if reason := binaries.obstacle():
        pytest.skip(reason)
    programs = binaries.provide(tmp_path)
    migrations = Migrations(tmp_path, settings, programs, peers.Peers(), Results())
    migrations.tools = [ThisProject, PwMigrate, Playhouse, Psql]
    return migrations


def test_every_tool_takes_every_step_in_every_round(bench):
    projects = bench.projects([2])
    for _ in range(2):
        bench.round(projects, lambda _: None)
    counted = Counter(figure.tool for figure in bench.results.rounds if figure.quantity == WALL)
    assert counted == dict.fromkeys((tool.name for tool in bench.tools), 5)
    assert all(len(rounds) == 2 for rounds in bench.results.rounds.values())


def test_a_tool_that_did_nothing_fails(bench):
    class Idle(Psql):
        name = "idle"

        def down(self, n):  # noqa: ARG002 # the point
            return self.status()

    bench.tools = [Idle]
    with pytest.raises(BenchError, match="idle, down one, 1: left 2 tables, not 1"):
        bench.round(bench.projects([1]), lambda _: None)


def test_a_tool_that_fails_is_told_in_its_words(bench):
    class Failing(Psql):
        def up(self, pending):  # noqa: ARG002 # the point
            return self._psql("-c", "SELECT no_such_column")

    bench.tools = [Failing]
    with pytest.raises(BenchError, match="no_such_column"):
        bench.round(bench.projects([1]), lambda _: None)


def test_a_file_that_cannot_be_written_is_told_before_the_work(project):
    done = project.invoke("bench", "--quick", "--json", "/no/such/folder/results.json")
    assert done.returncode == 2
    assert done.stderr == (
        "error: [Errno 2] No such file or directory: '/no/such/folder/results.json'\n"
    )
