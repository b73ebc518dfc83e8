"""The menu: what `invoke` can do in this project."""

import sys

from invoke.context import Context
from invoke.tasks import task

# invoke lets Python keep no bytecode, and ours would be compiled anew by each task.
sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)

from toolkit import cli  # noqa: E402 # behind that line, for it is meant

NAME = "its name, its number, or a part that no other name has"
VIA = "the one way to start it: docker, or local for this machine's own programs"


@task(help={"via": VIA})
def db_up(_: Context, via: str | None = None) -> None:
    """Make a PostgreSQL answer at DATABASE_URL."""
    cli.db_up(via)


@task
def db_down(_: Context) -> None:
    """Stop the server that db-up started; its data stay."""
    cli.db_down()


@task
def db_reset(_: Context) -> None:
    """Drop the development database, create, migrate, seed."""
    cli.db_reset("seeds")


@task
def db_shell(_: Context) -> None:
    """Open psql on the database."""
    cli.db_shell()


@task(help={"json": "print one JSON object and nothing else"})
def db_schema(_: Context, json: bool = False) -> None:
    """List the tables and all else of the live schema."""
    cli.db_schema(as_json=json)


@task(
    help={
        "to": f"the last one to apply: {NAME}",
        "steps": "how many to apply; all without it",
        "dry_run": "show the SQL instead, from running it in a transaction that is rolled back",
        "allow_out_of_order": "apply files with older numbers than applied ones as well",
    }
)
def migrate_up(
    _: Context,
    to: str | None = None,
    steps: str | None = None,
    dry_run: bool = False,
    allow_out_of_order: bool = False,
) -> None:
    """Apply the migrations that are pending."""
    cli.migrate_up(to=to, steps=steps, dry_run=dry_run, allow_out_of_order=allow_out_of_order)


@task(
    help={
        "to": f"the one to go back to, which stays applied: {NAME}; zero for none",
        "steps": "how many to roll back; one without it",
        "dry_run": "show the SQL instead, from running it in a transaction that is rolled back",
    }
)
def migrate_down(
    _: Context, to: str | None = None, steps: str | None = None, dry_run: bool = False
) -> None:
    """Roll back the migration that was applied last."""
    cli.migrate_down(to=to, steps=steps, dry_run=dry_run)


@task(help={"steps": "how many; one without it"})
def migrate_redo(_: Context, steps: str | None = None) -> None:
    """Roll back the last migration and apply it again."""
    cli.migrate_redo(steps=steps)


@task(help={"name": "what it does, such as add_users; the number comes by itself"})
def migrate_create(_: Context, name: str) -> None:
    """Write a new migration, with the next number."""
    cli.migrate_create(name)


@task(help={"json": "print one JSON object and nothing else"})
def migrate_status(_: Context, json: bool = False) -> None:
    """List the migrations; exit code 1 when some are pending."""
    cli.migrate_status(as_json=json)


@task(help={"name": NAME})
def migrate_accept(_: Context, name: str) -> None:
    """Take an edited migration file as it now stands."""
    cli.migrate_accept(name)


@task(help={"json": "print one JSON object and nothing else"})
def migrate_check(_: Context, json: bool = False) -> None:
    """Compare the models with the database; for CI."""
    cli.migrate_check("models", as_json=json)


@task(help={"with_seed": "insert the development data before the rollbacks"})
def migrate_verify(_: Context, with_seed: bool = False) -> None:
    """Prove on a scratch database that each rollback works."""
    cli.migrate_verify("seeds", with_seed=with_seed)


@task
def seed(_: Context) -> None:
    """Insert the development data that are missing."""
    cli.seed("seeds")


@task
def sessions_prune(_: Context) -> None:
    """Delete the sessions that have expired."""
    cli.sessions_prune("models")


@task
def test(_: Context) -> None:
    """Run the tests, on a PostgreSQL of their own."""
    cli.test()


@task(
    help={
        "quick": "less of everything, in under a minute",
        "json": "a file to write the figures to as well",
    }
)
def bench(_: Context, quick: bool = False, json: str | None = None) -> None:
    """Measure the speed, side by side with other tools."""
    cli.bench(quick=quick, json_file=json)


@task
def lint(_: Context) -> None:
    """Check style and types: ruff and mypy --strict."""
    cli.lint()
