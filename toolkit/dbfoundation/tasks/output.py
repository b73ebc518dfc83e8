"""Printing: results on stdout, progress and warnings on stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        print_line(line)


def print_line(line: str) -> None:
    _print(line, sys.stdout)


def print_json(value: object) -> None:
    print_line(json.dumps(value))


def report(line: str) -> None:
    """Print progress."""
    _print(line, sys.stderr)


def _print(line: str, stream: TextIO) -> None:
    """Print a line, or nothing when nobody can read it: the task has to finish its work."""
    try:
        encoding = stream.encoding
        print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
