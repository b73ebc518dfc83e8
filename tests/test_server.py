"""db-up and db-down on real servers: this machine's programs, ports that are taken, two at once."""

import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Thread

import pytest

from tests.conftest import (
    PASSWORD,
    Project,
    at_database,
    clean_environment,
    copy_project,
    execute,
    free_port,
    local_server,
    make_settings,
    until,
)
from toolkit import binaries, local, maintenance, server
from toolkit.compose import Compose
from toolkit.errors import AccessDeniedError, ServerError, UnavailableError
from toolkit.local import LocalServer
from toolkit.process import command_of, run
from toolkit.settings import ROOT

needs_programs = pytest.mark.skipif(
    binaries.obstacle() is not None, reason=f"db-up --via local: {binaries.obstacle()}"
)


@pytest.fixture
def here(project):
    """The project with its own free port and an odd password."""
    exported = {"DB_PORT": str(free_port()), "DB_PASSWORD": PASSWORD}
    return replace(project, environment=project.environment | exported)


def reports():
    told = []
    return told, told.append


@needs_programs
def test_from_nothing_to_a_seeded_database_and_back_with_the_data(here):
    port = here.environment["DB_PORT"]
    done = here.invoke("db-up", "--via=local", "migrate-up", "seed")
    assert done.returncode == 0, done
    assert f"app on 127.0.0.1:{port} answers: started by a private server" in done.stdout
    assert "inserted 42, unchanged 0" in done.stdout
    again = here.invoke("db-up")
    assert again.stdout == f"app on 127.0.0.1:{port} answers: already running\n"

    down = here.invoke("db-down")
    assert down.stdout == "stopped a private server; the data stay\n"
    assert "nothing to stop" in here.invoke("db-down").stdout
    assert here.invoke("migrate-up").returncode == 2

    up = here.invoke("db-up", "--via=local", "migrate-up", "seed")
    assert "nothing to apply" in up.stdout
    assert "inserted 0, unchanged 42" in up.stdout
    assert PASSWORD not in done.stdout + done.stderr + up.stdout + up.stderr


@needs_programs
def test_another_port_moves_the_server_and_the_connection(here):
    here.invoke("db-up", "--via=local", "migrate-up")
    old, new = here.environment["DB_PORT"], str(free_port())
    done = here.invoke("db-up", "--via=local", "migrate-status", DB_PORT=new)
    assert done.returncode == 0, done
    assert f"3 applied, 0 pending on app on 127.0.0.1:{new}" in done.stdout
    assert not server.listens("127.0.0.1", int(old))

    again = here.invoke("db-up", DB_PORT=new)
    assert "answers: already running" in again.stdout
    back = here.invoke("db-up", "--via=local", "migrate-status")
    assert f"3 applied, 0 pending on app on 127.0.0.1:{old}" in back.stdout, back
    assert not server.listens("127.0.0.1", int(new))

    here.invoke("db-up", "--via=local", DB_PORT=new)
    down = here.invoke("db-down", DB_PORT=new)
    assert down.stdout == "stopped a private server; the data stay\n"
    assert not server.listens("127.0.0.1", int(new))
    up = here.invoke("db-up", "--via=local", "migrate-status")
    assert f"3 applied, 0 pending on app on 127.0.0.1:{old}" in up.stdout, up


@needs_programs
def test_an_exported_url_moves_it_too(project):
    port = free_port()
    url = f"postgresql://me:secret@localhost:{port}/shop"
    done = project.invoke("db-up", "--via=local", "migrate-up", DATABASE_URL=url)
    assert done.returncode == 0, done
    assert f": shop on localhost:{port}\n" in done.stdout


@needs_programs
def test_two_at_once_both_succeed(here):
    with ThreadPoolExecutor(2) as executor:
        both = list(executor.map(lambda _: here.invoke("db-up", "--via=local"), range(2)))
    assert [done.returncode for done in both] == [0, 0], both
    ends = sorted(done.stdout.rpartition("answers: ")[2] for done in both)
    assert ends == ["already running\n", "started by a private server\n"]


@needs_programs
def test_it_listens_on_the_loopback_address_alone_and_asks_for_a_password():
    with local_server() as running:
        settings = running.settings
        maintenance_ = replace(settings, url=replace(settings.url, name="postgres"))
        assert execute(maintenance_, "SHOW listen_addresses") == [("127.0.0.1",)]
        assert execute(maintenance_, "SHOW unix_socket_directories") == [("",)]
        for password in ("", "wrong"):
            denied = replace(maintenance_, url=replace(maintenance_.url, password=password))
            with pytest.raises(AccessDeniedError):
                maintenance.check(denied)


@needs_programs
def test_tests_that_are_ended_stop_their_server():
    code = "from tests.conftest import local_server\nfrom time import sleep\n"
    code += "with local_server() as running:\n    print(running.home)\n    sleep(60)\n"
    command = [sys.executable, "-uc", code]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as process:
        home = next(line for line in process.stdout if "/" in line).strip()
        process.terminate()
    assert not Path(home).exists()


@needs_programs
def test_no_password_is_an_argument_of_a_program(monkeypatch):
    """Every program that is started on the way, and psql."""
    seen = []

    def noting(command, **options):
        seen.extend(str(word) for word in command)
        return run(command, **options)

    monkeypatch.setattr(local, "run", noting)
    with local_server() as running:
        assert (running.home.stat().st_mode & 0o777, (running.home / "password").exists()) == (
            0o700,
            False,
        )
    assert any("initdb" in word for word in seen)
    assert not any(PASSWORD in word for word in seen)
    command, environment = server.psql(make_settings(password="hidden"))
    assert not any("hidden" in word for word in command)
    assert environment["PGPASSWORD"] == "hidden"


@needs_programs
def test_the_password_file_is_for_the_server_alone(monkeypatch):
    modes = []

    def noting(command, **options):
        files = [Path(str(word)[9:]) for word in command if str(word).startswith("--pwfile=")]
        modes.extend(file.stat().st_mode & 0o777 for file in files)
        return run(command, **options)

    monkeypatch.setattr(local, "run", noting)
    with local_server():
        assert modes == [0o600]


@needs_programs
def test_without_a_password_nothing_is_started(project):
    done = project.invoke("db-up", DATABASE_URL=f"postgresql://app@127.0.0.1:{free_port()}/app")
    assert done.returncode == 2
    assert "set DB_PASSWORD" in done.stderr


@needs_programs
def test_after_a_crash_it_starts_again():
    with local_server() as running:
        maintenance.create_database(running.settings)
        pid = int((running.data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        until(lambda: running.port() is None)
        until(lambda: not server.listens("127.0.0.1", running.settings.url.port))
        assert server.down({"local": running}, print) == []
        assert server.up(running.settings, {"local": running}, print) == "a private server"


@needs_programs
@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="no /proc to look it up in")
def test_a_server_whose_command_does_not_name_its_data_is_known_by_where_it_works():
    """So is one that pg_ctl restarted."""
    with local_server() as running:
        old, new = running.settings.url.port, free_port()
        running._run("pg_ctl", "restart", "-w", "-l", running.home / "log", "-o", options(new))
        pid = int((running.data / "postmaster.pid").read_text().split()[0])
        assert str(running.data) not in command_of(pid)
        assert running.port() == new
        running.start(print)
        assert running.port() == old
        assert not server.listens("127.0.0.1", new)
        until(lambda: not command_of(pid))


def options(port):
    return f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"


@needs_programs
def test_a_process_that_only_has_the_number_of_a_dead_server_is_left_alone():
    with local_server() as running:
        pid_file = running.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        running.stop(print)
        account = binaries.account()
        with subprocess.Popen(["sleep", "60"], **account) as stranger:
            pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))
            assert running.port() is None
            assert server.down({"local": running}, print) == []
            maintenance_ = at_database(running.settings, "postgres")
            assert server.up(maintenance_, {"local": running}, print) == "a private server"
            assert stranger.poll() is None
            stranger.kill()


@needs_programs
def test_the_way_that_worked_last_comes_first(monkeypatch, tmp_path):
    monkeypatch.setattr(server, "LAST_WAY", tmp_path / "memory" / "last-way")
    with local_server() as running:
        told, report = reports()
        ways = {"docker": Broken(), "local": running}
        running.stop(print)
        server.up(running.settings, ways, report)
        assert "starting PostgreSQL: Broken" in told
        running.stop(print)
        told.clear()
        server.up(running.settings, ways, report)
        assert "starting PostgreSQL: Broken" not in told


@needs_programs
def test_a_server_that_refuses_us_is_not_left_running():
    with local_server() as running:
        running.stop(print)
        other = replace(running.settings, url=replace(running.settings.url, password="other"))
        with pytest.raises(AccessDeniedError, match="remove the folder"):
            server.up(other, {"local": LocalServer(running.home, other)}, print)
        assert running.port() is None


def test_a_host_that_the_container_is_not_published_on_is_said():
    settings = make_settings(host="::1", port=free_port())
    assert "published on 127.0.0.1" in Compose(ROOT, settings).obstacle()


def test_waiting_is_shown_while_a_server_does_not_answer(monkeypatch):
    """A listener that says nothing, where only time passes: the clock is moved on by each look."""
    monkeypatch.setattr(server, "STRANGER_SECONDS", 2.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = make_settings(port=listener.getsockname()[1], connect_timeout_seconds=2)
        told, report = reports()
        with pytest.raises(ServerError, match="set DB_PORT"):
            server.up(settings, {}, report)
    assert any("waiting for app on 127.0.0.1" in line for line in told)


@needs_programs
def test_a_server_on_another_port_does_not_make_a_stranger_ours(monkeypatch):
    patience = []

    def waiting(_, __, seconds, ___):
        patience.append(seconds)
        raise UnavailableError("nobody answers", "wait")

    monkeypatch.setattr(server, "_wait", waiting)
    with local_server() as running, socket.create_server(("127.0.0.1", 0)) as listener:
        settings = make_settings(port=listener.getsockname()[1], connect_timeout_seconds=2)
        with pytest.raises(ServerError, match="set DB_PORT"):
            server.up(settings, {"local": running}, print)
    assert patience == [server.STRANGER_SECONDS]


@needs_programs
def test_data_of_another_password_are_said_to_be_so(here):
    here.invoke("db-up", "--via=local", "db-down")
    done = here.invoke("db-up", "--via=local", DB_PASSWORD="another")
    assert done.returncode == 2
    assert "created with another user or password" in done.stderr
    assert "nothing to stop" in here.invoke("db-down").stdout


@needs_programs
def test_data_that_initdb_did_not_finish_are_never_taken_for_whole(monkeypatch):
    with local_server() as running:
        running.stop(print)
        running.data.rename(running.home / "elsewhere")

        def failing(command, **options):
            done = run(command, **options)
            return replace_code(done, 1) if "initdb" in str(command[0]) else done

        monkeypatch.setattr(local, "run", failing)
        with pytest.raises(ServerError, match="initdb failed"):
            running.start(print)
        assert not running.data.exists()
        monkeypatch.undo()
        running.start(print)
        assert running.port()


def replace_code(done, code):
    return subprocess.CompletedProcess(done.args, code, done.stdout)


@needs_programs
def test_what_the_server_says_is_in_the_error():
    with local_server() as running:
        running.stop(print)
        (running.data / "PG_VERSION").write_text("14\n")
        with pytest.raises(ServerError, match="initialized by PostgreSQL version 14"):
            server.up(running.settings, {"local": running}, print)


def test_a_program_that_takes_its_time_shows_that_it_is_waited_for(tmp_path):
    """It ends when it has been told of twice."""
    ended = tmp_path / "ended"
    told = []

    def report(line):
        told.append(line)
        if len(told) == 2:
            ended.touch()

    done = run(["sh", "-c", f"until [ -e {ended} ]; do sleep 0.05; done"], report=report, what="x")
    assert done.returncode == 0
    assert all(line.startswith("x: ") for line in told)


@pytest.fixture
def ordinary():
    """A copy of the project that belongs to the account nobody, who runs it."""
    if os.geteuid():
        pytest.skip("this is an ordinary user: every other test shows it")
    nobody = pwd.getpwnam("nobody")
    account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="foundation-nobody-") as name:
        folder = copy_project(Path(name))
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        packages = ":".join(path for path in sys.path if "site-packages" in path)
        exported = {"DB_PORT": str(free_port()), "PYTHONPATH": packages, "HOME": name}
        python = next(filter(partial(runs_packages, account, packages), PYTHONS), None)
        if python is None:
            pytest.skip("no Python of this version that another account can run")
        yield Project(folder, clean_environment() | exported, python, account)


PYTHONS = (sys.executable, "/usr/bin/python3")


def runs_packages(account, packages, python):
    code = "import environs, invoke, peewee_migrate, psycopg2"
    environment = {"PYTHONPATH": packages}
    try:
        done = subprocess.run([python, "-c", code], check=False, env=environment, **account)
    except OSError:
        return False
    return done.returncode == 0


@needs_programs
def test_it_works_as_an_ordinary_user(ordinary):
    try:
        done = ordinary.invoke("db-up", "--via=local", "migrate-up", "seed")
        assert done.returncode == 0, done
        assert "inserted 42" in done.stdout
        assert (ordinary.folder / ".postgres" / "data").is_dir()
    finally:
        assert ordinary.invoke("db-down").returncode == 0


class Broken:
    """A way that never works."""

    name = "Broken"

    def __init__(self, reason=None):
        self.reason = reason

    def obstacle(self):
        return self.reason

    def start(self, report):
        report("pulling its image")
        raise ServerError("its image cannot be pulled")

    def port(self):
        return None

    def log(self):
        return ""


@needs_programs
def test_a_way_that_fails_is_reported_and_the_next_is_tried():
    with local_server() as running:
        running.stop(print)
        told, report = reports()
        ways = {"docker": Broken(), "local": running}
        assert server.up(running.settings, ways, report) == "a private server"
        assert "Broken: its image cannot be pulled" in told


def test_when_no_way_is_open_the_three_are_named():
    settings = make_settings(port=free_port())
    ways = {"docker": Broken("no Docker engine answers"), "local": Broken("not installed")}
    with pytest.raises(ServerError) as caught:
        server.up(settings, ways, print)
    for words in ("no Docker engine", "not installed", "Docker;", "PostgreSQL 15", "binaries"):
        assert words in str(caught.value)


def test_another_machine_is_an_error_and_nothing_is_started(project):
    url = "postgresql://app:app@192.0.2.1/app"  # TEST-NET-1 (RFC 5737): nobody is there
    done = project.invoke("db-up", DATABASE_URL=url, DB_CONNECT_TIMEOUT="2")
    assert done.returncode == 2
    assert "on this machine alone" in done.stderr


def test_a_port_that_something_else_has_names_the_setting(project):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])

        def hang_up():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.close()

        thread = Thread(target=hang_up)
        thread.start()
        done = project.invoke("db-up", DB_PORT=port)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert done.returncode == 2
    assert f"port {port} is taken" in done.stderr
    assert "DB_PORT" in done.stderr


def test_a_server_of_somebody_else_names_the_settings(project, server):
    done = project.invoke("db-up", DB_PORT=str(server.url.port))
    assert done.returncode == 2
    assert "If that server is another's, set DB_PORT" in done.stderr


def test_a_running_server_is_left_alone(app):
    done = app.invoke("db-up")
    assert done.stdout.endswith("answers: already running\n")


@needs_programs
def test_roots_data_stand_where_other_accounts_can_enter(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert local.home_of(ROOT).parent == Path("/var/lib/postgresql-foundation")
    assert local.home_of(ROOT) != local.home_of(ROOT / "clone")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert local.home_of(ROOT) == ROOT / ".postgres"
