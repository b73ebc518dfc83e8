"""The tasks migrate-*."""

from __future__ import annotations

from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from dbfoundation.errors import DatabaseError
from dbfoundation.tasks import rendering
from dbfoundation.tasks.command import command
from dbfoundation.tasks.connections import explain_lock_timeout, open_engine
from dbfoundation.tasks.output import print_json, print_line, print_lines
from dbfoundation.tasks.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from invoke.context import Context

    from dbfoundation.migrations.engine import Done, Engine
    from dbfoundation.migrations.plan import Step
    from dbfoundation.schema.comparison import Difference
    from dbfoundation.settings import Settings

NAME = "its name, its number, or an unambiguous part of its name"
DRY_RUN = "run in a transaction, print the SQL, and roll back"
JSON = "print one JSON object instead of text"


@command(
    to=f"the last migration to apply: {NAME}",
    steps="the number of migrations to apply; default: all",
    dry_run=DRY_RUN,
    allow_out_of_order="also apply a migration with a lower number than an applied one",
)
def migrate_up(
    c: Context,
    to: str | None = None,
    steps: str | None = None,
    dry_run: bool = False,
    allow_out_of_order: bool = False,
) -> None:
    """Apply the pending migrations."""
    count = _parse_steps(steps)
    with _engine(c) as (engine, settings):
        if dry_run:
            tried = engine.dry_run_up(to, count, allow_out_of_order=allow_out_of_order)
            print_lines(rendering.dry_run(tried, settings))
            return
        started = perf_counter()
        done = engine.up(to, count, allow_out_of_order=allow_out_of_order, on_step=_print_step)
    _print_total(done, started, settings, f"nothing to apply: {settings.url} is up to date")


@command(
    to=f"the migration to stop at, which stays applied: {NAME}; zero rolls back all",
    steps="the number of migrations to roll back; default: one",
    dry_run=DRY_RUN,
)
def migrate_down(
    c: Context, to: str | None = None, steps: str | None = None, dry_run: bool = False
) -> None:
    """Roll back the migration that was applied last."""
    count = _parse_steps(steps)
    with _engine(c) as (engine, settings):
        if dry_run:
            print_lines(rendering.dry_run(engine.dry_run_down(to, count), settings))
            return
        started = perf_counter()
        done = engine.down(to, count, on_step=_print_step)
    _print_total(done, started, settings, f"nothing to roll back: {settings.url}")


@command(steps="the number of migrations; default: one")
def migrate_redo(c: Context, steps: str | None = None) -> None:
    """Roll back the last migration and apply it again."""
    with _engine(c) as (engine, settings):
        started = perf_counter()
        done = engine.redo(_parse_steps(steps), on_step=_print_step)
    _print_total(done, started, settings, f"nothing to roll back: {settings.url}")


@command(name="a short description, such as add_users; it gets the next number")
def migrate_create(c: Context, name: str) -> None:
    """Write a new migration with the next number."""
    from dbfoundation.migrations.files import create

    project = Project.of(c)
    path = create(project.migrations, name)
    print_line(f"created {path.relative_to(project.root)}: write its migrate() and rollback()")


@command(name=NAME)
def migrate_accept(c: Context, name: str) -> None:
    """Record the current text of an edited migration file."""
    with _engine(c) as (engine, _):
        step = engine.accept(name)
    print_line(f"accepted {step.name}" if step else "nothing to accept: the file is not edited")


@command(json=JSON)
def migrate_status(c: Context, json: bool = False) -> None:
    """List the migrations; exit code 1 when some are pending."""
    with _engine(c) as (engine, settings):
        steps = engine.plan().steps
    if json:
        print_json(rendering.status_json(steps, settings))
    else:
        print_lines(rendering.status(steps, settings))
    _exit_by_state(steps)


@command(json=JSON)
def migrate_check(c: Context, json: bool = False) -> None:
    """Compare the models with the database; for CI."""
    from dbfoundation.migrations.history import TABLE
    from dbfoundation.schema.drift import find_drift

    models = Project.of(c).models()
    with _engine(c) as (engine, settings), explain_lock_timeout(engine.database, settings):
        steps = engine.plan().steps
        differences, not_compared = [], None
        ignored = {TABLE, *settings.migrate_check_ignore}
        try:
            differences = find_drift(engine.database, models, ignored)
        except DatabaseError as error:
            if all(step.applied for step in steps):
                raise
            not_compared = error.reason  # a pending migration may create what is missing
    if json:
        print_json(rendering.check_json(steps, differences, not_compared, settings))
    else:
        print_lines(rendering.check(steps, differences, not_compared, settings))
    _exit_by_state(steps, differences)


@contextmanager
def _engine(context: Context) -> Iterator[tuple[Engine, Settings]]:
    """The engine on the database that migrations connect to, and the settings with its address."""
    project = Project.of(context)
    settings = project.settings().for_migrations()
    with open_engine(settings, project.migrations) as engine:
        yield engine, settings


def _parse_steps(text: str | None) -> int | None:
    """The number of --steps; 0 for a text that is no number, because the plan refuses 0."""
    if text is None:
        return None
    return int(text) if text.isdecimal() else 0


def _exit_by_state(steps: Sequence[Step], differences: Sequence[Difference] = ()) -> None:
    """End with exit code 2 for a problem, or exit code 1 for a pending step or a difference."""
    if any(step.problem for step in steps):
        raise Exit(code=2)
    if differences or not all(step.applied for step in steps):
        raise Exit(code=1)


def _print_step(done: Done) -> None:
    print_line(rendering.step(done))


def _print_total(done: Sequence[Done], started: float, settings: Settings, nothing: str) -> None:
    print_line(rendering.total(done, perf_counter() - started, settings) if done else nothing)
