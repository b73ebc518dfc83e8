"""invoke bench: figures and ratios, peers that are not there, and tools that did nothing."""

import json
import os
import shutil
from collections import Counter
from dataclasses import fields, replace
from pathlib import Path
from unittest.mock import patch

import pytest

from benchmarks import peers, rows, sessions
from benchmarks.__main__ import FULL, QUICK, UNJUDGED, Run, export
from benchmarks.migrations import WALL, Migrations
from benchmarks.results import OURS, BenchError, Figure, Results, Target, in_turn
from benchmarks.tools import Playhouse, Psql, PwMigrate, ThisProject
from models import AuditLog, SessionStore
from tests.conftest import clean_environment
from toolkit import binaries
from toolkit.settings import Settings


def results(**tools):
    filled = Results()
    for tool, rounds in tools.items():
        for number in rounds:
            filled.add("ms", "up", OURS if tool == "ours" else tool, number)
    return filled


def test_a_ratio_is_that_of_the_medians_which_stand_beside_it():
    filled = results(ours=[10, 20, 100], other=[20, 60, 100])
    assert filled.ratio(Figure("ms", "up", "other"), Figure("ms", "up")) == 3
    assert "| up | 20 | 60 (3.00) |" in list(filled.tables())
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


def test_each_is_the_first_one_in_its_turn():
    assert [in_turn("abc", number) for number in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


def test_targets_are_judged_by_their_bounds_or_told_as_not_measured():
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
    assert list(filled.judged(targets))[2:-1] == [
        "| up / other | 0.50 | ≤ 0.5 | met |",
        "| up / other | 0.50 | ≤ 0.4 | missed |",
        "| up / other | 0.50 | ≥ 0.5 | met |",
        "| up / other | 0.50 | ≥ 0.6 | missed |",
        "| up of another size / up of other |  | ≤ 1 | not measured |",
    ]
    assert [target["met"] for target in filled.targets_json(targets)] == [
        *[True, False] * 2,
        None,
    ]


def test_a_quick_run_gives_no_verdicts_and_the_reason():
    run = Run(QUICK, peers.Peers(), results=results(ours=[1]))
    lines = list(run.lines())
    assert "; 1 round; " in lines[0]
    assert UNJUDGED in lines
    assert "| ratio |" not in "\n".join(lines)
    told = json.loads(run.json())
    assert (told["targets"], told["unjudged"]) == ([], UNJUDGED)


def test_the_json_has_every_round_and_what_was_left_out():
    left_out = {"alembic": "no network"}
    run = Run(FULL, peers.Peers(left_out=left_out), results=results(ours=[1, 3]))
    told = json.loads(run.json())
    assert told["measurements"] == [
        {"quantity": "ms", "case": "up", "tool": OURS, "median": 2, "rounds": [1, 3]}
    ]
    assert told["left_out"] == left_out
    assert told["unjudged"] is None
    assert {target["met"] for target in told["targets"]} == {None}
    assert "left out: alembic: no network" in list(run.lines())


def test_without_node_its_store_is_left_out_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="no node and no npm on PATH"):
        peers.of_node()


def test_what_pip_cannot_install_is_told_in_its_words(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "python")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(BenchError, match="No matching distribution found"):
        peers.pip_install("alembic")


def test_a_peer_that_cannot_be_had_leaves_the_others_in(monkeypatch):
    def of_python(packages):
        if "alembic" in packages:
            raise BenchError("pip: no network")
        return {"Django": "5.2"}

    monkeypatch.setattr(peers, "of_python", of_python)
    monkeypatch.setattr(peers, "of_node", lambda: {"node": "20"})
    found = peers.install()
    assert found.left_out == {"alembic": "pip: no network"}
    assert found.versions.keys() >= {"Python", "Django", "node"}


def test_the_users_own_settings_are_not_measured(monkeypatch, tmp_path):
    with patch.dict(os.environ, clean_environment(), clear=True):
        monkeypatch.setenv("APP_ENV", "test")
        monkeypatch.setenv("DATABASE_URL", "postgresql://bench@127.0.0.1/bench")
        shipped = Settings.load(tmp_path / ".env")
    with patch.dict(os.environ, {"DB_POOL_MAX_CONNECTIONS": "2", "PGOPTIONS": "-c jit=on"}):
        exported = export("postgresql://bench@127.0.0.1/bench")
        assert "PGOPTIONS" not in os.environ
    ours = [field.name for field in fields(Settings) if field.name[:5] in ("pool_", "migra")]
    assert {name: getattr(exported, name) for name in ours} == {
        name: getattr(shipped, name) for name in ours
    }


@pytest.fixture
def programs(tmp_path):
    if reason := binaries.obstacle():
        pytest.skip(reason)
    return binaries.provide(tmp_path)


@pytest.fixture
def bench(tmp_path, settings, programs):
    migrations = Migrations(tmp_path, settings, programs, peers.Peers(), Results())
    migrations.tools = [ThisProject, PwMigrate, Playhouse, Psql]
    return migrations


def test_every_tool_takes_every_step_in_every_round(bench):
    projects = bench.projects([2])
    for number in range(2):
        bench.round(number, projects, lambda _: None)
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
        bench.round(0, bench.projects([1]), lambda _: None)


def test_a_tool_that_fails_is_told_in_its_words(bench):
    class Failing(Psql):
        def up(self, pending):  # noqa: ARG002 # the point
            return self._psql("-c", "SELECT no_such_column")

    bench.tools = [Failing]
    with pytest.raises(BenchError, match=r"psql, fresh up, 1: .*no_such_column"):
        bench.round(0, bench.projects([1]), lambda _: None)


@pytest.fixture
def using(tmp_path, settings, programs, pool):  # noqa: ARG001 # the tables
    return sessions.Sessions(tmp_path, settings, programs, peers.Peers(), Results())


def test_every_way_in_threads_does_each_operation_as_often_as_it_says(using):
    del using.ways[sessions.NODE], using.ways[sessions.PGBENCH]
    using.round(0, 0.02, lambda _: None)
    assert Counter(figure.tool for figure in using.results.rounds) == dict.fromkeys(using.ways, 8)
    assert min(rate for [rate] in using.results.rounds.values()) > 0


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("get", "idle, get, 1 client: returned None, not {"),
        ("set", "idle, set, 1 client: 0 sessions were written, where"),
        ("touch", "idle, touch, 1 client: 0 sessions were written, where"),
        (sessions.CHECK_OUT, "idle, check-out, SELECT 1, 1 client: returned None, not "),
    ],
)
def test_a_way_that_did_nothing_fails(using, case, words):
    using.ways = {"idle": sessions.threads(sessions.ours() | {case: lambda _: None})}
    with pytest.raises(BenchError, match=words):
        using.round(0, 0.02, lambda _: None)


def test_a_way_that_writes_fewer_sessions_than_it_says_fails(using):
    store = SessionStore()
    lazy = sessions.ours() | {"touch": lambda _: store.touch("bench-0")}
    using.ways = {"lazy": sessions.threads(lazy)}
    with pytest.raises(BenchError, match="lazy, touch, 1 client: 1 sessions were written"):
        using.round(0, 0.02, lambda _: None)


def test_pgbench_that_writes_too_little_fails(using, monkeypatch):
    told = "number of transactions actually processed: 5000\ntps = 5000.0 (without ...)\n"
    monkeypatch.setattr(sessions, "output_of", lambda *_, **__: told)
    monkeypatch.setattr(sessions, "CASES", ["set"])
    using.ways = {"pgbench": using.ways[sessions.PGBENCH]}
    with pytest.raises(BenchError, match="0 sessions were written, where 500 or more were named"):
        using.round(0, 1, lambda _: None)


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node")
@pytest.mark.parametrize("case", ["get", sessions.CHECK_OUT])
def test_a_node_store_that_returns_nothing_fails(using, monkeypatch, tmp_path, case):
    for name, source in {
        "express-session": "",
        "pg": "exports.Pool = class { async query() { return { rows: [] } } };",
        "connect-pg-simple": "module.exports = () => class { get(sid, done) { done(null) } };",
    }.items():
        (tmp_path / "node_modules" / name).mkdir(parents=True)
        (tmp_path / "node_modules" / name / "index.js").write_text(source)
    monkeypatch.setattr(peers, "NODE", tmp_path)
    monkeypatch.setattr(sessions, "CASES", [case])
    using.ways = {"node": using.ways[sessions.NODE]}
    with pytest.raises(BenchError, match="returned undefined, not "):
        using.round(0, 0.02, lambda _: None)


@pytest.fixture
def adding(tmp_path, settings, programs, pool):  # noqa: ARG001 # the table
    return rows.Rows(tmp_path, settings, programs, Results())


def test_every_way_adds_the_same_rows(adding):
    columns = (AuditLog.action, AuditLog.entity_type, AuditLog.entity_id, AuditLog.user_id)
    query = AuditLog.select(*columns, AuditLog.details).order_by(AuditLog.id)
    added = []
    for ways in (adding.one_by_one, adding.many):
        for way in ways.values():
            AuditLog.raw("TRUNCATE audit_log").execute()
            way.add(way.prepare(3))
            added.append(list(query.tuples()))
    assert len(added) == 6
    assert all(found == added[0] for found in added)
    assert added[0][2][:4] == ("item.view", "item", "2", "2")


def test_a_way_that_adds_nothing_fails(adding):
    adding.many[OURS] = replace(adding.many[OURS], add=lambda _: None)
    with pytest.raises(BenchError, match="audit rows many, this project: 0 came, not 100"):
        adding.round(0, 100, lambda _: None)


def test_psql_that_fails_is_told_in_its_words(adding):
    adding.many = {rows.LIMIT: replace(adding.many[rows.LIMIT], prepare=lambda _: Path("/none"))}
    with pytest.raises(BenchError, match="/none: No such file"):
        adding.round(0, 100, lambda _: None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no/such/results.json", "[Errno 2] No such file or directory"),
        ("toolkit", "[Errno 21] Is a directory"),
    ],
)
def test_a_file_that_cannot_be_written_is_told_before_the_work(project, name, words):
    path = project.folder / name
    done = project.invoke("bench", "--quick", "--json", str(path))
    assert done.returncode == 2
    assert done.stderr == f"error: {words}: '{path}'\n"


def test_a_run_that_fails_leaves_the_file_as_it_was(project):
    project.write("results.json", "before")
    project.write("benchmarks/peers.py", "def install():\n    raise OSError('no peers')\n")
    done = project.invoke("bench", "--quick", "--json", "results.json")
    assert done.returncode == 2
    assert (project.folder / "results.json").read_text() == "before"
