"""Recoveries that last until a test ends them, in place of gigabytes of WAL.

The server asks its restore_command for WAL before it accepts a connection, and the command waits
for a file beside the data.
"""

import os
import signal
from contextlib import suppress

from dbfoundation.server.binaries import chown_to_server
from dbfoundation.server.processes import works_in
from tests.support import at_database, execute, until

SETTINGS = "restore_command = 'until [ -e ../recovered ]; do sleep 0.1; done; false'\n"


def crash(server):
    """Kill a private server with all of its processes, as a power failure does."""
    others = "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    workers = [pid for (pid,) in execute(at_database(server.settings, "postgres"), others)]
    postmaster = int((server.data / "postmaster.pid").read_text().split()[0])
    for pid in (postmaster, *workers):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    until(lambda: not any(works_in(pid, server.data) for pid in (postmaster, *workers)))


def hold_recovery(server):
    """Make the next start of a private server recover until `end_recovery`."""
    with (server.data / "postgresql.auto.conf").open("a") as file:
        file.write(SETTINGS)
    signal_file = server.data / "recovery.signal"
    signal_file.touch()
    chown_to_server(signal_file)


def end_recovery(server):
    (server.home / "recovered").touch()
