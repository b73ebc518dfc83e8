"""The draft of a migration: from the result of all migrations to the models, proven first."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dbfoundation.errors import (
    DatabaseError,
    DraftError,
    MigrationFailedError,
    PlanError,
    RefusedError,
    ServerWideError,
)
from dbfoundation.tasks import rendering
from dbfoundation.tasks.connections import open_engine, open_scratch
from dbfoundation.tasks.data import run_seeds
from dbfoundation.tasks.output import ask, is_interactive, print_line, print_lines, report

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peewee import PostgresqlDatabase

    from dbfoundation.migrations.engine import Engine
    from dbfoundation.migrations.verification import ProofResult, Scratch
    from dbfoundation.schema.comparison import Difference
    from dbfoundation.schema.ddl.candidates import Candidate
    from dbfoundation.schema.ddl.change import Change
    from dbfoundation.settings import Settings
    from dbfoundation.tasks.project import Project


@dataclass(frozen=True)
class Place:
    """A database with all migrations, on a server where a proof may run."""

    settings: Settings
    engine: Engine
    is_private: bool

    @property
    def database(self) -> PostgresqlDatabase:
        return self.engine.database


def create_from_models(
    project: Project, name: str, rename: Sequence[str], drop: Sequence[str], *, dry_run: bool
) -> None:
    """Draft the migration, prove it, and write it; with `dry_run`, print it.

    Raises DraftError for a draft that cannot be proven, and PlanError for an unanswered question.
    """
    from dbfoundation.migrations.draft import draft_files
    from dbfoundation.migrations.files import new_names, write

    settings = project.settings().for_migrations()
    if settings.app_env == "production":
        raise RefusedError(
            "migrate-create --auto runs every migration and rollback, and APP_ENV is production"
        )
    with _migrated(project, settings) as place:
        print_lines(_drift_of(project, settings, place.database))
        files = draft_files(_changes(project, settings, place, rename, drop))
        if not files:
            print_line(f"the models and the migrations agree: nothing to write in {name}")
            return
        names = new_names(project.migrations, name, [file.suffix for file in files])
        texts = {new: file.text(name) for new, file in zip(names, files, strict=True)}
        proven = {
            new: file.text(name, with_todo=False) for new, file in zip(names, files, strict=True)
        }
        with_seed = not any(file.has_todo for file in files)
        problems = _prove(project, settings, place, proven, with_seed=with_seed)
    if dry_run or problems:
        for new, text in texts.items():
            print_line(f"# migrations/{new}.py\n{text}")
    if problems:
        print_lines(problems)
        raise DraftError(
            f"{name} is not written, because its proof failed.\n"
            "Fix: write that migration by hand, or change the models"
        )
    print_lines(rendering.draft_proof(names, with_seed=with_seed))
    if not dry_run:
        print_lines(
            rendering.drafted([write(project.migrations, *it) for it in texts.items()], files)
        )


@contextmanager
def _migrated(project: Project, settings: Settings) -> Iterator[Place]:
    """A scratch database with every migration, beside the configured one or on a new server."""
    from dbfoundation.server.temporary import temporary_server

    with ExitStack() as stack:
        try:
            scratch, engine, _ = stack.enter_context(open_scratch(settings, project.migrations))
            _apply_all(engine, is_private=False)
            yield Place(scratch, engine, is_private=False)
            return
        except ServerWideError as error:
            report(f"{error}\nThe draft is made on a PostgreSQL of its own.")
        server = stack.enter_context(temporary_server(settings.url.user)).url
        own = replace(settings, url=server)
        scratch, engine, _ = stack.enter_context(open_scratch(own, project.migrations))
        _apply_all(engine, is_private=True)
        yield Place(scratch, engine, is_private=True)


def _apply_all(engine: Engine, *, is_private: bool) -> None:
    from dbfoundation.migrations.verification import apply_all

    try:
        apply_all(engine, is_private=is_private)
    except MigrationFailedError as error:
        note = "this happened in a scratch database, which is dropped"
        raise MigrationFailedError(f"{error}\n  {note}") from error.__cause__


def _changes(
    project: Project, settings: Settings, place: Place, rename: Sequence[str], drop: Sequence[str]
) -> list[Change]:
    """The changes from the migrations to the models, with each question answered."""
    from dbfoundation.migrations.history import TABLE
    from dbfoundation.schema.ddl.renaming import Answers, changes_of

    answers = Answers.parse(rename, drop)
    ignored = {TABLE, *settings.migrate_check_ignore}
    return changes_of(place.database, project.models(), ignored, answers, _ask)


def _ask(candidate: Candidate) -> str | None:
    """The new name, or None where the old one is dropped; raises PlanError without a terminal."""
    if not is_interactive():
        raise PlanError(f"{candidate.describe()}\nFix: add one of these flags")
    names = [name.rpartition(".")[2] for name in candidate.new]
    answer = ask(f"{candidate.describe()} Type {', '.join(names)} or drop:")
    if answer in names:
        return answer
    if answer == "drop":
        return None
    raise PlanError(f"neither {' nor '.join(names)} nor drop: nothing was written")


def _drift_of(project: Project, settings: Settings, database: PostgresqlDatabase) -> Iterator[str]:
    """A line for each difference of the developer's database, which the draft does not use."""
    try:
        with open_engine(settings, project.migrations, only_reads=True) as engine:
            if any(not step.applied for step in engine.plan().steps):
                return
            different = _compare(engine.database, database)
    except DatabaseError:  # no such database yet
        return
    for difference in different:
        yield f"note: {difference.describe(f'{settings.url}', 'the migrations')}"


def _compare(live: PostgresqlDatabase, migrated: PostgresqlDatabase) -> list[Difference]:
    from dbfoundation.migrations.history import TABLE
    from dbfoundation.schema.catalog import read, search_path
    from dbfoundation.schema.spelling import compare_as_parsed

    left, right = (
        [thing for thing in read(database) if TABLE not in (thing.name, thing.table)]
        for database in (live, migrated)
    )
    return compare_as_parsed(migrated, left, right, search_path(migrated)[:1])


def _prove(
    project: Project, settings: Settings, place: Place, texts: dict[str, str], *, with_seed: bool
) -> list[str]:
    """The problems of the draft: up, agrees with the models, down, as before, up again."""
    from dbfoundation.migrations.history import TABLE
    from dbfoundation.migrations.verification import Verification
    from dbfoundation.schema.drift import find_drift

    results: list[ProofResult] = []
    different: list[Difference] = []
    applied = place.engine.plan().steps
    since = applied[-1].name if applied else None
    with TemporaryDirectory(prefix="draft-") as folder:
        copy = Path(folder) / "migrations"
        copytree(project.migrations, copy)
        for name, text in texts.items():
            (copy / f"{name}.py").write_text(text)

        @contextmanager
        def scratch() -> Iterator[Scratch]:
            from dbfoundation.migrations.verification import Scratch

            with open_scratch(place.settings, copy) as (opened, engine, second):
                seed = partial(run_seeds, project, opened) if with_seed else None
                yield Scratch(engine, second, seed, place.is_private)
                if not any(result.problems for result in results):
                    ignored = {TABLE, *settings.migrate_check_ignore}
                    different.extend(find_drift(engine.database, project.models(), ignored))

        try:
            Verification(results.append, since).run(scratch)
        except MigrationFailedError as error:
            return [f"{error}"]
    problems = [problem for result in results for problem in result.problems]
    sides = ("the draft", "the models")
    return problems + [difference.describe(*sides) for difference in different]
