"""Running other programs, with a sign of life for those that take their time."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

Report = Callable[[str], None]


def run(
    command: Sequence[str],
    *,
    report: Report,
    what: str,
    **options: Any,  # noqa: ANN401 # Popen's
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep its output; report every second that it is waited for."""
    started = monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    ) as process:
        while True:
            try:
                output, _ = process.communicate(timeout=1)
            except subprocess.TimeoutExpired:
                report(f"{what}: {monotonic() - started:.0f} s")
            else:
                return subprocess.CompletedProcess(command, process.returncode, output)


def command_of(pid: int) -> str:
    """The command line of a process; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        words = ["ps", "-o", "command=", "-p", str(pid)]  # where there is no /proc
        with suppress(OSError):
            return subprocess.run(words, check=False, capture_output=True, text=True).stdout
        return ""


def works_in(pid: int, folder: Path) -> bool:
    """Whether that is the working directory of a process; False where nobody can see it."""
    try:
        return Path(f"/proc/{pid}/cwd").samefile(folder)
    except OSError:
        return False


def last_lines(output: str, count: int = 5) -> str:
    """The end of a program's output, on one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " / ".join(lines[-count:])
