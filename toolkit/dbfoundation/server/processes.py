"""Other programs: run one, and identify a running one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Report = Callable[[str], None]
REPORT_SECONDS = 1.0
# A server writes what it has in memory before it ends; killed before that, it has to recover.
STOP_SECONDS = 600


def run(
    command: Sequence[str],
    *,
    report: Report,
    waiting_for: str,
    **options: Any,  # noqa: ANN401 # Popen's
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep its output; report every second of waiting for it.

    subprocess.run() would be silent for the minutes that pulling an image takes.
    """
    started = monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    ) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=REPORT_SECONDS)
            except subprocess.TimeoutExpired:
                report(f"waiting for {waiting_for}: {monotonic() - started:.0f} s")
            else:
                return subprocess.CompletedProcess(command, process.returncode, output)


def output_of(
    *command: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stderr: bool = False,
) -> str | None:
    """The output of a short command, with or without its stderr; None when it fails."""
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if stderr else subprocess.DEVNULL,
            text=True,
            errors="replace",
            cwd=cwd,
            env=env,
        )
    except OSError:
        return None
    return None if done.returncode else done.stdout


def run_on_terminal(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> int:
    """Run a program on this process's terminal; returns its exit code, 128 + N for a signal N.

    Ctrl-C reaches the program too and is left to it: psql cancels a query, and subprocess.run()
    would kill psql. SIGTERM reaches this process only and is passed on: psql would outlive it.
    os.execvpe() needs neither, but then the next task of the command line never runs. invoke's
    own run() passes a script on at 100 characters a second.
    """
    with subprocess.Popen(command, cwd=cwd, env=env) as process:
        on_interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
        on_terminate = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            code = process.wait()
        finally:
            signal.signal(signal.SIGINT, on_interrupt)
            signal.signal(signal.SIGTERM, on_terminate)
    return code if code >= 0 else 128 - code


def command_of(pid: int) -> str:
    """The command line of a process; empty when there is none."""
    try:
        return os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" "))
    except OSError:
        return _ps("command", pid)


def parent_of(pid: int) -> int | None:
    """The number of a process's parent; None when there is no such process."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2]
        return int(after_name.split()[1])
    except OSError:
        parent = _ps("ppid", pid)
        return int(parent) if parent.isdecimal() else None


def _ps(field: str, pid: int) -> str:
    """A field of a process where there is no /proc; empty when there is no such process."""
    words = ["ps", "-o", f"{field}=", "-p", str(pid)]
    with suppress(OSError):
        done = subprocess.run(
            words, check=False, capture_output=True, text=True, errors="surrogateescape"
        )
        return done.stdout.strip()
    return ""


def works_in(pid: int, folder: Path) -> bool:
    """Whether a process has this working directory; False where that cannot be seen."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(folder)
    except OSError:
        return False


def last_lines(output: str, count: int = 5) -> str:
    """The end of a program's output, on one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " / ".join(lines[-count:])
