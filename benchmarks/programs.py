"""Running other programs, whose failure is told in their own last words."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from benchmarks.results import BenchError
from toolkit.process import last_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def output_of(
    what: str,
    command: Sequence[str | Path],
    *,
    fine: tuple[int, ...] = (0,),
    **options: Any,  # noqa: ANN401 # subprocess.run's
) -> str:
    """Run a program to its end; returns its output.

    Raises BenchError when it cannot be run, or ends with an exit code that is not fine.
    """
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"{what}: {error}") from error
    if done.returncode not in fine:
        told = last_lines(done.stderr or done.stdout) or f"exit code {done.returncode}"
        raise BenchError(f"{what}: {told}")
    return str(done.stdout)
