"""The traces of private servers after a crash, a renamed project, and a removal."""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from dbfoundation.server import binaries, local
from dbfoundation.server.development import DevelopmentServer
from dbfoundation.server.local import LocalServer, home_of
from tests.support import (
    assert_error,
    at_database,
    free_port,
    ignore,
    local_home,
    make_settings,
    only_in_ci,
    remove,
)

pytestmark = pytest.mark.skipif(
    binaries.unavailable_reason() is not None,
    reason=f"db-up --via local: {binaries.unavailable_reason()}",
)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="an ordinary user's data move with the project"
)


NO_PID_FILES = {
    "empty": b"",
    "truncated": b"1\n/var/lib",
    "no numbers": b"one\ntwo\nthree\nfour\n",
    "no text": b"\xff\xfe\n" * 4,
    "impossible numbers": b"-1\n/data\n0\n5432\n",
    "another user's process": b"1\n/data\n0\n5432\n",
}


@only_in_ci
@pytest.mark.parametrize("text", NO_PID_FILES.values(), ids=NO_PID_FILES)
def test_a_pid_file_that_names_no_server_is_one_that_a_crash_left(private_server, tmp_path, text):
    private_server.stop(ignore)
    (private_server.data / "postmaster.pid").write_bytes(text)
    settings = at_database(private_server.settings, "postgres")
    server = DevelopmentServer(tmp_path, settings, ignore, {"local": private_server})
    assert private_server.port() is None
    assert server.stop() == []
    assert server.start().was_started


@only_in_ci
def test_the_server_of_a_folder_whose_name_begins_alike_is_another_one(private_server):
    beside = LocalServer(private_server.home, private_server.settings)
    beside.data = private_server.home / "dat"
    beside.data.mkdir()
    shutil.copy(private_server.data / "postmaster.pid", beside.data)
    assert private_server.port()
    assert beside.port() is None


@only_in_ci
@needs_root
def test_the_server_of_a_project_that_moved_is_stopped_and_its_data_are_found(moved):
    project, before = moved
    refused = project.invoke("db-up", DB_PORT=str(free_port()))
    assert refused.returncode == 2
    assert f"this project's data are in {before.data}" in refused.stderr
    assert f"Fix: move them: `mv {before.home} {home_of(project.folder)}`" in refused.stderr

    gone = f"the private server of {before.project}, a folder that is gone"
    up = project.invoke("db-up")
    assert "a server that this project did not start" in up.stdout
    assert f"warning: this is {gone}; `invoke db-down` stops it" in up.stderr
    down = project.invoke("db-down")
    assert down.stdout == f"stopped {gone}; the data stay\n"
    assert before.port() is None

    before.home.rename(home_of(project.folder))
    up = project.invoke("db-up", "seed")
    assert "inserted 0, unchanged 12" in up.stdout, up


@pytest.fixture
def own_homes(monkeypatch):
    """A folder of its own for root's servers: any db-down beside stops those of gone projects."""
    homes = Path(tempfile.mkdtemp(prefix="dbfoundation-test-homes-"))
    homes.chmod(0o755)  # for the account that runs the server
    monkeypatch.setattr(local, "ROOTS_HOMES", homes)
    yield
    shutil.rmtree(homes)


@pytest.fixture
def moved(own_homes, project_with_server_data):  # noqa: ARG001 # before the project's server
    """A project whose folder was renamed while its server runs, and that server."""
    project = project_with_server_data
    assert project.invoke("db-up", "--via=local", "migrate-up", "seed").returncode == 0
    before = LocalServer(home_of(project.folder), make_settings(), project.folder)
    after = replace(project, folder=project.folder.with_name("renamed"))
    project.folder.rename(after.folder)
    yield after, before
    remove(before)
    remove(local_home(after))


@only_in_ci
@needs_root
def test_data_that_another_account_made_for_the_project_are_not_replaced(project):
    data = project.folder / ".postgres" / "data"
    data.mkdir(parents=True)
    (project.folder / ".postgres" / "last-way").write_text(f"local\n{data}\n")
    done = project.invoke("db-up", DB_PORT=str(free_port()))
    assert_error(done, f"this project's data are in {data}", "as the account that made them")
    assert not local_home(project).data.exists()


@only_in_ci
def test_removing_the_data_asks_first_and_then_leaves_nothing(project_with_server_data):
    project = project_with_server_data
    server = local_home(project)
    assert project.invoke("db-up", "--via=local").returncode == 0
    refused = project.invoke("db-down", "--remove-data")
    assert_error(refused, f"db-down would remove the data in {server.data}", "Fix: add --yes")
    assert server.port()
    done = project.invoke("db-down", "--remove-data", "--yes")
    assert done.stdout == f"removed the data in {server.data}\n", done
    assert not server.home.exists()
    assert not (project.folder / ".postgres").exists()
    again = project.invoke("db-down", "--remove-data", "--yes")
    assert again.stdout == "nothing to stop: no server of db-up runs here\n"
