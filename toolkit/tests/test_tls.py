"""TLS: sslmode and sslrootcert, in the URL or as libpq's variables, for every task."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from dbfoundation.server import binaries
from dbfoundation.server.databases import create_database
from tests.every_task import assert_every_task_works, at
from tests.support import assert_error, execute, only_in_ci

needs_programs = pytest.mark.skipif(
    binaries.unavailable_reason() is not None,
    reason=f"a private server: {binaries.unavailable_reason()}",
)
pytestmark = [needs_programs, only_in_ci]


def openssl(folder, *words):
    subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)


@pytest.fixture
def certified(private_server):
    """The settings of a server with TLS, whose certificate is for localhost; and the CA's file."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    folder, data = private_server.home / "tls", private_server.data
    folder.mkdir()
    new = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    openssl(folder, *new, "-subj", "/CN=test-ca", "-keyout", "ca.key", "-out", "ca.crt")
    openssl(folder, *new, "-subj", "/CN=other-ca", "-keyout", "o.key", "-out", "other.crt")
    sign = ("-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "subjectAltName=DNS:localhost")
    openssl(folder, *new, "-subj", "/CN=localhost", *sign, "-keyout", "s.key", "-out", "s.crt")
    for name in ("s.key", "s.crt"):
        copy = Path(shutil.copy(folder / name, data / name))
        binaries.chown_to_server(copy).chmod(0o600)
    server = replace(
        private_server.settings, url=replace(private_server.settings.url, name="postgres")
    )
    for name, value in (("ssl_cert_file", "s.crt"), ("ssl_key_file", "s.key"), ("ssl", "on")):
        execute(server, f"ALTER SYSTEM SET {name} = '{value}'")
    (data / "pg_hba.conf").write_text("hostssl all all all scram-sha-256\n")
    execute(server, "SELECT pg_reload_conf()")
    create_database(private_server.settings)
    return replace(server, url=replace(server.url, host="localhost", name="app")), folder


def test_every_task_obeys_sslrootcert_and_verify_full(certified, project):
    settings, folder = certified
    tls = {"sslmode": "verify-full", "sslrootcert": str(folder / "ca.crt")}
    for parameters, exported in (
        (tls, {}),
        ({}, {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": tls["sslrootcert"]}),
    ):
        url = replace(settings.url, parameters=parameters)
        app = at(project, url.render(with_password=True))
        app = replace(app, environment=app.environment | exported)
        assert_every_task_works(app, replace(settings, url=replace(url, parameters=tls)))


@pytest.mark.parametrize(
    ("host", "certificate", "reason"),
    [
        ("localhost", "other.crt", "certificate verify failed"),
        ("localhost", "missing.crt", "does not exist"),
        ("127.0.0.1", "ca.crt", "does not match host name"),
    ],
)
def test_a_certificate_that_does_not_match_is_an_error_of_every_task(
    certified, project, host, certificate, reason
):
    settings, folder = certified
    tls = {"sslmode": "verify-full", "sslrootcert": str(folder / certificate)}
    url = replace(settings.url, host=host, parameters=tls)
    app = at(project, url.render(with_password=True))
    for task in ("migrate-up", "db-schema", "seed", "migrate-verify"):
        assert_error(app.invoke(task), reason, "Fix: check sslmode, sslrootcert")
    shell = app.invoke_process("db-shell", stdin="SELECT 1")
    assert (shell.returncode, reason in shell.stderr) == (2, True), shell
