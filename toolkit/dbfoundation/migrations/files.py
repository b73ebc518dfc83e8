"""The migration files: which exist, and how a new one is named.

A migration is `NNN_name.py`, with three digits or more; numbers sort as numbers, so 1000 follows
999. Planning reads a file and runs nothing of it.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import TYPE_CHECKING

from dbfoundation.errors import MigrationError
from dbfoundation.migrations.code_checksum import code_checksum
from dbfoundation.migrations.content import Content, check_options, read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

FILE_NAME = re.compile(r"([0-9]{3,})_[^.]+")
SOURCE = re.compile(r"[^.].*\.py")  # an editor's own files begin with a dot
NEW_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")

TEMPLATE = '''"""{title}."""


def migrate(migrator, database, *, fake=False):
    # migrator.sql("CREATE TABLE things (id SERIAL PRIMARY KEY, name TEXT NOT NULL)")
    # migrator.sql("CREATE INDEX things_name ON things (name)")
    pass


def rollback(migrator, database, *, fake=False):
    # migrator.sql("DROP TABLE things")
    pass
'''


@cache
def number_of(name: str) -> int | None:
    """The number at the start of a migration's name; None for any other name."""
    match = FILE_NAME.fullmatch(name)
    return int(match[1]) if match else None


@dataclass(frozen=True)
class MigrationFile:
    """One file of the folder."""

    path: Path

    @cached_property
    def name(self) -> str:
        return self.path.name.removesuffix(".py")

    @property
    def place(self) -> str:
        """The file's folder and name: `migrations/001_create_audit_log.py`."""
        return f"{self.path.parent.name}/{self.path.name}"

    @cached_property
    def source(self) -> bytes:
        """The file's text, with a plain newline at the end of every line."""
        return self.path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the source, in hex."""
        return hashlib.sha256(self.source).hexdigest()

    @cached_property
    def code_checksum(self) -> str | None:
        """SHA-256 of what Python reads in the file, in hex; None for a file that it cannot read."""
        return code_checksum(self.source)

    @cached_property
    def content(self) -> Content:
        """The result of reading the file."""
        return read(self.source, str(self.path))

    def load(self, function: str) -> Callable[..., None]:
        """Run the file; returns its function of this name.

        Raises MigrationError for a file with a syntax error, and for one whose code gives an option
        another value than `content` has.
        """
        if self.content.code is None:
            raise MigrationError(self.content.problem)
        module = ModuleType(self.name)
        module.__file__ = str(self.path)
        # A dataclass with postponed annotations looks for its module there, also when it is run.
        sys.modules[self.name] = module
        scope = vars(module)
        exec(self.content.code, scope)  # noqa: S102 # a migration is code
        check_options(self.content, scope)
        loaded: Callable[..., None] = scope[function]
        return loaded


def find_files(folder: Path) -> tuple[list[MigrationFile], list[str]]:
    """The migrations of a folder by number, and the names of its other Python files.

    A name that begins with `_`, and peewee-migrate's conf.py, are left out of the others. Raises
    MigrationError when there is no folder.
    """
    try:
        entries = [entry.name for entry in os.scandir(folder) if SOURCE.fullmatch(entry.name)]
    except OSError as error:
        raise MigrationError(f"the folder of migrations cannot be read: {error}") from error
    names = [name.removesuffix(".py") for name in entries]
    strays = [
        f"{name}.py"
        for name in names
        if number_of(name) is None and not name.startswith("_") and name != "conf"
    ]
    numbered = sorted((number, name) for name in names if (number := number_of(name)) is not None)
    return [MigrationFile(folder / f"{name}.py") for _, name in numbered], sorted(strays)


def create(folder: Path, name: str) -> Path:
    """Write a new migration with the number after the highest; returns its path.

    `Add-Users` becomes `add_users`. Raises MigrationError for an invalid name, and for the name of
    an existing migration.
    """
    (new,) = new_names(folder, name)
    title = new.partition("_")[2].replace("_", " ").capitalize()
    return write(folder, new, TEMPLATE.format(title=title))


def new_names(folder: Path, name: str, suffixes: Sequence[str] = ("",)) -> list[str]:
    """The names of new migrations, with the numbers after the highest; raises as create() does."""
    name = _normalize(name)
    names = [file.name for file in find_files(folder)[0]]
    wanted = [f"{name}{suffix}" for suffix in suffixes]
    if taken := [other for other in names if other.partition("_")[2] in wanted]:
        raise MigrationError(f"{taken[0]} has this name already.\nFix: choose another name")
    number = 1 + max((number_of(other) or 0 for other in names), default=0)
    return [f"{at:03}_{new}" for at, new in enumerate(wanted, number)]


def write(folder: Path, name: str, text: str) -> Path:
    """Write a new file; returns its path."""
    path = folder / f"{name}.py"
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
    return path


def _normalize(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    snake = re.sub(r"[\s-]+", "_", spaced).lower()
    if not NEW_NAME.fullmatch(snake):
        raise MigrationError(
            f"{name!r} is not a valid name for a migration.\n"
            "Fix: use up to 100 letters, digits and _, starting with a letter, such as add_users"
        )
    return snake
