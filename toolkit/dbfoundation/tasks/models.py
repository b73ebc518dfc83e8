"""The task models-from-database: the source of models for existing tables, proven first."""

from __future__ import annotations

from difflib import get_close_matches
from textwrap import fill
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from dbfoundation.errors import ProjectError
from dbfoundation.tasks.command import command
from dbfoundation.tasks.connections import explain_lock_timeout
from dbfoundation.tasks.output import print_line, print_lines, report
from dbfoundation.tasks.project import Project

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from invoke.context import Context
    from peewee import Model

    from dbfoundation.schema.model_source.source import ModelSource

WIDTH = 100


@command(
    changes=True,
    iterable=("table",),
    table="a table, such as users or shop.orders; may be repeated; default: those without a model",
    write="the name of a new file in models/ for them, such as shop; default: print them",
    dry_run="print them, also with --write",
)
def models_from_database(
    c: Context,
    table: Sequence[str] | None = None,
    write: str | None = None,
    dry_run: bool = False,
) -> None:
    """Write the models of existing tables."""
    from dbfoundation.migrations.history import TABLE
    from dbfoundation.runtime.connection import connected, dedicated
    from dbfoundation.schema.catalog import read
    from dbfoundation.schema.drift import read_sides
    from dbfoundation.schema.model_source.source import models_of, names_of_tables, table_of
    from dbfoundation.schema.model_source.unexpressed import find_other_objects, find_unexpressed

    project = Project.of(c)
    path = None if dry_run or write is None else _new_file(project, write)
    settings = project.settings().for_migrations()
    ignored = {TABLE, *settings.migrate_check_ignore}
    database = dedicated(settings, "models")
    with connected(database, settings), explain_lock_timeout(database, settings):
        known = names_of_tables(database)
        chosen = _choose(known, table, _without_model(project, known, ignored))
        if not chosen:
            print_line(f"every table has a model: {settings.url}")
            return
        source = models_of(database, chosen, base_of(project.models()), project.models())
        models = [it for it in project.models() if table_of(it) not in source.tables]
        others = {*known, *map(table_of, models)} - {*source.tables}
        sides = read_sides(database, [*models, *source.load()], ignored | others)
        problems = [
            *source.left_out,
            *(it.describe("the database", "the model") for it in sides.differences()),
        ]
        objects = read(database)
        unexpressed = [*find_unexpressed(objects, source.tables)]
        if not table:
            unexpressed += find_other_objects(objects, sides.models.objects, ignored)
    if path is None or problems:
        print_line(source.text)
    for line in unexpressed:
        report(f"no part of a model: {line}")
    if problems:
        print_lines(problems)
        raise Exit(code=1)
    if path:
        _write(path, source)


def base_of(models: Sequence[type[Model]]) -> tuple[str, str]:
    """The module and the name of the project's base class, whose columns each model would have."""
    from peewee import Model

    for kind in models[0].__mro__[1:]:
        is_own = kind.__module__.partition(".")[0] not in ("peewee", "playhouse", "dbfoundation")
        if is_own and issubclass(kind, Model) and not _has_columns(kind):
            return kind.__module__, kind.__name__
    return "peewee", "Model"


def _has_columns(base: type[Model]) -> bool:
    """Whether each model of a base class has columns of it; Peewee gives it a key in any case."""
    from dbfoundation.runtime.models import get_meta

    return not all(field.primary_key for field in get_meta(base).sorted_fields)


def _new_file(project: Project, name: str) -> Path:
    """The file of --write; raises ProjectError where there is one, or no such folder."""
    module = name.removesuffix(".py")
    path = project.root / "models" / f"{module}.py"
    if not module.isidentifier():
        raise ProjectError(f"--write {name}: write a name of a module, such as shop")
    if not path.parent.is_dir():
        raise ProjectError(
            f"{path.parent} is no folder.\nFix: leave out --write, and redirect the output"
        )
    if path.exists():
        raise ProjectError(f"models/{path.name} exists.\nFix: choose another name for --write")
    return path


def _without_model(project: Project, known: Sequence[str], ignored: Collection[str]) -> list[str]:
    """The tables that have no model in the project's list, except the ignored ones."""
    from dbfoundation.schema.ignored import matches
    from dbfoundation.schema.model_source.source import table_of

    own = {table_of(model) for model in project.models()}
    return [name for name in known if name not in own and not matches(name, ignored)]


def _choose(
    known: Sequence[str], asked: Sequence[str] | None, without_model: list[str]
) -> list[str]:
    """The tables to write; raises ProjectError for one that does not exist."""
    if not asked:
        return without_model
    for name in asked:
        if name not in known:
            near = get_close_matches(name, known, n=3)
            advice = (
                f"did you mean {' or '.join(near)}?" if near else "`invoke db-schema` lists all"
            )
            raise ProjectError(f"--table {name}: there is no such table.\nFix: {advice}")
    return [*asked]


def _write(path: Path, source: ModelSource) -> None:
    """Write the file, and print what the list of models needs."""
    from dbfoundation.schema.model_source.imports import import_statement

    with path.open("x", encoding="utf-8") as file:
        file.write(source.text)
    names = [model.__name__ for model in source.load()]
    print_line(f"created models/{path.name}, which agrees with {', '.join(source.tables)}")
    print_line("add these lines at the end of models/__init__.py:")
    print_line(import_statement(f"models.{path.stem}", names) + "\n")
    print_line(fill(f"MODELS.extend([{', '.join(names)}])", WIDTH, subsequent_indent="    "))
