"""Migrations, up and down: peewee-migrate runs the files, the engine says which, and in what order.

Files and history merge into one list of steps, and everything else stands on that list. A step's
work and its record commit together: what fails leaves the database as it was before that step, and
the steps before it stay. Nothing is printed here: values are returned, errors raised.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

from peewee_migrate import Router

from toolkit.errors import MigrationError, MigrationFailedError
from toolkit.history import History

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from peewee import PostgresqlDatabase

NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")

TEMPLATE = '''"""{title}."""


def migrate(migrator, database, *, fake=False):
    # migrator.sql("CREATE TABLE things (id SERIAL PRIMARY KEY, name TEXT NOT NULL)")
    pass


def rollback(migrator, database, *, fake=False):
    # migrator.sql("DROP TABLE things")
    pass
'''


@dataclass(frozen=True)
class Step:
    """A migration, and when it was applied: UTC, None while it is pending."""

    name: str
    applied_at: datetime | None


@dataclass(frozen=True)
class Done:
    """A step that was applied or rolled back just now, and the seconds it took."""

    name: str
    seconds: float


class Engine:
    """The migrations of one folder, on one connected database."""

    def __init__(self, database: PostgresqlDatabase, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.history = History(database)
        self.router = Router(database, folder, logger=_silent_logger())
        self.router.model = self.history.model  # type: ignore[assignment] # its table, our column type

    def status(self) -> list[Step]:
        """Every migration, in the order of the files; writes nothing."""
        applied = {record.name: record.applied_at for record in self.history.records()}
        return [Step(name, applied.get(name)) for name in sorted({*self.router.todo, *applied})]

    def up(self, on_step: Callable[[Done], None]) -> list[Done]:
        """Apply what is pending, telling each step as it ends.

        Raises MigrationFailedError at the first that fails; the ones before it stay applied.
        """
        pending = [step.name for step in self.status() if step.applied_at is None]
        if pending:
            self.history.create_table()
        return [self._run(name, on_step, downgrade=False) for name in pending]

    def down(self, on_step: Callable[[Done], None]) -> list[Done]:
        """Roll back the migration that was applied last, if there is one.

        Raises MigrationFailedError when its rollback fails; it stays applied then.
        """
        last = [record.name for record in self.history.records()][-1:]
        return [self._run(name, on_step, downgrade=True) for name in last]

    def _run(self, name: str, on_step: Callable[[Done], None], *, downgrade: bool) -> Done:
        started = perf_counter()
        try:
            self.router.run_one(name, self.router.migrator, fake=False, downgrade=downgrade)
        except Exception as error:
            work = "its rollback" if downgrade else "it"
            raise MigrationFailedError(
                f"{self.folder / name}.py: {work} failed and was undone: {_words(error)}"
            ) from error
        done = Done(name, perf_counter() - started)
        on_step(done)
        return done


def create(folder: Path, name: str) -> Path:
    """Write a new migration, of the number after the highest; returns its path.

    A name in another spelling is put right (`Add-Users` becomes `add_users`). Raises MigrationError
    for one that is no name, or is taken.
    """
    name = _valid(name)
    numbers = {path.stem.partition("_")[2]: path.stem for path in folder.glob("[0-9]*_*.py")}
    if name in numbers:
        raise MigrationError(f"there is a migration {numbers[name]}: choose another name")
    number = 1 + max((int(stem.partition("_")[0]) for stem in numbers.values()), default=0)
    path = folder / f"{number:03}_{name}.py"
    with path.open("x", encoding="utf-8") as file:
        file.write(TEMPLATE.format(title=name.replace("_", " ").capitalize()))
    return path


def _valid(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    snake = re.sub(r"[\s-]+", "_", spaced).lower()
    if not NAME.fullmatch(snake):
        raise MigrationError(
            f"{name!r} is no name for a migration: letters, digits and _, "
            "starting with a letter, 100 at most, such as add_users"
        )
    return snake


def _words(error: Exception) -> str:
    """What the database said, without the statement (which may hold values), or the exception."""
    if diag := getattr(getattr(error, "orig", None), "diag", None):
        return f"{diag.message_primary}" + (f" ({diag.message_hint})" if diag.message_hint else "")
    return f"{type(error).__name__}: {error}"


def _silent_logger() -> logging.Logger:
    """For peewee-migrate, whose log shows SQL parameters and a traceback for each failure."""
    logger = logging.getLogger(f"{__name__}.router")
    logger.disabled = True
    return logger
