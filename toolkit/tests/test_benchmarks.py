"""invoke bench: its ratios and reports, the other tools' installation, its errors."""

import json
import os
import subprocess
import sys
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from unittest.mock import patch

import pytest

from benchmarks import peers
from benchmarks.__main__ import main
from benchmarks.results import OURS, BenchError, Figure, Results, Target, rotate
from benchmarks.run import FULL, NO_VERDICTS, QUICK, Run
from benchmarks.server import export
from dbfoundation.server import binaries
from dbfoundation.settings import Settings
from tests.support import IS_CI, LIBRARY, PROJECT, clean_environment


def make_results(**tools):
    results = Results()
    for tool, rounds in tools.items():
        for number in rounds:
            results.add("ms", "up", OURS if tool == "ours" else tool, number)
    return results


def test_a_ratio_is_the_median_of_the_rounds_ratios():
    # The rounds' ratios are 3, 1 and 4; the ratio of the medians is 1.5.
    results = make_results(ours=[10, 20, 40], other=[30, 20, 160])
    assert results.ratio(Figure("ms", "up", "other"), Figure("ms", "up")) == 3
    assert "| up | 20 | 30 (3.00) |" in list(results.tables())
    [target] = results.targets_json([Target(Figure("ms", "up", "other"), Figure("ms", "up"), 2.9)])
    assert (target["measured"], target["met"]) == (3, False)


def test_a_figure_that_was_not_measured_has_no_ratio():
    results = make_results(ours=[10])
    assert results.ratio(Figure("ms", "up", "absent"), Figure("ms", "up")) is None
    assert results.ratio(Figure("ms", "up"), Figure("ms", "up", "absent")) is None


def test_a_table_has_the_medians_and_the_ratios_to_this_project():
    results = make_results(ours=[1000, 3000, 2000], other=[1500, 4500, 3000])
    results.add("ms", "down", OURS, 5)
    assert list(results.tables()) == [
        "| ms | this project | other |",
        "|---|---:|---:|",
        "| up | 2,000 | 3,000 (1.50) |",
        "| down | 5 |  |",
        "",
    ]


def test_each_round_starts_with_another_tool():
    assert [rotate("abc", number) for number in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


def test_a_target_is_met_or_missed_or_not_measured():
    results = make_results(ours=[10], other=[20])
    ours, other = Figure("ms", "up"), Figure("ms", "up", "other")
    absent = Figure("ms", "up of another size")
    targets = [
        Target(ours, other, 0.5),
        Target(ours, other, 0.4),
        Target(ours, other, 0.5, at_least=True),
        Target(ours, other, 0.6, at_least=True),
        Target(absent, other, 1),
    ]
    assert list(results.verdicts(targets))[2:-1] == [
        "| up / other | 0.50 | ≤ 0.5 | met |",
        "| up / other | 0.50 | ≤ 0.4 | missed |",
        "| up / other | 0.50 | ≥ 0.5 | met |",
        "| up / other | 0.50 | ≥ 0.6 | missed |",
        "| up of another size / up of other |  | ≤ 1 | not measured |",
    ]
    assert [target["met"] for target in results.targets_json(targets)] == [
        *[True, False] * 2,
        None,
    ]


def test_a_quick_run_prints_no_verdicts_and_the_reason():
    run = Run(QUICK, peers.Peers(), results=make_results(ours=[1]))
    lines = list(run.markdown())
    assert "; 1 round; " in lines[0]
    assert NO_VERDICTS in lines
    assert "| ratio |" not in "\n".join(lines)
    values = json.loads(run.json())
    assert (values["targets"], values["unjudged"]) == ([], NO_VERDICTS)


def test_a_full_run_prints_verdicts_and_the_meaning_of_a_ratio():
    lines = list(Run(FULL, peers.Peers(), results=make_results(ours=[1])).markdown())
    assert "; medians of 5 rounds; " in lines[0]
    assert lines[1] == (
        "In brackets: the ratio to this project. Every ratio is the median of the rounds' ratios."
    )
    assert "| ratio | measured | bound | |" in lines


def test_the_json_has_every_round_and_the_tools_that_are_left_out():
    left_out = {"alembic": "no network"}
    run = Run(FULL, peers.Peers(left_out=left_out), results=make_results(ours=[1, 3]))
    values = json.loads(run.json())
    assert values["measurements"] == [
        {"quantity": "ms", "case": "up", "tool": OURS, "median": 2, "rounds": [1, 3]}
    ]
    assert values["left_out"] == left_out
    assert values["unjudged"] is None
    assert {target["met"] for target in values["targets"]} == {None}
    assert "left out: alembic: no network" in list(run.markdown())


def test_without_node_its_session_store_is_left_out_with_the_reason(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="no node and no npm on PATH"):
        peers.install_for_node()


def test_the_error_of_a_failed_installation_has_the_words_of_pip(monkeypatch, tmp_path):
    monkeypatch.setattr(peers, "PYTHON", tmp_path)
    if not IS_CI and find_spec("pip"):
        # A new environment takes four seconds: use this one, in which nothing is installed.
        monkeypatch.setattr(peers, "PYTHON", Path(sys.prefix))
        monkeypatch.setattr(peers, "make_environment", lambda _: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(BenchError, match="No matching distribution found for no-such-package"):
        peers.pip_install("no-such-package")


def test_a_tool_that_cannot_be_installed_leaves_out_no_other(monkeypatch):
    def install_for_python(packages, *_):
        if "alembic" in packages:
            raise BenchError("pip: no network")
        return {"Django": "5.2"}

    monkeypatch.setattr(peers, "install_for_python", install_for_python)
    monkeypatch.setattr(peers, "install_for_node", lambda: {"node": "20"})
    installed = peers.install()
    assert installed.left_out == {"alembic": "pip: no network"}
    assert installed.versions.keys() >= {"Python", "Django", "node"}


def test_the_settings_of_the_users_shell_are_not_measured(monkeypatch, tmp_path):
    with patch.dict(os.environ, clean_environment(), clear=True):
        monkeypatch.setenv("APP_ENV", "test")
        monkeypatch.setenv("DATABASE_URL", "postgresql://bench@127.0.0.1/bench")
        defaults = Settings.load(tmp_path / ".env")
    own = {"DB_POOL_MAX_CONNECTIONS": "2", "DB_PORT": "1", "PGOPTIONS": "-c jit=on"}
    with patch.dict(os.environ, own):
        exported = export("postgresql://bench@127.0.0.1/bench")
        assert "PGOPTIONS" not in os.environ
    names = [field.name for field in fields(Settings) if field.name != "application_name"]
    assert {name: getattr(exported, name) for name in names} == {
        name: getattr(defaults, name) for name in names
    }


def test_the_models_are_those_of_the_tests_project(tmp_path):
    (tmp_path / "models.py").touch()  # a project that is installed beside the library
    command = [sys.executable, "-c", "import benchmarks, models; print(models.__file__)"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    found = subprocess.check_output(command, cwd=LIBRARY, env=environment, text=True)
    assert Path(found.strip()).is_relative_to(PROJECT)


def run_main(*arguments):
    """The exit code of `python -m benchmarks --quick`."""
    with pytest.raises(SystemExit) as end:
        main(["--quick", *arguments])
    return end.value.code


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no/such/results.json", "[Errno 2] No such file or directory"),
        ("folder", "[Errno 21] Is a directory"),
    ],
)
def test_a_file_that_cannot_be_written_ends_the_run_at_once(
    tmp_path, monkeypatch, capsys, name, reason
):
    monkeypatch.setattr(peers, "install", lambda: pytest.fail("the run went on"))
    (tmp_path / "folder").mkdir()
    path = tmp_path / name
    assert run_main("--json", str(path)) == 2
    assert capsys.readouterr() == ("", f"error: {reason}: '{path}'\n")


def test_a_failed_run_leaves_the_file_unchanged(tmp_path, monkeypatch, capsys):
    def install():
        raise OSError("no peers")

    monkeypatch.setattr(peers, "install", install)
    path = tmp_path / "results.json"
    path.write_text("before")
    assert run_main("--json", str(path)) == 2
    assert capsys.readouterr().err.endswith("error: no peers\n")
    assert path.read_text() == "before"


def test_without_postgresql_the_error_has_a_fix(monkeypatch, capsys):
    monkeypatch.setattr(binaries, "unavailable_reason", lambda: "PostgreSQL 15 is not installed")
    assert run_main() == 2
    assert capsys.readouterr().err == (
        "error: no private server can be started: PostgreSQL 15 is not installed\n"
        f"Fix: {binaries.ADVICE}\n"
    )


def test_an_interrupted_run_ends_with_130(monkeypatch, capsys):
    def install():
        raise KeyboardInterrupt

    monkeypatch.setattr(peers, "install", install)
    assert run_main() == 130
    assert capsys.readouterr().err.endswith("interrupted\n")
