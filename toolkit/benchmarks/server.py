"""The PostgreSQL server of a run: private, with default settings, removed at the end."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from benchmarks import PROJECT
from dbfoundation.migrations.engine import Engine
from dbfoundation.runtime.connection import connected, dedicated
from dbfoundation.server import binaries, databases
from dbfoundation.server.local import LocalServer
from dbfoundation.settings import MIGRATION_URL, Settings
from dbfoundation.url import PARTS
from models import database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbfoundation.server.processes import Report

# The library's defaults: those of a user's shell or .env would change the figures.
DEFAULTS = {
    variable: f"{getattr(Settings, field)}" for field, (variable, _) in Settings.NUMBERS.items()
}
# Containers set these. A developer's machine keeps the bytecode.
PYTHON_VARIABLES = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED")


@contextmanager
def private_server(report: Report) -> Iterator[tuple[Settings, Path]]:
    """A server for the block; yields its settings, and the folder of PostgreSQL's programs."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    settings = export(f"postgresql://bench:{token_hex(16)}@127.0.0.1:{port}/bench")
    # For root, PostgreSQL runs as another account, which cannot read root's own folders.
    home = Path(tempfile.mkdtemp(prefix="bench-server-"))
    local = LocalServer(home, settings)
    try:
        local.start(report)
        yield settings, binaries.find_programs(home)
    finally:
        if local.port():
            local.stop(report)
        shutil.rmtree(home)


def export(address: str) -> Settings:
    """Export the address and the defaults to the process of every tool; returns the settings."""
    pg_variables = [name for name in os.environ if name.startswith("PG")]
    for name in (*PARTS, MIGRATION_URL, *pg_variables, *PYTHON_VARIABLES):
        os.environ.pop(name, None)
    os.environ |= DEFAULTS | {"APP_ENV": "test", "DATABASE_URL": address}
    return Settings.load(PROJECT / ".env")


def create_tables(settings: Settings) -> str:
    """Create and migrate the database of audit_log and sessions; returns the server's version."""
    databases.create_database(settings)
    connection = dedicated(settings, "bench")
    with connected(connection, settings):
        Engine(connection, PROJECT / "migrations").up()
        ((version,),) = connection.execute_sql("SHOW server_version").fetchall()
    database.configure(settings)
    return str(version).split()[0]
