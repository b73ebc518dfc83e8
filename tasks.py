"""The menu: what `invoke` can do in this project."""

from invoke.context import Context
from invoke.tasks import task

from toolkit import cli

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


@task
def migrate_up(_: Context) -> None:
    """Apply the migrations that are pending."""
    cli.migrate_up()


@task
def migrate_down(_: Context) -> None:
    """Roll back the migration that was applied last."""
    cli.migrate_down()


@task(help={"name": "what it does, such as add_users; the number comes by itself"})
def migrate_create(_: Context, name: str) -> None:
    """Write a new migration, with the next number."""
    cli.migrate_create(name)


@task
def migrate_status(_: Context) -> None:
    """List the migrations; exit code 1 when some are pending."""
    cli.migrate_status()


@task
def seed(_: Context) -> None:
    """Insert the development data that are missing."""
    cli.seed("seeds")


@task
def test(_: Context) -> None:
    """Run the tests, on a PostgreSQL of their own."""
    cli.test()


@task
def lint(_: Context) -> None:
    """Check style and types: ruff and mypy --strict."""
    cli.lint()
