"""Connections outside of the pool, and the errors of those that fail."""

from dataclasses import replace

import pytest

from dbfoundation.errors import AccessDeniedError, NoDatabaseError, UnavailableError
from dbfoundation.runtime.connection import connected, dedicated
from tests.support import PASSWORD, free_port


def show(db, name):
    return db.execute_sql("SELECT current_setting(%s)", (name,)).fetchone()[0]


def test_the_pools_connections_run_in_utc_under_the_applications_name(pool, settings):
    with pool.connection_context():
        assert show(pool, "TimeZone") == "UTC"
        assert show(pool, "application_name") == settings.application_name


def test_a_dedicated_connection_names_its_purpose(server):
    db = dedicated(server, "migrate")
    with connected(db, server):
        assert show(db, "application_name") == "tests/migrate"
        assert show(db, "TimeZone") == "UTC"
    assert db.is_closed()


def test_a_name_in_the_url_replaces_that_of_the_settings(server):
    url = replace(server.url, parameters={"application_name": "named"})
    db = dedicated(replace(server, url=url), "migrate")
    with connected(db, server):
        assert show(db, "application_name") == "named/migrate"


@pytest.mark.parametrize(
    ("changes", "error", "fix"),
    [
        ({"port": free_port()}, UnavailableError, "invoke db-up"),
        ({"password": "wrong"}, AccessDeniedError, "DB_PASSWORD"),
        ({"name": "missing"}, NoDatabaseError, "invoke db-reset"),
    ],
)
def test_the_error_of_a_failed_connection_has_a_fix_and_no_password(server, changes, error, fix):
    settings = replace(server, url=replace(server.url, **changes))
    with (
        pytest.raises(error, match=f"Fix: .*{fix}") as caught,
        connected(dedicated(settings, "x"), settings),
    ):
        pass
    assert PASSWORD not in str(caught.value)
    assert "wrong" not in str(caught.value)
