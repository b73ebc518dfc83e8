"""Tasks on a standby server, and in a read-only session: those that change anything refuse."""

import json
from dataclasses import replace

import pytest

from dbfoundation.server import binaries
from dbfoundation.server.databases import create_database
from dbfoundation.testing import fresh_database
from tests.every_task import at
from tests.standby import demote
from tests.support import assert_error, execute, free_port, local_server

pytestmark = pytest.mark.skipif(
    binaries.unavailable_reason() is not None,
    reason=f"a private server: {binaries.unavailable_reason()}",
)

CHANGES = (
    ["migrate-up"],
    ["migrate-up", "--dry-run"],
    ["migrate-down"],
    ["migrate-redo"],
    ["migrate-accept", "--all"],
    ["migrate-stamp", "001"],
    ["migrate-stamp", "zero", "--yes"],
    ["migrate-check"],
    ["migrate-verify"],
    ["seed", "--yes"],
    ["sessions-prune"],
    ["db-reset", "--yes"],
)


@pytest.fixture(scope="module")
def standby():
    """The settings of an empty database on a standby server."""
    with local_server() as server:
        create_database(server.settings)
        demote(server)
        yield server.settings


@pytest.mark.parametrize("words", CHANGES, ids=" ".join)
def test_a_task_that_changes_anything_refuses_a_standby_by_name(standby, project, words):
    done = at(project, standby.url.render(with_password=True)).invoke(*words)
    assert_error(done, f"error: 127.0.0.1:{standby.url.port} is a standby server", "Fix: ")
    assert done.stdout == ""


@pytest.mark.parametrize("words", CHANGES, ids=" ".join)
def test_a_task_that_changes_anything_refuses_a_read_only_session(server, project, words):
    url = replace(server.url, parameters={"options": "-c default_transaction_read_only=on"})
    done = at(project, url.render(with_password=True)).invoke(*words)
    assert_error(
        done, f"{server.url.server} is read-only: default_transaction_read_only is on", "Fix: "
    )
    assert done.stdout == ""


def test_a_session_may_write_where_the_address_says_so(server, project):
    with fresh_database(server) as settings:
        statement = f"ALTER DATABASE {settings.url.name} SET default_transaction_read_only = on"
        execute(settings, statement)
        assert_error(at(project, settings.url.render(with_password=True)).invoke("migrate-up"))
        url = replace(settings.url, parameters={"options": "-c default_transaction_read_only=off"})
        done = at(project, url.render(with_password=True)).invoke("migrate-up")
        assert done.returncode == 0, done


def test_tasks_that_read_work_on_a_standby(standby, project):
    app = at(project, standby.url.render(with_password=True))
    status = app.invoke("migrate-status")
    assert status.returncode == 1
    assert "0 applied, 3 pending" in status.stdout
    assert app.invoke("db-schema", "db-up").returncode == 0


def test_the_refusal_is_json_where_a_flag_asks_for_it(standby, project):
    done = at(project, standby.url.render(with_password=True)).invoke("migrate-check", "--json")
    assert done.returncode == 2
    assert "is a standby server" in json.loads(done.stdout)["error"]


def test_the_refusal_names_the_server_that_answered_of_several_hosts(standby, project):
    url = replace(
        standby.url, host="127.0.0.1,localhost", port=f"{free_port()},{standby.url.port}"
    ).render(with_password=True)
    done = at(project, url).invoke("migrate-up")
    assert_error(done, f"error: localhost:{standby.url.port} is a standby server")
