"""A primary server with a streaming standby, and the ways in which a server changes its role."""

import os
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dbfoundation.server import binaries
from dbfoundation.server.binaries import chown_to_server
from dbfoundation.server.local import LocalServer
from dbfoundation.server.processes import run
from tests.support import at_database, execute, free_port, ignore, local_server, remove, until

STREAMING = "SELECT state, sync_state FROM pg_stat_replication"


@contextmanager
def replicated_server(*, is_synchronous):
    """A primary server and its standby, both running.

    With `is_synchronous`, the primary server acknowledges a COMMIT after the standby has it on its
    disk.
    """
    with local_server() as primary, standby_of(primary) as standby:
        server = at_database(primary.settings, "postgres")
        if is_synchronous:
            execute(server, "ALTER SYSTEM SET synchronous_standby_names = '*'")
            execute(server, "SELECT pg_reload_conf()")
        state = ("streaming", "sync" if is_synchronous else "async")
        until(lambda: execute(server, STREAMING) == [state])
        yield primary, standby


@contextmanager
def standby_of(primary):
    """A private server that streams from a running one; it has the same roles and databases."""
    home = chown_to_server(Path(tempfile.mkdtemp(prefix="dbfoundation-test-")))
    url = replace(primary.settings.url, port=free_port())
    standby = LocalServer(home, replace(primary.settings, url=url))
    try:
        copy_data(primary, standby)
        standby.start(ignore)
        yield standby
    finally:
        remove(standby)


def copy_data(primary, standby):
    """Copy a running server's data, with what the copy needs to stream from it."""
    source = primary.settings.url
    program = binaries.find_programs(standby.home) / "pg_basebackup"
    address = ["-h", source.host, "-p", str(source.port), "-U", source.user]
    done = run(
        [str(program), *address, "-D", str(standby.data), "-R", "-X", "stream", "-c", "fast"],
        report=ignore,
        waiting_for="pg_basebackup",
        cwd="/",
        env=os.environ | {"PGPASSWORD": source.password},
        **binaries.run_as(),
    )
    assert done.returncode == 0, done.stdout


def promote(standby):
    """Make a standby a primary server; returns when it accepts changes."""
    assert execute(at_database(standby.settings, "postgres"), "SELECT pg_promote()") == [(True,)]


def demote(server):
    """Restart a server as a standby that streams from nowhere."""
    server.stop(ignore)
    (server.data / "standby.signal").touch()
    server.start(ignore)


def both(primary, standby, name, attributes="read-write"):
    """The settings of a database at both servers."""
    url = replace(
        primary.settings.url,
        name=name,
        host=f"{primary.settings.url.host},{standby.settings.url.host}",
        port=f"{primary.settings.url.port},{standby.settings.url.port}",
        parameters={"target_session_attrs": attributes} if attributes else {},
    )
    return replace(primary.settings, url=url)
