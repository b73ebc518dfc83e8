"""The migration files: which there are, what they say, and what is wrong with them.

A migration is `NNN_name.py`, with three digits or more; numbers count as numbers, so 1000 follows
999. A file is judged by reading it: nothing in it is run here. Three assignments at its top level
speak to the engine, each a literal:

    irreversible = True   there is no rollback
    atomic = False        run it outside of a transaction, as CREATE INDEX CONCURRENTLY asks
    lock_timeout = 30     seconds to wait for a table's lock, in place of the setting
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from toolkit.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE_NAME = re.compile(r"(\d{3,})_[^.]+")
NEW_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")

TEMPLATE = '''"""{title}."""


def migrate(migrator, database, *, fake=False):
    # migrator.sql("CREATE TABLE things (id SERIAL PRIMARY KEY, name TEXT NOT NULL)")
    pass


def rollback(migrator, database, *, fake=False):
    # migrator.sql("DROP TABLE things")
    pass
'''


def number_of(name: str) -> int | None:
    """The number that a migration's name begins with; None when it is no migration's name."""
    match = FILE_NAME.fullmatch(name)
    return int(match[1]) if match else None


@dataclass(frozen=True)
class MigrationFile:
    """One file of the folder."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name.removesuffix(".py")

    @property
    def place(self) -> str:
        """Where the file is, as a person looks for it: `migrations/001_create_audit_log.py`."""
        return f"{self.path.parent.name}/{self.path.name}"

    @cached_property
    def source(self) -> bytes:
        """What the file says, with every line ending in a newline alone."""
        return self.path.read_bytes().replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the source, in hex."""
        return hashlib.sha256(self.source).hexdigest()

    @cached_property
    def syntax_error(self) -> str | None:
        """What Python says of a file that it cannot read."""
        try:
            self._tree  # noqa: B018 # parsing it is the question
        except (SyntaxError, ValueError) as error:
            return f"{error}"
        return None

    @cached_property
    def fault(self) -> str | None:
        """What keeps the file from being applied, with the way out."""
        if self.syntax_error:
            return f"syntax error: {self.syntax_error}"
        return self._fault_of("migrate") or (None if self.irreversible else self.rollback_fault)

    @cached_property
    def rollback_fault(self) -> str | None:
        """What keeps the file from being rolled back, with the way out."""
        if self.syntax_error:
            return f"syntax error: {self.syntax_error}"
        if self.irreversible:
            return "irreversible: it says that it has no rollback"
        fault = self._fault_of("rollback")
        return fault and f"{fault} (or say `irreversible = True`)"

    @property
    def irreversible(self) -> bool:
        return self._said("irreversible", default=False) is True

    @property
    def atomic(self) -> bool:
        return self._said("atomic", default=True) is not False

    def lock_timeout(self, default: float) -> float:
        """Seconds to wait for a lock."""
        return float(self._said("lock_timeout", default=default))

    def load(self) -> Callable[[str], Callable[..., None]]:
        """Run the file; returns what gives its functions by name."""
        scope: dict[str, Any] = {"__name__": self.name, "__file__": str(self.path)}
        exec(compile(self._tree, self.path, "exec", dont_inherit=True), scope)  # noqa: S102
        return scope.__getitem__

    @cached_property
    def _tree(self) -> ast.Module:
        return _parsed(self.source, str(self.path))

    def _fault_of(self, function: str) -> str | None:
        """That the file has no such function, or one without effect."""
        for node in self._tree.body:
            match node:
                case ast.FunctionDef(name=name, body=body) if name == function:
                    if all(_is_idle(statement) for statement in body):
                        return f"{function}() does nothing: write what it is to do"
                    return None
                case ast.Assign(targets=[ast.Name(id=name)]) if name == function:
                    return None
        return f"no {function}(): write one"

    def _said(self, name: str, *, default: object) -> Any:  # noqa: ANN401 # any literal
        for node in self._tree.body:
            match node:
                case ast.Assign(targets=[ast.Name(id=target)], value=ast.Constant(value=value)):
                    if target == name:
                        return value
        return default


@cache
def _parsed(source: bytes, path: str) -> ast.Module:
    """Each file is planned twice, before the lock and behind it, and then run."""
    return ast.parse(source, path)


def _is_idle(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()) | ast.Return(value=None):
            return True
        case ast.Return(value=ast.Constant(value=None)):
            return True
    return False


def find(folder: Path) -> tuple[list[MigrationFile], list[str]]:
    """The migrations of a folder by number, and the names of files that only look like some.

    Any other Python file counts as one that looks like a migration, but for those that begin with
    `_` and for peewee-migrate's own conf.py. Raises MigrationError when there is no folder.
    """
    try:
        entries = [entry.name for entry in os.scandir(folder) if entry.name.endswith(".py")]
    except OSError as error:
        raise MigrationError(f"the folder of the migrations cannot be read: {error}") from error
    names = [name.removesuffix(".py") for name in entries]
    strays = [
        f"{name}.py"
        for name in names
        if number_of(name) is None and not name.startswith("_") and name != "conf"
    ]
    numbered = sorted((number, name) for name in names if (number := number_of(name)) is not None)
    return [MigrationFile(folder / f"{name}.py") for _, name in numbered], sorted(strays)


def create(folder: Path, name: str) -> Path:
    """Write a new migration, of the number after the highest; returns its path.

    A name in another spelling is put right (`Add-Users` becomes `add_users`). Raises MigrationError
    for one that is no name, or is taken.
    """
    name = _valid(name)
    names = [file.name for file in find(folder)[0]]
    if taken := [other for other in names if other.partition("_")[2] == name]:
        raise MigrationError(f"there is a migration {taken[0]}: choose another name")
    number = 1 + max((number_of(other) or 0 for other in names), default=0)
    path = folder / f"{number:03}_{name}.py"
    with path.open("x", encoding="utf-8") as file:
        file.write(TEMPLATE.format(title=name.replace("_", " ").capitalize()))
    return path


def _valid(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    snake = re.sub(r"[\s-]+", "_", spaced).lower()
    if not NEW_NAME.fullmatch(snake):
        raise MigrationError(
            f"{name!r} is no name for a migration: letters, digits and _, "
            "starting with a letter, 100 at most, such as add_users"
        )
    return snake
