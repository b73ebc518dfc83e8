"""The servers of one process: none outlives it for long."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from dbfoundation.server import binaries
from dbfoundation.server.development import listens
from dbfoundation.server.temporary import temporary_server
from tests.support import execute, only_in_ci

needs_programs = pytest.mark.skipif(
    bool(binaries.unavailable_reason()), reason=f"a private server: {binaries.unavailable_reason()}"
)
pytestmark = [needs_programs, only_in_ci]
STARTS = """
import sys, tempfile
from dbfoundation.server.temporary import temporary_server
tempfile.tempdir = sys.argv[1]
with temporary_server() as settings:
    print(settings.url.port, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(monkeypatch):
    """A folder of temporary files that the server's account can enter; pytest's own is private."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        monkeypatch.setattr("tempfile.tempdir", name)
        yield Path(name)


@pytest.fixture
def start(folder):
    """Starts a process that has a server, and returns it with the port."""
    processes = []

    def run():
        words = [sys.executable, "-c", STARTS, str(folder)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        processes.append(subprocess.Popen(words, text=True, **pipes))
        return processes[-1], int(processes[-1].stdout.readline())

    yield run
    for process in processes:
        process.communicate()
    assert list(folder.iterdir()) == []


def test_a_server_ends_with_its_block(folder):
    with temporary_server("some one") as settings:
        assert execute(settings, "SELECT current_user") == [("some one",)]
        assert settings.url.password
        assert len(list(folder.iterdir())) == 1
    assert not listens(settings.url.host, settings.url.port)
    assert list(folder.iterdir()) == []


def test_the_next_server_removes_that_of_a_killed_process(start, folder):
    process, port = start()
    process.kill()
    process.wait()
    assert listens("127.0.0.1", port)
    with temporary_server():
        assert not listens("127.0.0.1", port)
        assert len(list(folder.iterdir())) == 1


def test_the_server_of_a_live_process_stays(start):
    _, port = start()
    with temporary_server():
        assert listens("127.0.0.1", port)
    assert listens("127.0.0.1", port)


def test_a_folder_without_a_lock_stays(folder):
    other = folder / "dbfoundation-server-new"
    other.mkdir()
    with temporary_server():
        assert other.exists()
    other.rmdir()
