"""Printing: results on stdout; progress, warnings and questions on stderr."""

from __future__ import annotations

import json
import os
import sys
from time import monotonic
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


class Progress:
    """Reports what a task does at present: not in its first second, and once a second after it."""

    def __init__(self) -> None:
        self.reported = monotonic()

    def __call__(self, text: str) -> None:
        if monotonic() - self.reported > 1:
            report(text)
            self.reported = monotonic()


def is_interactive() -> bool:
    """Whether a person can read a question and answer it."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> str:
    """The line that a person types after a question; empty at the end of the input."""
    report(question)
    return sys.stdin.readline().strip()


def _print(line: str, stream: TextIO) -> None:
    """Print a line, or nothing when nobody can read it: the task has to finish its work."""
    try:
        encoding = stream.encoding
        print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
