"""The tasks migrate-*."""

from __future__ import annotations

import re
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from dbfoundation.errors import DatabaseError, PlanError
from dbfoundation.migrations.problems import (
    AHEAD,
    DIFFERENT,
    PENDING,
    PROBLEM,
    UP_TO_DATE,
    state_of,
)
from dbfoundation.tasks import rendering
from dbfoundation.tasks.command import command
from dbfoundation.tasks.connections import explain_lock_timeout, open_engine
from dbfoundation.tasks.output import print_json, print_line, print_lines
from dbfoundation.tasks.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from invoke.context import Context

    from dbfoundation.migrations.dry_run import DryRunStep
    from dbfoundation.migrations.engine import Done, Engine
    from dbfoundation.migrations.step import Step
    from dbfoundation.schema.comparison import Difference
    from dbfoundation.settings import Settings

NAME = "its name, its file, its number, or an unambiguous part of its name"
DRY_RUN = "run in a transaction, print the SQL, and roll back"
STEPS = re.compile("0*[1-9][0-9]{0,8}")
EXIT_CODES = {UP_TO_DATE: 0, PENDING: 1, DIFFERENT: 1, PROBLEM: 2, AHEAD: 3}
JSON = "print one JSON object instead of text"


@command(
    changes=True,
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
            engine.dry_run_up(
                to, count, allow_out_of_order=allow_out_of_order, on_step=_print_dry_run_step
            )
            print_line(rendering.dry_run_total(settings))
            return
        started = perf_counter()
        done = engine.up(to, count, allow_out_of_order=allow_out_of_order, on_step=_print_step)
    _print_total(done, started, settings, rendering.nothing_to_apply(engine.missing, settings))


@command(
    changes=True,
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
            engine.dry_run_down(to, count, on_step=_print_dry_run_step)
            print_line(rendering.dry_run_total(settings))
            return
        started = perf_counter()
        done = engine.down(to, count, on_step=_print_step)
    _print_total(done, started, settings, f"nothing to roll back: {settings.url}")


@command(changes=True, steps="the number of migrations; default: one", dry_run=DRY_RUN)
def migrate_redo(c: Context, steps: str | None = None, dry_run: bool = False) -> None:
    """Roll back the last migration and apply it again."""
    count = _parse_steps(steps)
    with _engine(c) as (engine, settings):
        if dry_run:
            engine.dry_run_redo(count, on_step=_print_dry_run_step)
            print_line(rendering.dry_run_total(settings))
            return
        started = perf_counter()
        done = engine.redo(count, on_step=_print_step)
    _print_total(done, started, settings, f"nothing to roll back: {settings.url}")


@command(
    changes=True,
    iterable=("rename", "drop"),
    name="a short description, such as add_users; it gets the next number",
    auto="draft it from the models, and prove it on a scratch database",
    rename="with --auto, a renaming: users.mail=email, or users=members; may be repeated",
    drop="with --auto, a column or table to drop with its data: users.mail; may be repeated",
    dry_run="with --auto, print the draft and the result of its proof, and write nothing",
)
def migrate_create(  # noqa: PLR0913, PLR0917 # a flag each
    c: Context,
    name: str,
    auto: bool = False,
    rename: Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    dry_run: bool = False,
) -> None:
    """Write a new migration with the next number."""
    from dbfoundation.migrations.files import create, new_names

    project = Project.of(c)
    if auto:
        from dbfoundation.schema.ddl.renaming import Answers
        from dbfoundation.tasks.drafts import Draft

        Draft(project, name).create(Answers.parse(rename or (), drop or ()), dry_run=dry_run)
        return
    if rename or drop:
        raise PlanError("--rename and --drop belong to --auto")
    if dry_run:
        (new,) = new_names(project.migrations, name)
        print_line(f"would create migrations/{new}.py")
        return
    path = create(project.migrations, name)
    print_line(f"created {path.relative_to(project.root)}: write its migrate() and rollback()")


@command(changes=True, name=NAME, all="record all applied files, in place of one")
def migrate_accept(c: Context, name: str, all: bool = False) -> None:
    """Record the current text and name of an applied file."""
    if all and name:
        raise PlanError("migrate-accept accepts the name of a migration or --all, not both")
    with _engine(c) as (engine, _):
        accepted = engine.accept_all() if all else engine.accept(name)
    print_lines(rendering.accepted(accepted))


@command(changes=False, json=JSON)
def migrate_status(c: Context, json: bool = False) -> None:
    """List the migrations and their problems."""
    with _engine(c, only_reads=True) as (engine, settings):
        steps = engine.plan().steps
    if json:
        print_json(rendering.status_json(steps, settings))
    else:
        print_lines(rendering.status(steps, settings))
    _exit_by_state(steps)


@command(changes=False, json=JSON)
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
            if all(step.applied and step.file for step in steps):
                raise
            not_compared = error.reason  # another release may have what is missing
    if json:
        print_json(rendering.check_json(steps, differences, not_compared, settings))
    else:
        print_lines(rendering.check(steps, differences, not_compared, settings))
    _exit_by_state(steps, differences)


@contextmanager
def _engine(context: Context, *, only_reads: bool = False) -> Iterator[tuple[Engine, Settings]]:
    """The engine on the database that migrations connect to, and the settings with its address."""
    project = Project.of(context)
    settings = project.settings().for_migrations()
    with open_engine(settings, project.migrations, only_reads=only_reads) as engine:
        yield engine, settings


def _parse_steps(text: str | None) -> int | None:
    """The number of --steps; raises PlanError for any other text."""
    if text is None:
        return None
    if not STEPS.fullmatch(text):
        from dbfoundation.migrations.plan import shown

        raise PlanError(
            f"--steps must be a number, 1 or more, of 9 digits at most, not {shown(text)}"
        )
    return int(text)


def _exit_by_state(steps: Sequence[Step], differences: Sequence[Difference] = ()) -> None:
    """End with the exit code of the state."""
    if code := EXIT_CODES[state_of(steps, is_different=bool(differences))]:
        raise Exit(code=code)


def _print_step(done: Done) -> None:
    print_line(rendering.step(done))


def _print_dry_run_step(step: DryRunStep) -> None:
    print_lines(rendering.dry_run_step(step))


def _print_total(done: Sequence[Done], started: float, settings: Settings, nothing: str) -> None:
    print_line(rendering.total(done, perf_counter() - started, settings) if done else nothing)
