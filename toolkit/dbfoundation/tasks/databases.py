"""The tasks db-*: the development server, its database, and the live schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from dbfoundation.errors import RefusedError, ServerError
from dbfoundation.tasks.command import command
from dbfoundation.tasks.connections import explain_lock_timeout
from dbfoundation.tasks.data import seed
from dbfoundation.tasks.migrations import JSON, migrate_up
from dbfoundation.tasks.output import print_json, print_line, print_lines, report
from dbfoundation.tasks.project import Project

if TYPE_CHECKING:
    from invoke.context import Context

    from dbfoundation.server.development import DevelopmentServer


@command(via="the only provider to try: docker, or local for this machine's own programs")
def db_up(c: Context, via: str | None = None) -> None:
    """Start a PostgreSQL at DATABASE_URL, unless one answers."""
    server = _server(Project.of(c), via)
    started = server.start()
    outcome = f"started by {started}" if started else "already running"
    print_line(f"{server.settings.url} answers: {outcome}")


@command()
def db_down(c: Context) -> None:
    """Stop the server that db-up started; the data stay."""
    stopped = _server(Project.of(c)).stop()
    for provider in stopped:
        print_line(f"stopped {provider}; the data stay")
    if not stopped:
        print_line("nothing to stop: no server of db-up runs here")


@command()
def db_reset(c: Context) -> None:
    """Drop the development database, create, migrate and seed it."""
    from dbfoundation.server.databases import create_database, drop_database

    project = Project.of(c)
    settings = project.settings()
    if not settings.may_destroy:
        raise RefusedError(
            f"db-reset would drop {settings.url}, and APP_ENV is {settings.app_env}.\n"
            "Fix: run it where APP_ENV is development or test, for a database on this machine."
        )
    project.pool()  # an error of the models or seeds comes before anything is dropped
    project.seeds()
    drop_database(settings)
    create_database(settings)
    print_line(f"dropped and created {settings.url}")
    migrate_up(c)
    seed(c)


@command()
def db_shell(c: Context) -> None:
    """Open psql; a script on stdin ends at its first error."""
    from dbfoundation.server.processes import run_on_terminal

    project = Project.of(c)
    psql, environment = _server(project).psql()
    if code := run_on_terminal(psql, cwd=project.root, env=environment):
        raise Exit(code=code)


@command(json=JSON)
def db_schema(c: Context, json: bool = False) -> None:
    """List the live schema with all of its objects."""
    from dbfoundation.runtime.connection import connected, dedicated
    from dbfoundation.schema import catalog
    from dbfoundation.tasks import rendering

    settings = Project.of(c).settings()
    database = dedicated(settings, "schema")
    with connected(database, settings), explain_lock_timeout(database, settings):
        schema = catalog.read(database)
    if json:
        print_json(rendering.schema_json(schema, settings))
    else:
        print_lines(rendering.schema(schema))


def _server(project: Project, via: str | None = None) -> DevelopmentServer:
    """The development server, with all providers or one of them."""
    from dbfoundation.server.development import DevelopmentServer, all_providers

    settings = project.settings()
    providers = all_providers(project.root, settings)
    if via is not None:
        if via not in providers:
            raise ServerError(f"--via accepts {' or '.join(providers)}, not {via}")
        providers = {via: providers[via]}
    return DevelopmentServer(project.root, settings, report, providers)
