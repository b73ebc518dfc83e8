"""A PgBouncer in front of the tests' server."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from dbfoundation.server.development import listens
from tests.support import free_port, until

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")

CONFIGURATION = """
[databases]
* = host={url.host} port={url.port} user={url.user} password='{password}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
ignore_startup_parameters = {ignored}
default_pool_size = 5
logfile = {folder}/log
"""


@contextmanager
def running_pooler(server, ignored):
    """A PgBouncer that ignores some parameters of a connection and refuses others."""
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="dbfoundation-test-pooler-"))
    file = folder / "pgbouncer.ini"
    password = server.url.password.replace("'", "''")
    values = {"url": server.url, "password": password, "port": port, "folder": folder}
    file.write_text(CONFIGURATION.format(ignored=ignored, **values))
    account = {}
    if not os.geteuid():
        nobody = pwd.getpwnam("nobody")
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        for path in (folder, file):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
    process = subprocess.Popen(
        [PGBOUNCER, "-q", str(file)], cwd="/", stderr=subprocess.DEVNULL, **account
    )
    until(lambda: listens("127.0.0.1", port))
    yield port
    process.terminate()
    process.wait()
    shutil.rmtree(folder)
