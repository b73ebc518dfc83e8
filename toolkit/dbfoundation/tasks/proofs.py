"""The task migrate-verify."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from invoke.exceptions import Exit

from dbfoundation.errors import RefusedError, ServerError, ServerWideError
from dbfoundation.tasks import rendering
from dbfoundation.tasks.command import command
from dbfoundation.tasks.connections import (
    IN_SCRATCH,
    explain_scratch_failure,
    open_private_server,
    open_scratch,
)
from dbfoundation.tasks.data import run_seeds
from dbfoundation.tasks.migrations import NAME
from dbfoundation.tasks.output import print_line, print_lines, report
from dbfoundation.tasks.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoke.context import Context

    from dbfoundation.migrations.verification import ProofResult, Scratch, Verification
    from dbfoundation.settings import Settings


@command(
    changes=True,
    with_seed="insert the development data before the rollbacks",
    since=f"the last migration that needs no proof, which is applied once: {NAME}",
)
def migrate_verify(c: Context, with_seed: bool = False, since: str | None = None) -> None:
    """Prove on a scratch database that each rollback works."""
    from dbfoundation.migrations.verification import Verification

    project = Project.of(c)
    settings = project.settings().for_migrations()
    if settings.app_env == "production":
        raise RefusedError(
            "migrate-verify runs every migration and rollback, and APP_ENV is production"
        )
    started = perf_counter()
    proofs = Verification(_print_proof, since)
    _run(proofs, project, settings, with_seed=with_seed)
    print_line(rendering.proof_total(proofs.results, perf_counter() - started, settings))
    if any(result.problems or result.untried for result in proofs.results):
        raise Exit(code=1)


def _run(proofs: Verification, project: Project, settings: Settings, *, with_seed: bool) -> None:
    """Run the proofs beside the configured database, or on a new one."""
    in_scratch = partial(_in_scratch, project, with_seed=with_seed)
    try:
        with explain_scratch_failure(IN_SCRATCH):
            proofs.run(partial(in_scratch, settings, is_private=False))
    except ServerWideError as error:
        with ExitStack() as stack:
            try:
                private = stack.enter_context(open_private_server(settings))
            except ServerError as unavailable:
                proofs.add(_untried(error, unavailable))
                return
            report(f"{error}\nThe proof goes on with a PostgreSQL of its own.")
            proofs.run(partial(in_scratch, private, is_private=True))


def _untried(error: ServerWideError, unavailable: ServerError) -> ProofResult:
    from dbfoundation.migrations.verification import ProofResult

    return ProofResult(error.name, 0, untried=(error.reason, *f"{unavailable}".split("\n")))


@contextmanager
def _in_scratch(
    project: Project, settings: Settings, *, with_seed: bool, is_private: bool
) -> Iterator[Scratch]:
    from dbfoundation.migrations.verification import Scratch

    with open_scratch(settings, project.migrations) as (scratch, engine, second):
        seed = partial(run_seeds, project, scratch) if with_seed else None
        yield Scratch(engine, second, seed, is_private)


def _print_proof(result: ProofResult) -> None:
    print_lines(rendering.proof(result))
