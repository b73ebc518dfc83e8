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
    address = ["-h", source.host, "-p", str(source.port), "-U", source.user]
    options = ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
    run_program(standby, "pg_basebackup", *address, *options, PGPASSWORD=source.password)


def run_program(server, program, *words, **environment):
    """Run one of PostgreSQL's programs on a private server's data."""
    command = [str(binaries.find_programs(server.home) / program), "-D", str(server.data), *words]
    env = os.environ | environment
    done = run(command, report=ignore, waiting_for="", cwd="/", env=env, **binaries.run_as())
    assert done.returncode == 0, done.stdout


def stop_at_once(server):
    """End a server as a crash does: no session ends its work, and nothing more is sent."""
    run_program(server, "pg_ctl", "stop", "-m", "immediate")


def disconnect(primary, standby):
    """End the streaming: the standby misses everything that the primary server does from now on."""
    settings = at_database(standby.settings, "postgres")
    execute(settings, "ALTER SYSTEM SET primary_conninfo = ''")
    execute(settings, "SELECT pg_reload_conf()")
    until(lambda: execute(at_database(primary.settings, "postgres"), STREAMING) == [])


def promote(standby):
    """Make a standby a primary server; returns when it accepts changes."""
    assert execute(at_database(standby.settings, "postgres"), "SELECT pg_promote()") == [(True,)]


def demote(server):
    """Restart a server as a standby that streams from nowhere."""
    server.stop(ignore)
    (server.data / "standby.signal").touch()
    server.start(ignore)


def make_read_only(server):
    """Refuse changes from now on, in the sessions that are open, too."""
    settings = at_database(server.settings, "postgres")
    execute(settings, "ALTER SYSTEM SET default_transaction_read_only = on")
    execute(settings, "SELECT pg_reload_conf()")
    until(lambda: execute(settings, "SHOW default_transaction_read_only") == [("on",)])


def both(primary, standby, *, prefer="read-write"):
    """The settings of a database at both servers, and which of them to take."""
    first, second = primary.settings.url, standby.settings.url
    hosts, ports = f"{first.host},{second.host}", f"{first.port},{second.port}"
    parameters = {"target_session_attrs": prefer}
    url = replace(first, host=hosts, port=ports, parameters=parameters)
    return replace(primary.settings, url=url)
