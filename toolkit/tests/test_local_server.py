"""The private server: its data, account and processes, with this machine's PostgreSQL 15."""

import os
import pwd
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from dbfoundation.errors import AccessDeniedError, ServerError
from dbfoundation.server import binaries, databases, local
from dbfoundation.server.development import DevelopmentServer
from dbfoundation.server.processes import command_of, run
from dbfoundation.server.waiting import listens
from tests.accounts import project_of
from tests.support import (
    LIBRARY,
    PASSWORD,
    PROJECT,
    at_database,
    execute,
    free_port,
    ignore,
    until,
)

pytestmark = pytest.mark.skipif(
    binaries.unavailable_reason() is not None,
    reason=f"db-up --via local: {binaries.unavailable_reason()}",
)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the other tests show an ordinary user")


def pid_of(server):
    return int((server.data / "postmaster.pid").read_text().split()[0])


def development_server(server, folder):
    """db-up's view of a private server, at the database `postgres`."""
    settings = at_database(server.settings, "postgres")
    return DevelopmentServer(folder, settings, ignore, {"local": server})


def test_the_server_listens_on_the_loopback_address_only_and_asks_for_a_password(private_server):
    settings = at_database(private_server.settings, "postgres")
    assert execute(settings, "SHOW listen_addresses") == [("127.0.0.1",)]
    assert execute(settings, "SHOW unix_socket_directories") == [("",)]
    for password in ("", "wrong"):
        with pytest.raises(AccessDeniedError):
            databases.check(replace(settings, url=replace(settings.url, password=password)))


def test_the_password_is_no_argument_and_its_file_is_private(server_without_data, monkeypatch):
    """A list of processes shows arguments."""
    server = server_without_data
    (server.home / "data.new").mkdir()  # an earlier initdb that did not end
    words, modes = [], []

    def record(command, **options):
        words.extend(command)
        files = [Path(word[9:]) for word in command if word.startswith("--pwfile=")]
        modes.extend(file.stat().st_mode & 0o777 for file in files)
        return run(command, **options)

    monkeypatch.setattr(local, "run", record)
    server.start(ignore)
    server.stop(ignore)
    assert server.home.stat().st_mode & 0o777 == 0o700
    assert modes == [0o600]
    assert not (server.home / "password").exists()
    assert not any(PASSWORD in word for word in [*words, *server.psql()])


def test_data_of_an_initdb_that_failed_are_never_used(server_without_data, monkeypatch):
    def fail(command, **_):
        Path(command[-1]).mkdir()
        return subprocess.CompletedProcess(command, 1, "no space left")

    monkeypatch.setattr(local, "run", fail)
    for _ in range(2):
        with pytest.raises(ServerError, match="initdb failed: no space left"):
            server_without_data.start(ignore)
    assert not server_without_data.data.exists()
    assert not (server_without_data.home / "password").exists()


def test_a_crashed_server_starts_again(private_server, tmp_path):
    pid = pid_of(private_server)
    os.kill(pid, signal.SIGKILL)
    until(lambda: private_server.port() is None)
    until(lambda: not listens("127.0.0.1", private_server.settings.url.port))
    assert development_server(private_server, tmp_path).stop() == []
    assert development_server(private_server, tmp_path).start().was_started


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="this system has no /proc")
def test_a_server_whose_command_does_not_name_its_data_is_found_by_its_directory(private_server):
    """pg_ctl restart starts such a server."""
    server = private_server
    old, new = server.settings.url.port, free_port()
    options = f"-p {new} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
    restart = [binaries.find_programs(server.home) / "pg_ctl", "restart", "-w", "-D", server.data]
    log = ["-l", server.home / "log", "-o", options]
    subprocess.run([*restart, *log], check=True, capture_output=True, cwd="/", **binaries.run_as())
    pid = pid_of(server)
    assert str(server.data) not in command_of(pid)
    assert server.port() == new
    server.start(ignore)
    assert server.port() == old
    assert not listens("127.0.0.1", new)
    until(lambda: not command_of(pid))


def test_another_process_with_the_number_of_a_dead_server_is_left_alone(private_server, tmp_path):
    pid_file = private_server.data / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    private_server.stop(ignore)
    with subprocess.Popen(["sleep", "60"], **binaries.run_as()) as other:
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]))
        assert private_server.port() is None
        assert development_server(private_server, tmp_path).stop() == []
        assert development_server(private_server, tmp_path).start().was_started
        assert other.poll() is None
        other.kill()


def test_an_error_shows_the_end_of_the_servers_log(private_server, tmp_path):
    private_server.stop(ignore)
    (private_server.data / "PG_VERSION").write_text("14\n")
    with pytest.raises(ServerError, match="initialized by PostgreSQL version 14"):
        development_server(private_server, tmp_path).start()


def test_roots_data_are_where_other_accounts_can_enter(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert local.home_of(PROJECT).parent == Path("/var/lib/postgresql-foundation")
    assert local.home_of(PROJECT) != local.home_of(PROJECT / "clone")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert local.home_of(PROJECT) == PROJECT / ".postgres"


@needs_root
def test_roots_server_runs_as_another_account(private_server):
    owner = Path(f"/proc/{pid_of(private_server)}").stat().st_uid
    assert owner == private_server.data.stat().st_uid != 0


@pytest.fixture
def ordinary():
    """A copy of the project that belongs to the account nobody, which runs it."""
    nobody = pwd.getpwnam("nobody")
    with project_of(nobody.pw_uid, nobody.pw_gid) as project:
        yield project


def test_an_ordinary_user_has_a_server_inside_of_the_project(ordinary):
    try:
        done = ordinary.invoke_process("db-up", "--via=local", "migrate-up", "seed")
        assert done.returncode == 0, done
        assert "inserted 12" in done.stdout
        assert (ordinary.folder / ".postgres" / "data").is_dir()
    finally:
        assert ordinary.invoke_process("db-down").returncode == 0


def test_tests_that_are_terminated_stop_their_server():
    code = "from tests.support import local_server\nfrom time import sleep\n"
    code += "with local_server() as running:\n    print(running.home)\n    sleep(60)\n"
    command = [sys.executable, "-uc", code]
    environment = os.environ | {"PYTHONPATH": f"{LIBRARY}:{PROJECT}"}
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, env=environment) as process:
        home = next(line for line in process.stdout if "/" in line).strip()
        process.terminate()
    assert not Path(home).exists()
