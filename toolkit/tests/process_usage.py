"""The sockets, other descriptors and threads of processes, as the operating system has them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Usage:
    """The connections to the database, the other open descriptors, and the threads of a process."""

    connections: int
    descriptors: int
    threads: int


def usage_by_process(group: int, database_port: int) -> dict[int, Usage]:
    """The usage of each process of a process group, by its id."""
    pids = [int(path.name) for path in PROC.iterdir() if path.name.isdigit()]
    return {pid: usage_of(pid, database_port) for pid in pids if _group_of(pid) == group}


def usage_of(pid: int, database_port: int) -> Usage:
    sockets = _sockets_to(database_port)
    files = [_target(path) for path in (PROC / str(pid) / "fd").iterdir()]
    connections = sum(file in sockets for file in files)
    threads = len(list((PROC / str(pid) / "task").iterdir()))
    return Usage(connections, len(files) - connections, threads)


def _sockets_to(port: int) -> set[str]:
    """The sockets connected to a port, as /proc names them."""
    rows = [line.split() for line in (PROC / "net" / "tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if int(row[2].rpartition(":")[2], 16) == port}


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _target(descriptor: Path) -> str:
    try:
        return str(descriptor.readlink())
    except FileNotFoundError:  # closed in the meantime
        return ""
