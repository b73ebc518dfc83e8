"""db-up and db-down: the order of the providers, foreign servers, taken ports, and psql."""

import fcntl
import os
import re
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Thread
from time import monotonic

import pytest

from dbfoundation.errors import AccessDeniedError, ServerError
from dbfoundation.server import binaries, development
from dbfoundation.server.compose import Compose
from dbfoundation.server.local import LocalServer
from dbfoundation.server.waiting import listens
from tests.listeners import Mute, listener
from tests.providers import OURS, FakeProvider, development_server, needs_programs
from tests.support import PASSWORD, PROJECT, at_database, free_port, ignore, make_settings, until


@contextmanager
def hang_up():
    """A port where a program accepts each connection and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.close()

        thread = Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@needs_programs
def test_the_data_survive_db_down_and_db_up(project):
    port = str(free_port())
    exported = {"DB_PORT": port, "DB_PASSWORD": PASSWORD}
    up = ("db-up", "--via=local", "migrate-up", "seed")
    first = project.invoke(*up, **exported)
    assert first.returncode == 0, first
    assert f"app on 127.0.0.1:{port} answers: started by a private server" in first.stdout
    assert "inserted 12, unchanged 0" in first.stdout
    again = project.invoke("db-up", **exported)
    started = (
        r"app on 127\.0\.0\.1:\d+ answers: already running: a private server, PostgreSQL 15\.\d+"
    )
    assert re.fullmatch(f"{started}\n", again.stdout)

    down = project.invoke("db-down", **exported)
    assert down.stdout == "stopped a private server; the data stay\n"
    assert "nothing to stop" in project.invoke("db-down", **exported).stdout
    assert project.invoke("migrate-up", **exported).returncode == 2

    second = project.invoke(*up, **exported)
    assert "nothing to apply" in second.stdout
    assert "inserted 0, unchanged 12" in second.stdout
    assert PASSWORD not in first.stdout + first.stderr + second.stdout + second.stderr


@needs_programs
def test_another_port_moves_the_server_and_the_connection(project_with_server_data):
    here = project_with_server_data
    here.invoke("db-up", "--via=local", "migrate-up")
    old, new = here.environment["DB_PORT"], str(free_port())
    moved = here.invoke("db-up", "--via=local", "migrate-status", DB_PORT=new)
    assert moved.returncode == 0, moved
    assert f"3 applied, 0 pending on app on 127.0.0.1:{new}" in moved.stdout
    assert not listens("127.0.0.1", int(old))

    again = here.invoke("db-up", DB_PORT=new)
    assert "answers: already running" in again.stdout
    back = here.invoke("db-up", "--via=local", "migrate-status")
    assert f"3 applied, 0 pending on app on 127.0.0.1:{old}" in back.stdout, back
    assert not listens("127.0.0.1", int(new))

    here.invoke("db-up", "--via=local", DB_PORT=new)
    down = here.invoke("db-down", DB_PORT=new)
    assert down.stdout == "stopped a private server; the data stay\n"
    assert not listens("127.0.0.1", int(new))
    up = here.invoke("db-up", "--via=local", "migrate-status")
    assert f"3 applied, 0 pending on app on 127.0.0.1:{old}" in up.stdout, up


@needs_programs
def test_an_exported_url_moves_the_server_too(project_with_server_data):
    port = free_port()
    url = replace(make_settings().url, host="localhost", port=port, name="shop")
    exported = {"DATABASE_URL": url.render(with_password=True), "DB_PORT": "", "DB_PASSWORD": ""}
    done = project_with_server_data.invoke("db-up", "--via=local", "migrate-up", **exported)
    assert done.returncode == 0, done
    assert f": shop on localhost:{port}\n" in done.stdout


@needs_programs
def test_two_db_ups_at_once_both_succeed(project_with_server_data):
    def up(_):
        return project_with_server_data.invoke_process("db-up", "--via=local")

    with ThreadPoolExecutor(2) as executor:
        both = list(executor.map(up, range(2)))
    assert [done.returncode for done in both] == [0, 0], both
    ends = sorted(done.stdout.rpartition("answers: ")[2].partition(",")[0] for done in both)
    assert ends == [f"already running: {OURS}", f"started by {OURS}"]


@needs_programs
def test_data_of_another_password_are_an_error_with_a_fix(project_with_server_data):
    done = project_with_server_data.invoke("db-up", "--via=local", DB_PASSWORD="another")
    assert done.returncode == 2
    assert "created with another user or password" in done.stderr
    assert "db-down --remove-data" in done.stderr
    assert "nothing to stop" in project_with_server_data.invoke("db-down").stdout


@needs_programs
def test_a_server_that_refuses_the_password_is_stopped_again(private_server, tmp_path):
    private_server.stop(ignore)
    url = replace(private_server.settings.url, password="other")
    other = LocalServer(private_server.home, replace(private_server.settings, url=url))
    with pytest.raises(AccessDeniedError, match="remove the data"):
        development_server(tmp_path, other.settings, local=other).start()
    assert private_server.port() is None


def test_without_any_provider_each_reason_and_each_fix_is_named(tmp_path):
    settings = make_settings(port=free_port())
    docker = FakeProvider(unavailable="no Docker engine answers", advice="install Docker")
    local = FakeProvider(unavailable="not installed", advice=binaries.ADVICE)
    with pytest.raises(ServerError) as caught:
        development_server(tmp_path, settings, docker=docker, local=local).start()
    for words in ("no Docker engine", "not installed", "Docker;", "PostgreSQL 15", "binaries"):
        assert words in str(caught.value)


def test_a_provider_that_is_there_and_fails_needs_no_advice_to_install_another(tmp_path):
    server = development_server(tmp_path, make_settings(port=free_port()), docker=FakeProvider())
    with pytest.raises(ServerError, match=r"its image cannot be pulled$"):
        server.start()


def test_without_a_password_no_server_is_started(project):
    done = project.invoke("db-up", DATABASE_URL=f"postgresql://app@127.0.0.1:{free_port()}/app")
    assert done.returncode == 2
    assert "Fix: set DB_PASSWORD" in done.stderr


def test_an_unknown_provider_is_an_error_with_the_known_ones(project):
    done = project.invoke("db-up", "--via=podman")
    assert done.returncode == 2
    assert done.stderr == "error: --via accepts docker or local, not podman\n"


def test_the_container_is_no_provider_for_an_address_that_it_is_not_published_on():
    settings = make_settings(host="::1", port=free_port())
    assert "published on 127.0.0.1" in Compose(PROJECT, settings).unavailable_reason()


def test_no_server_is_started_for_an_address_of_another_machine(project):
    url = "postgresql://app:app@192.0.2.1/app"  # TEST-NET-1 (RFC 5737): no machine has it
    done = project.invoke("db-up", DATABASE_URL=url, DB_CONNECT_TIMEOUT="1")
    assert done.returncode == 2
    assert "Fix: start that server; db-up starts one on this machine only" in done.stderr


def test_a_port_that_another_program_has_is_an_error_with_the_setting(project, monkeypatch):
    monkeypatch.setattr(development, "FOREIGN_SILENCE_SECONDS", 0.1)
    with hang_up() as port:
        done = project.invoke("db-up", DB_PORT=str(port))
    assert done.returncode == 2
    assert f"port {port} is taken by a program that is not our database" in done.stderr
    assert "Fix: set DB_PORT" in done.stderr


def test_waiting_for_a_listener_is_reported(monkeypatch, tmp_path):
    monkeypatch.setattr(development, "FOREIGN_SILENCE_SECONDS", 1.5)
    reports = []
    with hang_up() as port, pytest.raises(ServerError, match="set DB_PORT"):
        development_server(tmp_path, make_settings(port=port), reports.append).start()
    address = f"app on 127.0.0.1:{port}"
    assert reports == [
        f"waiting for {address}: a program listens there, and does not answer yet",
        f"waiting for {address}: 1 s",
    ]


def test_a_listener_that_says_nothing_is_reported_and_named_with_the_setting(monkeypatch, tmp_path):
    monkeypatch.setattr(development, "FOREIGN_SILENCE_SECONDS", 0.1)
    reports = []
    with listener(Mute) as port:
        settings = make_settings(port=port, connect_timeout_seconds=2)
        with pytest.raises(ServerError, match=r"timeout expired \(DB_CONNECT_TIMEOUT: 2 s\)"):
            development_server(tmp_path, settings, reports.append).start()
    assert "a program listens there, and does not answer yet" in reports[0]


@pytest.mark.parametrize("is_ours", [True, False])
def test_only_our_own_server_gets_the_longer_wait(tmp_path, monkeypatch, is_ours):
    """It may be starting. A provider's server on another port does not make a listener ours."""
    monkeypatch.setattr(development, "FOREIGN_SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(development, "SILENCE_SECONDS", 2.0)
    started = monotonic()
    with hang_up() as port:
        provider = FakeProvider(own_port=port if is_ours else free_port())
        server = development_server(tmp_path, make_settings(port=port), local=provider)
        with pytest.raises(ServerError, match="set DB_PORT"):
            server.start()
    assert (monotonic() - started > 2) is is_ours


def test_a_server_that_refuses_the_user_is_an_error_with_the_settings(project, server):
    done = project.invoke("db-up", DB_PORT=str(server.url.port))
    assert done.returncode == 2
    assert "If that server is not yours, set DB_PORT" in done.stderr


def test_a_running_server_is_left_alone(app):
    done = app.invoke("db-up")
    assert "answers: already running: a server that this project did not start" in done.stdout


def test_a_server_of_another_version_is_used_with_a_warning(tmp_path, server, monkeypatch):
    monkeypatch.setattr(development, "MAJOR", "14")
    reports = []
    answer = development_server(tmp_path, at_database(server, "postgres"), reports.append).start()
    assert answer.provider is None
    assert reports == [f"warning: this is PostgreSQL {answer.version}, and the library is for 14"]


def test_data_beside_a_server_that_is_not_ours_are_reported(tmp_path, server):
    reports = []
    settings = at_database(server, "postgres")
    (tmp_path / ".postgres").mkdir()
    (tmp_path / ".postgres" / "last-way").write_text("docker\na fake place\n")
    docker = FakeProvider(data=True)
    answer = development_server(tmp_path, settings, reports.append, docker=docker).start()
    assert answer.provider is None
    assert reports == ["warning: this project has data of its own: Fake, a fake place"]


def test_psql_is_the_one_on_path_without_a_password_among_its_arguments(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    settings = make_settings(password="hidden")
    provider = FakeProvider(psql=["provider's"])
    command, environment = development_server(tmp_path, settings, local=provider).psql()
    assert command[0] == "/usr/bin/psql"
    assert not any("hidden" in word for word in command)
    assert environment["PGPASSWORD"] == "hidden"


def test_without_psql_on_path_the_last_provider_that_has_one_is_used(tmp_path, monkeypatch):
    """A container's psql reads no file of this machine, so it comes last."""
    monkeypatch.setattr(shutil, "which", lambda _: None)
    docker, local = FakeProvider(psql=["in the container"]), FakeProvider(psql=["beside initdb"])
    settings = make_settings()
    both = development_server(tmp_path, settings, docker=docker, local=local)
    assert both.psql()[0][0] == "beside initdb"
    local.command = None
    assert both.psql()[0][0] == "in the container"


def test_without_any_psql_the_error_has_a_fix(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ServerError, match="Fix: install the client of PostgreSQL 15"):
        development_server(tmp_path, make_settings(), local=FakeProvider()).psql()


def test_a_second_db_up_waits_for_the_first_and_reports_that(tmp_path, server):
    reports = []
    first = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(first, fcntl.LOCK_EX)
    second = development_server(tmp_path, at_database(server, "postgres"), reports.append)
    with ThreadPoolExecutor(1) as executor:
        outcome = executor.submit(second.start)
        until(lambda: reports)
        os.close(first)
        assert outcome.result().provider is None
    assert reports == ["waiting for another db-up or db-down of this project"]
