"""db-reset and seed: on a server of the project's own, and with consent on any other."""

import os
import pty
import socket
from contextlib import closing, contextmanager
from dataclasses import replace
from threading import Thread

import pytest

from dbfoundation.server import binaries
from dbfoundation.server.ownership import owner
from tests.support import (
    assert_error,
    at_database,
    execute,
    free_port,
    ignore,
    local_home,
    make_settings,
    tables,
)

NOT_OURS = "on a server that this project did not start"
needs_programs = pytest.mark.skipif(
    binaries.unavailable_reason() is not None,
    reason=f"db-up --via local: {binaries.unavailable_reason()}",
)


@pytest.fixture
def precious(settings):
    """A table that no task may drop."""
    execute(settings, "CREATE TABLE precious (id integer)")
    execute(settings, "INSERT INTO precious SELECT generate_series(1, 100)")
    return settings


def test_db_reset_refuses_a_server_that_the_project_did_not_start(app, precious):
    done = app.invoke("db-reset")
    assert_error(done, f"db-reset would drop {precious.url}, {NOT_OURS}", "Fix: add --yes")
    assert tables(precious) == ["precious"]
    assert app.invoke("db-reset", "--yes").returncode == 0
    assert "precious" not in tables(precious)


def test_app_env_in_the_file_permits_nothing(app, precious):
    """An exported address, such as that of a tunnel, is none that the file knows about."""
    assert "APP_ENV=" in (app.folder / ".env").read_text()
    without = replace(app, environment={k: v for k, v in app.environment.items() if k != "APP_ENV"})
    assert_error(without.invoke("db-reset"), NOT_OURS)
    assert tables(precious) == ["precious"]


@pytest.mark.parametrize("task", ["db-reset", "seed"])
@pytest.mark.parametrize("is_exported", [True, False])
def test_production_is_refused_whatever_the_command_agrees_to(app, precious, task, is_exported):
    exported = {"APP_ENV": "production"}
    if not is_exported:
        file = app.folder / ".env"
        file.write_text(file.read_text().replace("APP_ENV=development", "APP_ENV=production"))
        del app.environment["APP_ENV"]
        exported = {}
    done = app.invoke(task, "--yes", **exported)
    assert_error(done, f"{precious.url}, and APP_ENV is production", "Fix: ")
    assert tables(precious) == ["precious"]


def test_seed_refuses_a_server_that_the_project_did_not_start(app, settings):
    app.invoke("migrate-up")
    assert_error(app.invoke("seed"), f"into {settings.url}, {NOT_OURS}", "Fix: add --yes")
    assert execute(settings, "SELECT count(*) FROM sessions") == [(0,)]
    assert app.invoke("seed", "--yes").returncode == 0


@pytest.mark.parametrize(("answer", "is_dropped"), [("y", False), ("", False), (None, True)])
def test_at_a_terminal_db_reset_asks_for_the_name_of_the_database(
    app, precious, answer, is_dropped
):
    execute(precious, "ANALYZE")
    person, terminal = pty.openpty()
    streams = {"stdin": terminal, "stderr": terminal}
    with app.start("db-reset", **streams) as process, closing(os.fdopen(person, "rb+", 0)) as typed:
        os.close(terminal)
        typed.write(f"{precious.url.name if answer is None else answer}\n".encode())
        process.stdout.read()
        shown = read_all(typed)
    assert f"db-reset would drop {precious.url} (PostgreSQL 15." in shown
    assert f"1 tables, about 100 rows), {NOT_OURS}. Type {precious.url.name} to agree:" in shown
    assert ("precious" not in tables(precious)) is is_dropped
    assert process.returncode == (0 if is_dropped else 2), shown
    assert ("not agreed: nothing was changed" in shown) is not is_dropped


def read_all(terminal):
    shown = b""
    try:
        while part := terminal.read(4096):
            shown += part
    except OSError:  # how Linux ends a terminal whose program has ended
        pass
    return shown.decode()


@pytest.fixture
def own(project_with_server_data):
    """A project whose own server runs."""
    done = project_with_server_data.invoke("db-up", "--via=local", "migrate-up")
    assert done.returncode == 0, done
    return project_with_server_data


@needs_programs
def test_on_a_server_of_its_own_a_project_needs_no_consent(own):
    done = own.invoke("db-reset", "seed")
    assert done.returncode == 0, done
    assert "inserted 0, unchanged 12" in done.stdout


@needs_programs
def test_another_clone_sees_whose_server_it_uses_and_must_agree(own, tmp_path_factory):
    clone = replace(own, folder=copy_of(own, tmp_path_factory.mktemp("clone")))
    up = clone.invoke("db-up")
    assert "already running: a server that this project did not start, PostgreSQL 15." in up.stdout
    assert_error(clone.invoke("db-reset"), NOT_OURS)
    assert_error(clone.invoke("seed"), NOT_OURS)
    assert clone.invoke("db-down").stdout.startswith("nothing to stop")
    assert own.invoke("seed").returncode == 0


def copy_of(project, folder):
    for path in project.folder.iterdir():
        if path.name != ".postgres":
            (folder / path.name).symlink_to(path)
    return folder


@contextmanager
def tunnel(host, port, target):
    """Forward one address of this machine to the port of another server, as `ssh -L` does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:

        def accept():
            while True:
                try:
                    near, _ = listener.accept()
                except OSError:
                    return
                far = socket.create_connection(("127.0.0.1", target))
                for source, sink in ((near, far), (far, near)):
                    Thread(target=forward, args=(source, sink)).start()

        thread = Thread(target=accept)
        thread.start()
        yield
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def forward(source, sink):
    with source, sink:
        try:
            while part := source.recv(65536):
                sink.sendall(part)
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


@needs_programs
def test_a_tunnel_beside_the_own_server_leads_to_a_server_that_is_not_ours(own, precious):
    """It has the port of the project's own server, and another address of this machine."""
    port = int(own.environment["DB_PORT"])
    url = replace(precious.url, host="::1", port=port)
    with tunnel("::1", port, precious.url.port):
        assert tables(replace(precious, url=url)) == ["precious"]
        exported = {
            "DATABASE_URL": url.render(with_password=True),
            "DB_PORT": "",
            "DB_PASSWORD": "",
        }
        assert_error(own.invoke("db-reset", **exported), f"db-reset would drop {url}, {NOT_OURS}")
    assert tables(precious) == ["precious"]


@needs_programs
def test_a_server_is_ours_by_its_process_and_data_not_by_its_address(own, precious):
    port = int(own.environment["DB_PORT"])
    settings = make_settings(port=port)
    server = local_home(own)
    assert owner(own.folder, settings).name == "a private server"
    assert owner(own.folder, precious) is None
    with tunnel("127.0.0.1", other := free_port(), port):
        through = make_settings(port=other)
        assert owner(own.folder, through).name == "a private server"
    missing = at_database(settings, "no such database")
    assert owner(own.folder, missing).name == "a private server"
    server.stop(ignore)
    with tunnel("127.0.0.1", port, precious.url.port):
        same_address = replace(precious, url=replace(precious.url, port=port))
        assert owner(own.folder, same_address) is None
