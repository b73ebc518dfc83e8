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
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import CodeType

FILE_NAME = re.compile(r"(\d{3,})_[^.]+")
SOURCE = re.compile(r"[^.].*\.py")  # an editor's own files begin with a dot
NEW_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")
# The lines that speak to the engine: the types of their values, and those in words.
LINES = {
    "irreversible": ((bool,), "True or False"),
    "atomic": ((bool,), "True or False"),
    "lock_timeout": ((int, float), "a number of seconds"),
}
LOCK_TIMEOUT_SECONDS = (0.001, 2_000_000)  # what PostgreSQL can count in milliseconds

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
    """The number that a migration's name begins with; None when it is no migration's name."""
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
    def content(self) -> Content:
        """What the file says, found by reading it."""
        return _read(self.source, str(self.path))

    def load(self) -> Callable[[str], Callable[..., None]]:
        """Run the file; returns what gives its functions by name.

        Raises MigrationError for one that cannot be compiled.
        """
        if self.content.code is None:
            raise MigrationError(f"{self.place}: {self.content.fault}")
        scope: dict[str, Any] = {"__name__": self.name, "__file__": str(self.path)}
        exec(self.content.code, scope)  # noqa: S102
        return scope.__getitem__


@dataclass(frozen=True)
class Content:
    """What a file says, with what keeps it from being applied or rolled back, and the way out.

    `lock_timeout` is in seconds; None where the file says nothing of it.
    """

    fault: str | None
    rollback_fault: str | None
    irreversible: bool = False
    atomic: bool = True
    lock_timeout: float | None = None
    code: CodeType | None = None


@cache  # each file is planned twice, before the lock and behind it
def _read(source: bytes, path: str) -> Content:
    try:
        tree = ast.parse(source, path)
        code = compile(tree, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        fault = f"syntax error: {error}"
        return Content(fault, fault)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    values = {name: value for node in tree.body for name, value in _assigned(node)}
    said: dict[str, Any] = {
        name: value.value for name, value in values.items() if isinstance(value, ast.Constant)
    }
    if wrong := _fault_of_lines(tree, values, said):
        return Content(wrong, wrong)
    faults = {
        name: None if name in values.keys() - said else _fault(name, functions.get(name))
        for name in ("migrate", "rollback")
    }
    irreversible = said.get("irreversible", False)
    no_rollback = faults["rollback"] and f"{faults['rollback']} (or say `irreversible = True`)"
    return Content(
        fault=faults["migrate"] or (None if irreversible else no_rollback),
        rollback_fault="irreversible: it says that it has no rollback"
        if irreversible
        else no_rollback,
        irreversible=irreversible,
        atomic=said.get("atomic", True),
        lock_timeout=said.get("lock_timeout"),
        code=code,
    )


def _fault_of_lines(
    tree: ast.Module, values: Mapping[str, ast.expr], said: Mapping[str, Any]
) -> str | None:
    """What is wrong with the lines that speak to the engine."""
    for name, (kind, wanted) in LINES.items():
        if name in values and type(said.get(name)) not in kind:
            return f"{name} takes {wanted}, written out"
        if _times_set(tree, name) > (name in values):
            return f"{name} stands once, at the top level of the file"
    shortest, longest = LOCK_TIMEOUT_SECONDS
    if not shortest <= said.get("lock_timeout", 1) <= longest:
        return f"lock_timeout takes {shortest} to {longest} seconds"
    return None


def _times_set(tree: ast.Module, name: str) -> int:
    """How often a name is set outside of functions and classes."""
    return sum(
        isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store)
        for statement in tree.body
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        for node in ast.walk(statement)
    )


def _assigned(node: ast.stmt) -> list[tuple[str, ast.expr]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            return [(target.id, value) for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            return [(name, value)]
    return []


def _fault(name: str, function: ast.FunctionDef | None) -> str | None:
    if function is None:
        return f"no {name}(): write one"
    if all(_is_idle(statement) for statement in function.body):
        return f"{name}() does nothing: write what it is to do"
    return None


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
        entries = [entry.name for entry in os.scandir(folder) if SOURCE.fullmatch(entry.name)]
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
