"""db-up and db-down on real servers: this machine's programs, ports that are taken, two at once."""

import os
import pwd
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
    clean_environment,
    copy_project,
    execute,
    free_port,
    local_server,
    make_settings,
)
from toolkit import binaries, local, maintenance, server
from toolkit.errors import AccessDeniedError, ServerError
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
    assert f"2 applied, 0 pending on app on 127.0.0.1:{new}" in done.stdout
    assert not server.listens("127.0.0.1", int(old))


@needs_programs
def test_an_exported_url_moves_it_too(project):
    url = f"postgresql://me:secret@localhost:{free_port()}/shop"
    done = project.invoke("db-up", "--via=local", "migrate-up", DATABASE_URL=url)
    assert done.returncode == 0, done
    assert "2 applied to shop on localhost" in done.stdout


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
def test_no_password_stands_in_the_process_list(here):
    here.invoke("db-up", "--via=local")
    processes = subprocess.run(["ps", "axww"], check=True, capture_output=True, text=True).stdout
    assert "postgres" in processes
    assert PASSWORD not in processes


@needs_programs
def test_data_of_another_password_are_said_to_be_so(here):
    here.invoke("db-up", "--via=local", "db-down")
    done = here.invoke("db-up", "--via=local", DB_PASSWORD="another")
    assert done.returncode == 2
    assert "created with another user or password" in done.stderr
    assert "another'" not in done.stderr
    assert "nothing to stop" in here.invoke("db-down").stdout


@needs_programs
def test_a_half_made_data_folder_is_made_again():
    with local_server() as running:
        running.stop(print)
        running.data.rename(running.home / "data.new")
        running.start(print)
        maintenance.create_database(running.settings)
        maintenance.check(running.settings)


@needs_programs
def test_what_the_server_says_is_in_the_error():
    with local_server() as running:
        running.stop(print)
        (running.data / "PG_VERSION").write_text("14\n")
        with pytest.raises(ServerError, match="initialized by PostgreSQL version 14"):
            server.up(running.settings, {"local": running}, print)


@needs_programs
def test_a_slow_start_shows_that_it_is_waiting(tmp_path):
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nsleep 2.5\n")
    slow.chmod(0o755)
    from toolkit.process import run

    told, report = reports()
    run([str(slow)], report=report, what="waiting for slow")
    assert told == ["waiting for slow: 1 s", "waiting for slow: 2 s"]


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

    def running(self):
        return False

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
