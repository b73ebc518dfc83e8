"""A copy of the project with the files of docs/deploying.md, and a server for its two roles."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dbfoundation.server.databases import create_database
from tests.support import Project, at_database, clean_environment, execute, local_server
from tests.web import write_pages

if TYPE_CHECKING:
    from dbfoundation.settings import Settings

# Characters that SQL, a shell, psql and a URL treat differently.
OWNER_PASSWORD = "own'er $1 @/:"
APP_PASSWORD = 'a"p%p\\ '


def deployed_project(folder: Path, *pages: str) -> Project:
    """A copy of the root's project with the page's files; its scripts find `invoke`."""
    write_pages(folder, "deploying", *pages)
    environment = clean_environment()
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return Project(folder, environment | {"PATH": path, "APP_ENV": "test"})


def start_release(project: Project) -> subprocess.Popen[str]:
    """Run the page's release.sh."""
    return subprocess.Popen(
        ["sh", "release.sh"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass(frozen=True)
class Roles:
    """One database, as its administrator, as the owner of its schema, and as the application."""

    admin: Settings
    owner: Settings
    app: Settings

    def environment(self) -> dict[str, str]:
        """The addresses that the release step has."""
        return {
            "DATABASE_URL": self.app.url.render(with_password=True),
            "MIGRATION_DATABASE_URL": self.owner.url.render(with_password=True),
        }


@contextmanager
def server_without_roles():
    """A database on a server of its own, on which neither of the page's roles exists.

    The first superuser of a private server is called app, as the page's role.
    """
    with local_server() as local:
        first = at_database(local.settings, "postgres")
        execute(first, "CREATE ROLE postgres SUPERUSER LOGIN PASSWORD 'admin'")
        admin = as_role(first, "postgres", "admin")
        execute(admin, "ALTER ROLE app RENAME TO first_superuser")
        admin = at_database(admin, "the shop")
        create_database(admin)
        yield Roles(
            admin, as_role(admin, "app_owner", OWNER_PASSWORD), as_role(admin, "app", APP_PASSWORD)
        )


def create_roles(project: Project, admin: Settings) -> None:
    """Run the page's roles.sql, as an administrator."""
    done = project.invoke_process(
        "db-shell",
        stdin=(project.folder / "deploy" / "roles.sql").read_text(),
        DATABASE_URL=admin.url.render(with_password=True),
        APP_OWNER_PASSWORD=OWNER_PASSWORD,
        APP_PASSWORD=APP_PASSWORD,
    )
    assert (done.returncode, done.stderr) == (0, ""), done


def as_role(settings: Settings, user: str, password: str) -> Settings:
    return replace(settings, url=replace(settings.url, user=user, password=password))
