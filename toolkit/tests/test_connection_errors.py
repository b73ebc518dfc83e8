"""Each cause of a failed connection, with a real listener for each: its error, and its fix."""

import os
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import replace

import pytest

from dbfoundation.errors import (
    AccessDeniedError,
    DatabaseError,
    NoDatabaseError,
    StartingError,
    UnavailableError,
)
from dbfoundation.runtime import connection_errors
from dbfoundation.runtime.connection import connected, dedicated
from dbfoundation.server import binaries, databases
from tests.listeners import HangUp, Http, Mute, listener
from tests.support import (
    PASSWORD,
    at_database,
    execute,
    free_port,
    ignore,
    local_server,
    make_settings,
    until,
)

pytestmark = pytest.mark.skipif(
    binaries.unavailable_reason() is not None,
    reason=f"a private server: {binaries.unavailable_reason()}",
)
RULES = """\
host all rejected 127.0.0.1/32 reject
host all trusted 127.0.0.1/32 trust
host all unlisted 127.0.0.1/32 ident
hostssl all encrypted 127.0.0.1/32 scram-sha-256
host all encrypted 127.0.0.1/32 reject
host all all all scram-sha-256
"""
ROLES = """
CREATE ROLE crowded LOGIN PASSWORD 'p' CONNECTION LIMIT 0;
CREATE ROLE encrypted LOGIN PASSWORD 'p';
CREATE ROLE stranger LOGIN PASSWORD 'p';
CREATE DATABASE closed ALLOW_CONNECTIONS false;
CREATE DATABASE private;
REVOKE CONNECT ON DATABASE private FROM PUBLIC;
"""


@pytest.fixture(scope="module")
def own_server():
    """A server of the module's own, which can speak German."""
    with pytest.MonkeyPatch.context() as patch, local_server_in(patch, LANGUAGE="de") as running:
        settings = at_database(running.settings, "postgres")
        (running.data / "pg_hba.conf").write_text(RULES)
        for statement in ROLES.strip().splitlines():
            execute(settings, statement)
        yield replace(settings, connect_timeout_seconds=2)


@contextmanager
def local_server_in(patch, **environment):
    for name, value in environment.items():
        patch.setenv(name, value)
    with local_server() as running:
        yield running


@pytest.fixture(scope="module", params=["C", "C.UTF-8"], ids=["English", "German"])
def settings(request, own_server):
    """The server's settings, with its messages in a language."""
    execute(own_server, f"ALTER SYSTEM SET lc_messages = '{request.param}'")
    execute(own_server, "SELECT pg_reload_conf()")
    until(lambda: execute(own_server, "SHOW lc_messages") == [(request.param,)])
    text = failure(own_server, name="missing").reason
    if request.param != "C" and "does not exist" in text:
        pytest.skip("this PostgreSQL has no German messages")
    return own_server


def failure(settings, **changes):
    """The library's error for the settings with another URL."""
    changed = replace(settings, url=replace(settings.url, **changes))
    with (
        pytest.raises(DatabaseError) as caught,
        connected(dedicated(changed, "test"), changed),
    ):
        pass
    assert PASSWORD not in str(caught.value)
    with pytest.raises(type(caught.value)):
        databases.check(changed)
    return caught.value


def kind_of_failure(settings):
    """The library's error for the settings; None where the connection works."""
    try:
        databases.check(settings)
    except DatabaseError as error:
        return type(error)
    return None


def options(text):
    return {"parameters": {"options": text}}


OF_SERVER = [
    ({"password": "wrong"}, AccessDeniedError, "check DB_USER and DB_PASSWORD"),
    ({"user": "nobody"}, AccessDeniedError, "check DB_USER and DB_PASSWORD"),
    ({"user": "trusted"}, AccessDeniedError, "pg_hba.conf"),
    ({"user": "rejected"}, AccessDeniedError, "pg_hba.conf"),
    ({"user": "encrypted", "password": "p"}, AccessDeniedError, "pg_hba.conf"),
    ({"user": "unlisted"}, AccessDeniedError, "pg_hba.conf"),
    (
        {"user": "stranger", "password": "p", "name": "private"},
        AccessDeniedError,
        "CONNECT to the database",
    ),
    ({"user": "stranger", "password": "p"} | options("-c fsync=off"), DatabaseError, "`options`"),
    (
        {"user": "stranger", "password": "p"} | options("-c lc_messages=C"),
        AccessDeniedError,
        "`options`",
    ),
    ({"name": "missing"}, NoDatabaseError, "invoke db-reset"),
    ({"name": "timeout"}, NoDatabaseError, "invoke db-reset"),
    ({"name": "closed"}, DatabaseError, "what the server allows"),
    (options("-c statement_timeout=timeout"), DatabaseError, "correct the `options`"),
    (options("-c timed_out=refused"), DatabaseError, "correct the `options`"),
    (options("starting up"), DatabaseError, "correct the `options`"),
    ({"user": "crowded", "password": "p"}, DatabaseError, "lower DB_POOL_MAX_CONNECTIONS"),
]


@pytest.mark.parametrize(("changes", "kind", "fix"), OF_SERVER)
def test_a_reason_of_the_server_is_known_by_its_code_in_any_language(settings, changes, kind, fix):
    error = failure(settings, **changes)
    assert type(error) is kind, error
    assert fix in str(error)


def test_without_the_codes_the_error_is_a_plain_one(own_server, monkeypatch):
    """A build of psycopg2 may hide the functions of its libpq."""
    monkeypatch.setattr(connection_errors, "CDLL", lambda _: object())
    assert type(failure(own_server, name="missing")) is DatabaseError


def test_a_second_attempt_that_succeeds_means_that_the_server_was_starting(own_server):
    error = Exception("FATAL:  the database system is starting up\n")
    assert type(connection_errors.connection_error(error, own_server)) is StartingError


PLAIN = {"sslmode": "disable"}


@pytest.mark.parametrize(
    ("handler", "parameters", "fix"),
    [
        (Mute, {}, "timeout expired (DB_CONNECT_TIMEOUT: 2 s)"),
        (Mute, PLAIN, "timeout expired (DB_CONNECT_TIMEOUT: 2 s)"),
        (Mute, {"connect_timeout": "3"}, "timeout expired (DB_CONNECT_TIMEOUT: 3 s)"),
        (Http, {}, "check DB_HOST and DB_PORT"),
        (Http, PLAIN, "check DB_HOST and DB_PORT"),
        (HangUp, {}, "check DB_HOST and DB_PORT"),
        (HangUp, PLAIN, "check DB_HOST and DB_PORT"),
    ],
)
def test_a_listener_that_is_no_postgresql_is_unavailable(handler, parameters, fix):
    settings = replace(make_settings(), connect_timeout_seconds=2)
    with listener(handler) as port:
        error = failure(settings, port=port, parameters=parameters)
    assert type(error) is UnavailableError
    assert fix in str(error)


@pytest.mark.parametrize(
    ("host", "reason", "fix"),
    [
        ("127.0.0.1", "refused", "`invoke db-up`; or check DB_HOST and DB_PORT"),
        ("::1", "refused", "`invoke db-up`"),
        ("nowhere.invalid", "translate host name", "Fix: check DB_HOST and DB_PORT"),
        ("/nowhere", "No such file or directory", "Fix: check DB_HOST and DB_PORT"),
        ("127.0.0.1,/nowhere", "No such file or directory", "Fix: check DB_HOST and DB_PORT"),
    ],
)
def test_an_address_without_a_listener_is_unavailable(host, reason, fix):
    error = failure(make_settings(host=host, port=free_port()))
    assert type(error) is UnavailableError
    assert reason in str(error)
    assert fix in str(error)


def test_a_missing_password_is_named(own_server):
    error = failure(own_server, password="")
    assert type(error) is AccessDeniedError
    assert "Fix: set DB_PASSWORD" in str(error)


@pytest.mark.parametrize(
    ("parameters", "fix"),
    [
        ({"sslmode": "require"}, "check sslmode"),
        ({"sslmode": "sometimes"}, "check sslmode"),
        ({"sslmode": "verify-full", "sslrootcert": "/nowhere"}, "check sslmode, sslrootcert"),
        ({"target_session_attrs": "read-only"}, "target_session_attrs"),
        ({"target_session_attrs": "standby"}, "target_session_attrs"),
        ({"connect_timeout": "soon"}, "check DATABASE_URL"),
    ],
)
def test_a_parameter_that_the_server_does_not_meet_is_named(own_server, parameters, fix):
    error = failure(own_server, parameters=parameters)
    assert type(error) is DatabaseError
    assert fix in str(error)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, None),
        ({"name": "missing"}, NoDatabaseError),
        ({"password": "wrong"}, AccessDeniedError),
        ({"parameters": {"target_session_attrs": "read-only"}}, DatabaseError),
    ],
)
def test_the_most_specific_reason_of_several_hosts_counts(own_server, changes, kind):
    port = own_server.url.port
    several = {"host": "127.0.0.1,127.0.0.1,/nowhere", "port": f"{free_port()},{port},{port}"}
    url = replace(own_server.url, **several | changes)
    if kind is None:
        databases.check(replace(own_server, url=url))
    else:
        error = failure(own_server, **several | changes)
        assert type(error) is kind, error
        assert "refused Is the server running on that host and" in str(error)
        assert '?; connection to server at "127.0.0.1"' in str(error)


@pytest.fixture
def recovering():
    """A server in recovery that accepts no connection: a standby that is not hot."""
    with local_server() as running:
        running.stop(ignore)
        signal = running.data / "standby.signal"
        signal.touch()
        shutil.chown(signal, *owner(running.data))
        with (running.data / "postgresql.auto.conf").open("a") as file:
            file.write("hot_standby = off\n")
        programs = binaries.find_programs(running.home)
        port = running.settings.url.port
        where = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        command = [programs / "pg_ctl", "start", "-W", "-D", running.data, "-o", where]
        log = ["-l", running.home / "log"]
        subprocess.run(
            [*command, *log], check=True, capture_output=True, cwd="/", **binaries.run_as()
        )
        yield at_database(running.settings, "postgres")


def owner(path):
    status = path.stat()
    return status.st_uid, status.st_gid


def test_a_recovering_server_is_starting(recovering):
    until(lambda: kind_of_failure(recovering) is StartingError)
    error = failure(recovering)
    assert "Fix: wait until the server accepts connections" in str(error)
    several = {"host": "127.0.0.1,127.0.0.1", "port": f"{free_port()},{recovering.url.port}"}
    assert type(failure(recovering, **several)) is StartingError


def test_a_server_that_shuts_down_is_starting(private_server):
    """It waits for its sessions, and accepts no other."""
    settings = at_database(private_server.settings, "postgres")
    session = dedicated(settings, "last")
    with session.connection_context():
        pid = int((private_server.data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, 15)
        until(lambda: kind_of_failure(settings) is StartingError)
    until(lambda: private_server.port() is None)
