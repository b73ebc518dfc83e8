"""The tools that migrate: the files of a project of each, and its commands.

All projects have the same SQL: each migration creates one table in a transaction of its own.
"""

from __future__ import annotations

import shutil
import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from benchmarks import PROJECT, peers
from benchmarks.results import OURS

if TYPE_CHECKING:
    from pathlib import Path

    from dbfoundation.url import DatabaseURL

UP = "CREATE TABLE t{n} (id SERIAL PRIMARY KEY, name VARCHAR(100) NOT NULL)"
DOWN = "DROP TABLE t{n}"


class Tool(ABC):
    """A project of a tool, in `folder`, on the database at `url`.

    `path` and `source` are templates of a migration's path and text. The tool reads the password in
    libpq's variable PGPASSWORD.
    """

    name: ClassVar[str]
    path: ClassVar[str]
    source: ClassVar[str]

    def __init__(self, folder: Path, url: DatabaseURL, programs: Path) -> None:
        self.folder = folder
        self.url = url
        self.address = url.render(with_password=False)
        self.programs = programs
        (folder / self.path).parent.mkdir(parents=True)
        self.prepare()

    @abstractmethod
    def prepare(self) -> None:
        """Write the project's other files."""

    def write(self, n: int) -> Path:
        """Write the migration that creates table number `n`; returns its file."""
        path = self.folder / self.path.format(n=n, tens=n // 10, ones=n % 10)
        up, down = UP.format(n=n), DOWN.format(n=n)
        path.write_text(self.source.format(n=n, before=n - 1, up=up, down=down))
        return path

    @abstractmethod
    def up(self, pending: range) -> list[str]:
        """The command that applies the pending migrations."""

    @abstractmethod
    def down(self, n: int) -> list[str]:
        """The command that rolls back the last migration, number `n`."""

    @abstractmethod
    def status(self) -> list[str]:
        """The command that lists the migrations."""


class ThisProject(Tool):
    name = OURS
    path = "migrations/{n:03}_t{n}.py"
    source = """def migrate(migrator, database, *, fake=False):
    migrator.sql("{up}")


def rollback(migrator, database, *, fake=False):
    migrator.sql("{down}")
"""

    def prepare(self) -> None:
        # Reading .env takes a part of the time, although the environment overrides its values.
        for name in ("tasks.py", ".env"):
            shutil.copy(PROJECT / name, self.folder)

    def up(self, _: range) -> list[str]:
        return [sys.executable, "-m", "invoke", "migrate-up"]

    def down(self, _: int) -> list[str]:
        return [sys.executable, "-m", "invoke", "migrate-down"]

    def status(self) -> list[str]:
        return [sys.executable, "-m", "invoke", "migrate-status"]


class PwMigrate(Tool):
    """peewee-migrate's own command line, on the same files; it ignores numbers above 999."""

    name = "pw_migrate"
    path = "migrations/{tens:03}_{ones}_t{n}.py"
    source = ThisProject.source

    def prepare(self) -> None:
        (self.folder / "migrations" / "conf.py").write_text(f"DATABASE = {self.address!r}\n")

    def up(self, _: range) -> list[str]:
        return [sys.executable, "-m", "peewee_migrate", "migrate"]

    def down(self, _: int) -> list[str]:
        return [sys.executable, "-m", "peewee_migrate", "rollback"]

    def status(self) -> list[str]:
        return [sys.executable, "-m", "peewee_migrate", "list"]


class Playhouse(Tool):
    """Peewee's own runner, playhouse.migrations, without peewee-migrate."""

    name = "pwmigrate"
    path = "migrations/{n:04}_t{n}.py"
    source = """def up(migrator, db):
    db.execute_sql("{up}")


def down(migrator, db):
    db.execute_sql("{down}")
"""

    def prepare(self) -> None:
        (self.folder / ".pwmigrate").write_text(f"database={self.address}\n")

    def up(self, _: range) -> list[str]:
        return [sys.executable, "-m", "playhouse.migrations", "up"]

    def down(self, _: int) -> list[str]:
        return [sys.executable, "-m", "playhouse.migrations", "down"]

    def status(self) -> list[str]:
        return [sys.executable, "-m", "playhouse.migrations", "status"]


class Alembic(Tool):
    name = "alembic"
    path = "alembic/versions/{n:04}_t{n}.py"
    source = """from alembic import op

revision = "{n}"
down_revision = "{before}" if {before} else None


def upgrade():
    op.execute("{up}")


def downgrade():
    op.execute("{down}")
"""
    environment = """from alembic import context
from sqlalchemy import create_engine

with create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
"""

    def prepare(self) -> None:
        address = self.address.replace("postgresql:", "postgresql+psycopg2:")
        settings = f"[alembic]\nscript_location = alembic\nsqlalchemy.url = {address}\n"
        (self.folder / "alembic.ini").write_text(settings)
        (self.folder / "alembic" / "env.py").write_text(self.environment)

    def up(self, _: range) -> list[str]:
        return [str(peers.PYTHON / "bin" / "alembic"), "upgrade", "head"]

    def down(self, _: int) -> list[str]:
        return [str(peers.PYTHON / "bin" / "alembic"), "downgrade", "-1"]

    def status(self) -> list[str]:
        return [str(peers.PYTHON / "bin" / "alembic"), "history", "--indicate-current"]


class Django(Tool):
    name = "Django"
    path = "app/migrations/{n:04}_t{n}.py"
    source = """from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("app", "{before:04}_t{before}")] if {before} else []
    operations = [migrations.RunSQL("{up}", "{down}")]
"""

    def prepare(self) -> None:
        (self.folder / "app" / "migrations" / "__init__.py").touch()
        (self.folder / "app" / "__init__.py").touch()
        database = {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": self.url.host,
            "PORT": self.url.port,
            "USER": self.url.user,
            "NAME": self.url.name,
        }
        settings = f'INSTALLED_APPS = ["app"]\nDATABASES = {{"default": {database}}}\n'
        (self.folder / "config.py").write_text(settings)

    def up(self, _: range) -> list[str]:
        return self._admin("migrate")

    def down(self, n: int) -> list[str]:
        return self._admin("migrate", "app", f"{n - 1:04}")

    def status(self) -> list[str]:
        return self._admin("showmigrations")

    def _admin(self, *arguments: str) -> list[str]:
        admin = str(peers.PYTHON / "bin" / "django-admin")
        return [admin, *arguments, "--settings=config", "--pythonpath=."]


class Psql(Tool):
    """The limit: the time of the server and its own client."""

    name = "psql"
    path = "{n}.sql"
    source = "BEGIN;\n{up};\nCOMMIT;\n"

    def prepare(self) -> None:
        """A folder of SQL files needs no other file."""

    def up(self, pending: range) -> list[str]:
        statements = "".join((self.folder / f"{n}.sql").read_text() for n in pending)
        (self.folder / "pending.sql").write_text(statements or "SELECT 1;\n")
        return self._psql("-f", "pending.sql")

    def down(self, n: int) -> list[str]:
        return self._psql("-c", DOWN.format(n=n))

    def status(self) -> list[str]:
        return self._psql("-c", "SELECT 1")

    def _psql(self, *arguments: str) -> list[str]:
        return [str(self.programs / "psql"), "-qX", self.address, *arguments]


TOOLS: tuple[type[Tool], ...] = (ThisProject, PwMigrate, Playhouse, Alembic, Django, Psql)
