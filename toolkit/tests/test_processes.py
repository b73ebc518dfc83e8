"""Other programs: their output, the report while one runs, and their identity."""

import os
import subprocess
from pathlib import Path

import pytest

from dbfoundation.server import processes
from dbfoundation.server.processes import command_of, last_lines, run, works_in
from tests.support import ignore, until


def test_a_slow_program_is_reported_until_it_ends(tmp_path, monkeypatch):
    """subprocess.run() in place of our own handling would fail here: it reports nothing."""
    monkeypatch.setattr(processes, "REPORT_SECONDS", 0.1)
    ended = tmp_path / "ended"
    reports = []

    def report(line):
        reports.append(line)
        if len(reports) == 2:
            ended.touch()

    script = f"until [ -e {ended} ]; do sleep 0.05; done; echo done"
    done = run(["sh", "-c", script], report=report, waiting_for="x")
    assert (done.returncode, done.stdout) == (0, "done\n")
    assert reports[:2] == ["waiting for x: 0 s"] * 2


def test_output_and_errors_of_a_program_are_kept_together():
    done = run(["sh", "-c", "echo a; echo b >&2; exit 3"], report=ignore, waiting_for="x")
    assert (done.returncode, done.stdout) == (3, "a\nb\n")


def test_the_command_of_a_process_is_known_while_it_runs():
    with subprocess.Popen(["sleep", "61.5"]) as process:
        try:
            until(lambda: command_of(process.pid).strip() == "sleep 61.5")
        finally:
            process.kill()
    until(lambda: not command_of(process.pid))


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="this system has no /proc")
def test_the_working_directory_of_a_process_is_known(tmp_path):
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path) as process:
        assert works_in(process.pid, tmp_path)
        assert not works_in(process.pid, tmp_path.parent)
        process.kill()
    assert works_in(os.getpid(), Path.cwd())


def test_the_end_of_an_output_is_one_line():
    assert last_lines("a\n\n  b \nc\n", 2) == "b / c"
