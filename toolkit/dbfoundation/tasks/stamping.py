"""The task migrate-stamp."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from dbfoundation.errors import ServerError, ServerWideError
from dbfoundation.tasks import rendering
from dbfoundation.tasks.command import command
from dbfoundation.tasks.connections import (
    IN_SCRATCH,
    explain_lock_timeout,
    explain_scratch_failure,
    open_engine,
    open_private_server,
    open_scratch,
)
from dbfoundation.tasks.consent import YES, require_consent
from dbfoundation.tasks.migrations import NAME
from dbfoundation.tasks.output import print_line, print_lines, report
from dbfoundation.tasks.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoke.context import Context

    from dbfoundation.migrations.engine import Engine
    from dbfoundation.migrations.stamp import Stamp
    from dbfoundation.migrations.verification import Scratch
    from dbfoundation.settings import Settings


@command(
    changes=True,
    name=f"the last migration to record: {NAME}; zero forgets all of them",
    anyway="record them even if the database differs from their result",
    yes=YES,
)
def migrate_stamp(c: Context, name: str, anyway: bool = False, yes: bool = False) -> None:
    """Record migrations as applied without running them."""
    from dbfoundation.migrations.plan import ZERO

    project = Project.of(c)
    settings = project.settings().for_migrations()
    if name == ZERO:
        _forget(project, settings, yes=yes)
    else:
        _stamp(project, settings, name, anyway=anyway)


def _forget(project: Project, settings: Settings, *, yes: bool) -> None:
    from dbfoundation.migrations.stamp import forget

    effect = "migrate-stamp zero would forget the migrations of"
    require_consent(project, settings, effect, yes=yes)
    with open_engine(settings, project.migrations) as engine:
        print_lines(rendering.forgotten(forget(engine), settings))


def _stamp(project: Project, settings: Settings, name: str, *, anyway: bool) -> None:
    from dbfoundation.migrations.stamp import Stamp

    with open_engine(settings, project.migrations) as engine:
        stamp = Stamp(engine, name, settings.migrate_check_ignore)
        if not stamp.planned:
            _print_nothing(stamp, settings)
            return
        try:
            with _scratch(settings, engine, is_private=False) as scratch:
                _compare_and_record(stamp, scratch, settings, anyway=anyway)
        except ServerWideError as error:
            with (
                _private_settings(settings, error) as private,
                _scratch(private, engine, is_private=True) as scratch,
            ):
                _compare_and_record(stamp, scratch, settings, anyway=anyway)


@contextmanager
def _private_settings(settings: Settings, reason: ServerWideError) -> Iterator[Settings]:
    """The settings at a server for the files alone; raises ServerError with the reason."""
    with ExitStack() as stack:
        try:
            private = stack.enter_context(open_private_server(settings))
        except ServerError as error:
            raise ServerError(f"{reason}\n{error}") from error
        report(f"{reason}\nThe files run on a PostgreSQL of their own.")
        yield private


@contextmanager
def _scratch(settings: Settings, engine: Engine, *, is_private: bool) -> Iterator[Scratch]:
    """An empty database at the server of the settings, for the engine's files."""
    from dbfoundation.migrations.verification import Scratch

    with open_scratch(settings, engine.folder) as (_, scratch, second):
        yield Scratch(scratch, second, is_private=is_private)


def _compare_and_record(
    stamp: Stamp, scratch: Scratch, settings: Settings, *, anyway: bool
) -> None:
    """Print the differences or the records, each at once; ends with 1 after differences."""
    with explain_scratch_failure(IN_SCRATCH):
        applied = stamp.apply(scratch)
    with explain_lock_timeout(stamp.engine.database, settings):
        recorded = stamp.record(scratch, applied, anyway=anyway)
    differences = [
        difference.describe("the database", "the result of the migrations")
        for difference in stamp.differences
    ]
    if recorded:
        for line in differences:
            report(f"warning: {line}")
        print_lines(rendering.recorded(recorded, settings))
    elif differences:
        print_lines(differences)
        print_line(f"{len(differences)} different, nothing was recorded: {settings.url}")
        raise Exit(code=1)
    else:
        _print_nothing(stamp, settings)


def _print_nothing(stamp: Stamp, settings: Settings) -> None:
    print_line(f"nothing to record: {settings.url} has everything up to {stamp.last}")
