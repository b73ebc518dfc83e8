"""The draft of a migration: from the result of all migrations to the models, proven first.

All of it happens on one scratch database, with a copy of the folder of migrations. The files are
written into the project after their proof.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dbfoundation.errors import (
    DatabaseError,
    DraftError,
    PlanError,
    RefusedError,
    ServerWideError,
)
from dbfoundation.tasks import rendering
from dbfoundation.tasks.connections import (
    IN_SCRATCH,
    explain_scratch_failure,
    open_engine,
    open_private_server,
    open_scratch,
)
from dbfoundation.tasks.data import run_seeds
from dbfoundation.tasks.output import (
    Progress,
    ask,
    is_interactive,
    print_line,
    print_lines,
    report,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import PostgresqlDatabase

    from dbfoundation.migrations.step import Step
    from dbfoundation.migrations.verification import Scratch
    from dbfoundation.schema.comparison import Difference
    from dbfoundation.schema.ddl.candidates import Candidate
    from dbfoundation.schema.ddl.renaming import Answers
    from dbfoundation.settings import Settings
    from dbfoundation.tasks.project import Project


class Draft:
    """The draft of one migration of a project."""

    def __init__(self, project: Project, name: str) -> None:
        self.project = project
        self.name = name
        self.progress = Progress()
        self.settings = project.settings().for_migrations()
        if self.settings.app_env == "production":
            raise RefusedError(
                "migrate-create --auto runs every migration and rollback, and APP_ENV is production"
            )

    def create(self, answers: Answers, *, dry_run: bool) -> None:
        """Make the draft, prove it, and write it; with `dry_run`, print it.

        Raises DraftError for a draft that cannot be proven, and PlanError for an open question.
        """
        from dbfoundation.migrations.draft import draft_files
        from dbfoundation.migrations.draft_proof import find_problems
        from dbfoundation.migrations.files import new_names, write
        from dbfoundation.schema.ddl.renaming import changes_of
        from dbfoundation.schema.drift import read_sides

        new_names(self.project.migrations, self.name)  # an existing name is an error at once
        with self._migrated() as (scratch, copy, scratch_settings):
            print_lines(self._drift_of(scratch.engine.database))
            self.progress("comparing the result of the migrations with the models")
            sides = read_sides(scratch.engine.database, self.project.models(), self._ignored)
            changes = changes_of(scratch.engine.database, sides, answers, ask_person)
            files = draft_files(changes)
            if not files:
                print_line(f"the models and the migrations agree: {self.name} is not needed")
                return
            names = new_names(copy, self.name, [file.suffix for file in files])
            for new, file in zip(names, files, strict=True):
                write(copy, new, file.text(self.name, with_todo=False))
            self.progress("proving the draft")
            has_todo = any(file.has_todo for file in files)
            seed = None if has_todo else partial(run_seeds, self.project, scratch_settings)
            problems = find_problems(replace(scratch, seed=seed), sides)
        texts = {new: file.text(self.name) for new, file in zip(names, files, strict=True)}
        if dry_run or problems:
            print_lines(rendering.draft(texts))
        if problems:
            print_lines(problems)
            raise DraftError(
                f"{self.name} is not written, because its proof failed.\n"
                "Fix: write that migration by hand, or change the models"
            )
        print_line(rendering.draft_proof(names, with_seed=not has_todo))
        if not dry_run:
            for new, text in texts.items():
                write(self.project.migrations, new, text)
            print_lines(rendering.drafted(names, files))

    @contextmanager
    def _migrated(self) -> Iterator[tuple[Scratch, Path, Settings]]:
        """A scratch database with every migration, on a new server where one affects the server.

        Also the copy of the folder, and the settings of the database.
        """
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="draft-"))
            copy = copytree(self.project.migrations, Path(folder) / "migrations")
            try:
                opened = stack.enter_context(self._opened(self.settings, copy, is_private=False))
            except ServerWideError as error:
                private = stack.enter_context(open_private_server(self.settings))
                report(f"{error}\nThe draft is made on a PostgreSQL of its own.")
                opened = stack.enter_context(self._opened(private, copy, is_private=True))
            yield opened[0], copy, opened[1]

    @contextmanager
    def _opened(
        self, settings: Settings, migrations: Path, *, is_private: bool
    ) -> Iterator[tuple[Scratch, Settings]]:
        """A scratch database with every migration, and its settings."""
        from dbfoundation.migrations.verification import Scratch, apply_all

        with open_scratch(settings, migrations) as (scratch_settings, engine, second):
            scratch = Scratch(engine, second, is_private=is_private)
            with explain_scratch_failure(IN_SCRATCH):
                apply_all(scratch, on_step=self._report_step)
            yield scratch, scratch_settings

    def _report_step(self, step: Step) -> None:
        self.progress(f"applied {step.name} to a scratch database")

    def _drift_of(self, migrated: PostgresqlDatabase) -> Iterator[str]:
        """A line for each difference of the developer's database, which the draft does not use."""
        try:
            folder = self.project.migrations
            with open_engine(self.settings, folder, only_reads=True) as engine:
                is_migrated = all(step.applied for step in engine.plan().steps)
                different = self._compare(engine.database, migrated) if is_migrated else []
        except DatabaseError:  # no such database yet
            return
        for difference in different:
            yield f"note: {difference.describe(f'{self.settings.url}', 'the migrations')}"

    def _compare(self, live: PostgresqlDatabase, migrated: PostgresqlDatabase) -> list[Difference]:
        from dbfoundation.schema.catalog import read, search_path
        from dbfoundation.schema.ignored import without_ignored
        from dbfoundation.schema.spelling import compare_as_parsed

        left, right = (
            without_ignored(read(database), self._ignored) for database in (live, migrated)
        )
        return compare_as_parsed(migrated, left, right, search_path(migrated)[:1])

    @property
    def _ignored(self) -> set[str]:
        from dbfoundation.migrations.history import TABLE

        return {TABLE, *self.settings.migrate_check_ignore}


def ask_person(candidate: Candidate) -> str | None:
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
