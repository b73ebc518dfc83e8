"""Every task on every form of an address: sockets, several hosts, IPv6, TLS, options."""

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from dbfoundation.server import binaries
from dbfoundation.server.databases import create_database
from dbfoundation.server.processes import run
from dbfoundation.testing import environment_for, fresh_database, running_server
from tests.every_task import assert_every_task_works, at
from tests.support import assert_error, execute, free_port, ignore, local_server, only_in_ci, until

pytestmark = pytest.mark.skipif(
    binaries.unavailable_reason() is not None,
    reason=f"a private server: {binaries.unavailable_reason()}",
)


def start(server, options, *words):
    """Start a private server with other options than db-up gives it."""
    programs = binaries.find_programs(server.home)
    log = server.home / "log"
    command = [programs / "pg_ctl", "start", "-D", server.data, "-l", log, "-o", options, *words]
    done = run(command, report=ignore, waiting_for="", cwd="/", **binaries.run_as())
    assert done.returncode == 0, log.read_text()


@contextmanager
def restarted(options):
    """A private server, restarted with options; `{port}` is its port."""
    with local_server() as server:
        server.stop(ignore)
        start(server, options.format(port=server.settings.url.port))
        yield server


@pytest.fixture
def socket_folder():
    """A folder for a socket; its path is shorter than a socket's name may be."""
    folder = Path(tempfile.mkdtemp(prefix="db sock "))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def on_socket(socket_folder):
    """The settings of a server that listens on a socket only."""
    options = f"-p {{port}} -c listen_addresses='' -k '{socket_folder}'"
    with restarted(options) as server:
        settings = replace(
            server.settings, url=replace(server.settings.url, host=f"{socket_folder}")
        )
        create_database(settings)
        yield settings


def test_every_task_works_on_a_socket_in_each_form(on_socket, project):
    url = on_socket.url
    password, folder = quote(url.password, safe=""), quote(url.host, safe="")
    place = f" {url.name} on {url.host}/.s.PGSQL.{url.port}\n"
    for text in (
        f"postgresql://app:{password}@{folder}:{url.port}/app",
        f"postgresql://app:{password}@/app?host={folder}&port={url.port}",
        f"postgresql://:{url.port}/app?host={folder}&user=app&password={password}",
    ):
        done = assert_every_task_works(at(project, text), on_socket)
        assert place in done.stdout


@only_in_ci
def test_every_task_works_on_a_socket_in_parts(on_socket, project):
    url = on_socket.url
    names = ("DB_HOST", "DB_PORT", "DB_USER", "DB_PASSWORD")
    values = (url.host, str(url.port), url.user, url.password)
    exported = dict(zip(names, values, strict=True))
    assert_every_task_works(replace(project, environment=project.environment | exported), on_socket)


@only_in_ci
def test_the_account_is_the_user_of_a_url_without_one(on_socket, project):
    account = subprocess.run(
        ["id", "-un"], check=True, capture_output=True, text=True
    ).stdout.strip()
    data = Path(execute(on_socket, "SHOW data_directory")[0][0])
    execute(on_socket, f'CREATE ROLE "{account}" SUPERUSER LOGIN')
    (data / "pg_hba.conf").write_text("local all app scram-sha-256\nlocal all all peer\n")
    execute(on_socket, "SELECT pg_reload_conf()")
    folder, port = quote(on_socket.url.host, safe=""), on_socket.url.port
    app = at(project, f"postgresql:///app?host={folder}&port={port}")
    until(lambda: app.invoke("db-schema").returncode == 0)
    mine = replace(on_socket, url=replace(on_socket.url, user=account, password=""))
    assert_every_task_works(app, mine)


def test_db_up_starts_no_server_on_a_socket(project, socket_folder):
    url = f"postgresql://app:app@/app?host={quote(str(socket_folder))}"
    done = at(project, url).invoke("db-up")
    assert_error(done, "No such file or directory", "db-up starts one on this machine only")


def test_db_reset_refuses_a_socket(on_socket, project):
    """It may be that of a proxy to another machine, such as Cloud SQL's."""
    done = at(project, on_socket.url.render(with_password=True)).invoke("db-reset")
    assert_error(done, "db-reset would drop app on /")


@pytest.fixture
def several(private_server):
    """The settings of three hosts: one is down, one is read-only, one is the primary server.

    The second has the first database only, as a standby that has not caught up.
    """
    primary = private_server.settings
    with local_server() as second:
        create_database(primary)
        create_database(second.settings)
        execute(second.settings, "ALTER SYSTEM SET default_transaction_read_only = on")
        execute(second.settings, "SELECT pg_reload_conf()")
        ports = f"{free_port()},{second.settings.url.port},{primary.url.port}"
        hosts = "127.0.0.1,localhost,127.0.0.1"
        attributes = {"target_session_attrs": "read-write"}
        url = replace(primary.url, host=hosts, port=ports, parameters=attributes)
        yield replace(primary, url=url)


def test_every_task_works_on_the_primary_server_of_several_hosts(several, project):
    done = assert_every_task_works(at(project, several.url.render(with_password=True)), several)
    first, second, third = several.url.port.split(",")
    assert f"127.0.0.1:{first},localhost:{second},127.0.0.1:{third}\n" in done.stdout
    assert execute(several, "SELECT inet_server_port()") == [(int(third),)]


@only_in_ci
def test_every_task_works_on_several_hosts_in_parts(several, project):
    url = several.url
    exported = {
        "DB_HOST": url.host,
        "DB_PORT": url.port,
        "DB_USER": url.user,
        "DB_PASSWORD": url.password,
        "PGTARGETSESSIONATTRS": "read-write",
    }
    parts = replace(project, environment=project.environment | exported)
    assert_every_task_works(parts, several)


def test_without_a_primary_server_the_error_has_the_reason_of_each_host(several, project):
    url = replace(several.url, parameters={"target_session_attrs": "standby"})
    done = at(project, url.render(with_password=True)).invoke("migrate-up")
    assert done.returncode == 2
    assert "refused" in done.stderr
    assert "server is not in hot standby mode" in done.stderr
    assert "Fix: no server of the address is as target_session_attrs demands" in done.stderr


def test_db_up_and_db_down_start_and_stop_nothing_for_several_hosts(project):
    app = at(project, f"postgresql://app:app@127.0.0.1:{free_port()},localhost:{free_port()}/app")
    assert_error(app.invoke("db-up"), "refused", "db-up starts one on this machine only")
    assert app.invoke("db-down").stdout == "nothing to stop: no server of db-up runs here\n"


@only_in_ci
def test_every_task_works_on_an_ipv6_address(project):
    with local_server(host="::1") as server:
        settings = server.settings
        create_database(settings)
        app = at(project, settings.url.render(with_password=True))
        done = assert_every_task_works(app, settings)
        assert f" app on [::1]:{settings.url.port}\n" in done.stdout


@only_in_ci
def test_every_task_has_the_options_of_the_url(private_server, project):
    settings = private_server.settings
    create_database(settings)
    execute(settings, "CREATE SCHEMA shop")
    url = replace(settings.url, parameters={"options": "-csearch_path=shop,public -c a.b=1"})
    app = at(project, url.render(with_password=True))
    done = app.invoke("migrate-up", "migrate-check", "migrate-verify", "seed", "--yes", "db-schema")
    assert done.returncode == 0, done
    query = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename IN ('sessions', 'audit_log')"
    assert execute(settings, query) == [("shop",)]
    shell = app.invoke_process("db-shell", stdin="SHOW search_path;")
    assert "shop,public" in shell.stdout


@only_in_ci
def test_the_plugin_takes_every_form_of_an_address(on_socket, several, project, monkeypatch):
    for given in (on_socket, several):
        monkeypatch.setenv("TEST_DATABASE_URL", given.url.render(with_password=True))
        with running_server() as settings, fresh_database(settings) as fresh:
            assert settings.url == given.url
            done = project.invoke("migrate-up", **environment_for(fresh))
            assert done.returncode == 0, done
