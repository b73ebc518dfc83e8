"""The tasks db-*: the development server, its database, and the live schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from dbfoundation.errors import ServerError
from dbfoundation.tasks.command import command
from dbfoundation.tasks.connections import explain_lock_timeout
from dbfoundation.tasks.consent import YES, require_agreement, require_own_server
from dbfoundation.tasks.data import seed
from dbfoundation.tasks.migrations import JSON, migrate_up
from dbfoundation.tasks.output import print_json, print_line, print_lines, report
from dbfoundation.tasks.project import Project

if TYPE_CHECKING:
    from invoke.context import Context

    from dbfoundation.server.development import DevelopmentServer


@command(
    changes=True,
    via="docker, or local for this machine's own programs, whatever has the data",
)
def db_up(c: Context, via: str | None = None) -> None:
    """Start PostgreSQL at DATABASE_URL, unless one answers."""
    server = _server(Project.of(c), via)
    answer = server.start()
    outcome = "started by" if answer.was_started else "already running:"
    server_of = answer.provider or "a server that this project did not start"
    print_line(f"{server.settings.url} answers: {outcome} {server_of}, PostgreSQL {answer.version}")


@command(
    changes=True,
    remove_data="remove this project's servers with their data, for good",
    yes="agree to --remove-data in advance",
)
def db_down(c: Context, remove_data: bool = False, yes: bool = False) -> None:
    """Stop the server that db-up started; the data stay."""
    server = _server(Project.of(c))
    data = server.data() if remove_data else {}
    if data and not yes:
        places = " and ".join(data.values())
        require_agreement(f"db-down would remove the data in {places}", word="remove")
    if data:
        server.remove_data()
        print_lines(f"removed the data in {place}" for place in data.values())
        return
    stopped = server.stop()
    print_lines(f"stopped {name}; the data stay" for name in stopped)
    if not stopped:
        print_line("nothing to stop: no server of db-up runs here")


@command(changes=True, yes=YES)
def db_reset(c: Context, yes: bool = False) -> None:
    """Drop, create, migrate and seed the database."""
    from dbfoundation.server.databases import create_database, drop_database

    project = Project.of(c)
    settings = project.settings()
    project.pool()  # an error of the models or seeds comes before anything is dropped
    project.seeds()
    require_own_server(project, settings, "db-reset would drop", yes=yes)
    drop_database(settings)
    create_database(settings)
    print_line(f"dropped and created {settings.url}")
    migrate_up(c)
    seed(c, yes=True)


@command(changes=True)
def db_shell(c: Context) -> None:
    """Open psql; a script on stdin ends at its first error."""
    from dbfoundation.server.processes import run_on_terminal

    project = Project.of(c)
    psql, environment = _server(project).psql()
    if code := run_on_terminal(psql, cwd=project.root, env=environment):
        raise Exit(code=code)


@command(
    changes=False,
    json=JSON,
    source="print the text of each view and function, too; --json always has it",
)
def db_schema(c: Context, json: bool = False, source: bool = False) -> None:
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
        print_lines(rendering.schema(schema, with_source=source))


def _server(project: Project, via: str | None = None) -> DevelopmentServer:
    """The development server; `via` is the only provider that may start it."""
    from dbfoundation.server.development import DevelopmentServer
    from dbfoundation.server.ownership import all_providers

    settings = project.settings()
    providers = all_providers(project.root, settings)
    if via is not None and via not in providers:
        raise ServerError(f"--via accepts {' or '.join(providers)}, not {via}")
    return DevelopmentServer(project.root, settings, report, providers, via)
