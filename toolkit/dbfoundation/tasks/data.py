"""The tasks on rows: development data, and expired sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbfoundation.errors import FoundationError, ProjectError
from dbfoundation.tasks.command import command, describe_error
from dbfoundation.tasks.connections import open_pool
from dbfoundation.tasks.consent import YES, require_own_server
from dbfoundation.tasks.output import Progress, print_line
from dbfoundation.tasks.project import Project

if TYPE_CHECKING:
    from invoke.context import Context

    from dbfoundation.runtime.seeding import Seeded
    from dbfoundation.settings import Settings


@command(changes=True, yes=YES)
def seed(c: Context, yes: bool = False) -> None:
    """Insert the development data that are missing."""
    project = Project.of(c)
    settings = project.settings()
    require_own_server(project, settings, "seed would insert development data into", yes=yes)
    seeded = run_seeds(project, settings)
    print_line(f"seeded {settings.url}: inserted {seeded.inserted}, unchanged {seeded.unchanged}")


@command(changes=True)
def sessions_prune(c: Context) -> None:
    """Delete the expired sessions; for cron."""
    from dbfoundation.runtime.sessions import SessionStore

    project = Project.of(c)
    settings = project.settings()
    models = project.session_models()
    if not models:
        raise ProjectError(
            f"{project.names['models']}: no model has the columns of sessions, sid, sess and expire"
        )
    with open_pool(project.pool(), settings):
        progress = Progress()
        pruned = sum(
            SessionStore(model).prune(on_batch=lambda n: progress(f"pruned {n} sessions so far"))
            for model in models
        )
    print_line(f"pruned {pruned} expired sessions: {settings.url}")


def run_seeds(project: Project, settings: Settings) -> Seeded:
    """Run the project's seeds on the settings' database; raises ProjectError for their errors."""
    from dbfoundation.runtime.seeding import Seeded

    name = project.names["seeds"]
    pool, seeds = project.pool(), project.seeds()
    try:
        with open_pool(pool, settings):
            seeded = seeds()
    except FoundationError:
        raise
    except Exception as error:
        reason = describe_error(error) or f"{type(error).__name__}: {error}"
        fix = "correct the seeds; `invoke --debug` adds the traceback."
        raise ProjectError(f"{name} failed: {reason}\nFix: {fix}") from error
    if not isinstance(seeded, Seeded):
        raise ProjectError(
            f"{name} returned no dbfoundation.Seeded, but {type(seeded).__name__}.\n"
            "Fix: return the result of insert_missing()."
        )
    return seeded
