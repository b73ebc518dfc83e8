"""Runs other programs; an error ends with the program's own last lines."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from benchmarks.results import BenchError
from dbfoundation.server.processes import last_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def output_of(
    name: str,
    command: Sequence[str | Path],
    *,
    exit_code: int = 0,
    **options: Any,  # noqa: ANN401 # subprocess.run's
) -> str:
    """Run a program to its end; returns its output.

    Raises BenchError for a program that cannot be run, or ends with another exit code.
    """
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{name}: {error}") from error
    if done.returncode != exit_code:
        reason = last_lines(done.stderr or done.stdout) or f"exit code {done.returncode}"
        raise BenchError(f"{name}: {reason}")
    return str(done.stdout)
