"""Run invoke inside of the tests' process, with the output and the exit code of a new process.

A new process takes ten times as long. Tests start one for signals, standard input, a terminal, and
the output of child processes. Works in the main thread only.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import subprocess
import sys
import traceback
import warnings
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from invoke.collection import Collection
from invoke.program import Program

import dbfoundation.tasks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType

TESTS = Path(__file__).resolve().parent


def run(
    words: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run tasks in a project's folder with this environment, and restore the process afterwards."""
    out, err = _stream(), _stream()
    # A tasks.py configures the library's collection and adds to it.
    collection = Collection.from_module(dbfoundation.tasks)
    path = [str(folder), *(place for place in sys.path if not place.startswith(str(TESTS)))]
    with (
        chdir(folder),
        patch.dict(os.environ, environment, clear=True),
        patch.object(sys, "path", path),
        patch.object(sys, "dont_write_bytecode", new=True),  # invoke sets it
        patch.object(dbfoundation.tasks, "ns", collection),
        _modules_of(folder),
        _default_warnings(),
        _default_logging(),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        code = _exit_code(words)
    return subprocess.CompletedProcess(list(words), code, _text(out), _text(err))


def _exit_code(words: Sequence[str]) -> int:
    """Run invoke; the exit code with which Python would end."""
    try:
        Program().run(["invoke", *words])
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


@contextmanager
def _modules_of(folder: Path) -> Iterator[None]:
    """Import the project of this folder instead of the tests' project, for the block."""
    importlib.invalidate_caches()
    hidden = _forget(TESTS / "project")
    try:
        yield
    finally:
        _forget(folder)
        sys.modules.update(hidden)


def _forget(folder: Path) -> dict[str, ModuleType]:
    """Remove the modules of a folder from sys.modules."""
    names = [name for name, module in sys.modules.items() if _is_in(module, folder)]
    return {name: sys.modules.pop(name) for name in names}


def _is_in(module: ModuleType, folder: Path) -> bool:
    # A package without an __init__.py has a path, but no file.
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    return any(str(place).startswith(f"{folder}{os.sep}") for place in places)


@contextmanager
def _default_warnings() -> Iterator[None]:
    """Show the warnings that Python shows by default; pytest makes every warning an error."""
    with warnings.catch_warnings():
        for category in (FutureWarning, UserWarning):
            warnings.simplefilter("default", category)
        # pytest records warnings; a process prints them.
        warnings.showwarning = lambda *parts: sys.stderr.write(warnings.formatwarning(*parts[:4]))
        yield


@contextmanager
def _default_logging() -> Iterator[None]:
    """Log nothing below WARNING and without a handler, unless a task configures it."""
    levels = {logger: logger.level for logger in (logging.root, logging.getLogger("peewee"))}
    with patch.object(logging.root, "handlers", []):
        logging.root.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in levels.items():
                logger.setLevel(level)
