"""The servers and databases for tests."""

from contextlib import suppress

import pytest

from dbfoundation.errors import NoDatabaseError, ServerError, SettingsError
from dbfoundation.server import binaries
from dbfoundation.server.compose import Compose
from dbfoundation.server.databases import check
from dbfoundation.server.development import listens
from dbfoundation.server.local import LocalServer
from dbfoundation.testing import environment_for, fresh_database, running_server
from tests.support import execute


def test_test_database_url_names_the_server(server, monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", server.url.render(with_password=True))
    with running_server() as settings:
        assert settings.url == server.url


@pytest.mark.parametrize("url", ["postgresql://host", "postgresql://a:b@c:5432x/d", "secret"])
def test_an_invalid_test_database_url_is_an_error_that_does_not_show_it(url, monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", url)
    with pytest.raises(SettingsError, match="TEST_DATABASE_URL") as raised, running_server():
        pass
    assert url not in str(raised.value)


@pytest.mark.skipif(
    bool(binaries.unavailable_reason()), reason=f"a private server: {binaries.unavailable_reason()}"
)
def test_a_private_server_ends_with_the_block(monkeypatch):
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    with suppress(KeyError), running_server() as settings:
        assert execute(settings, "SHOW fsync") == [("off",)]
        raise KeyError
    assert not listens(settings.url.host, settings.url.port)


def test_without_a_provider_the_error_has_every_reason_and_the_fixes(monkeypatch):
    monkeypatch.delenv("TEST_DATABASE_URL", raising=False)
    monkeypatch.setattr(LocalServer, "unavailable_reason", lambda _: "no programs")
    monkeypatch.setattr(Compose, "unavailable_reason", lambda _: "no engine")
    with pytest.raises(ServerError, match="no programs; no engine") as raised, running_server():
        pass
    assert "TEST_DATABASE_URL" in str(raised.value)


def test_a_fresh_database_is_empty_and_is_dropped_after_the_block(server):
    with fresh_database(server) as settings:
        tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        assert execute(settings, tables) == [(0,)]
    with pytest.raises(NoDatabaseError):
        check(settings)


def test_a_task_in_the_environment_for_a_database_uses_that_database(project, settings):
    done = project.invoke("migrate-up", **environment_for(settings))
    assert done.returncode == 0, done
    assert execute(settings, "SELECT count(*) FROM sessions") == [(0,)]
