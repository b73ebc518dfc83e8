"""A server that goes silent: its packets are dropped, or its processes are stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import until

IPTABLES = shutil.which("iptables", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def _can_drop() -> bool:
    """Whether this user may change the rules for packets."""
    return (
        bool(IPTABLES)
        and not subprocess.run([IPTABLES, "-n", "-L"], check=False, capture_output=True).returncode
    )


needs_iptables = pytest.mark.skipif(
    not _can_drop(), reason="dropping packets: needs iptables, and the rights of root"
)


@contextmanager
def dropped_packets(server):
    """The network between this machine and a server on it loses every packet."""
    rules = [
        ["INPUT", "-i", "lo", "-p", "tcp", end, str(server.settings.url.port), "-j", "DROP"]
        for end in ("--dport", "--sport")
    ]
    for rule in rules:
        subprocess.run([IPTABLES, "--wait", "-I", *rule], check=True)
    try:
        yield
    finally:
        for rule in rules:
            subprocess.run([IPTABLES, "--wait", "-D", *rule], check=True)


@contextmanager
def stopped_processes(server):
    """A server whose processes are stopped: its kernel acknowledges, and nobody answers."""
    postmaster = int((server.data / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    pids = [postmaster, *map(int, children)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: all(_is_stopped(pid) for pid in pids))
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    return "State:\tT" in Path(f"/proc/{pid}/status").read_text()
