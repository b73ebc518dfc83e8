"""A copy of the tests' project that belongs to another user ID, which runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import LIBRARY, Project, clean_environment, copy_project, free_port

PYTHONS = (sys.executable, "/usr/bin/python3")


@contextmanager
def project_of(user: int, group: int):
    """The project of a user ID, which may be a number without an account; needs root."""
    if os.geteuid():
        pytest.skip("only root can run a program as another user")
    account = {"user": user, "group": group, "extra_groups": []}
    with tempfile.TemporaryDirectory(prefix="dbfoundation-account-") as name:
        folder = copy_project(Path(name))
        # An editable install is not on PYTHONPATH, and root's folders are closed for others.
        shutil.copytree(LIBRARY / "dbfoundation", folder / "dbfoundation")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, group)
        packages = ":".join(path for path in sys.path if "site-packages" in path)
        exported = {"DB_PORT": str(free_port()), "PYTHONPATH": packages, "HOME": name}
        python = next((path for path in PYTHONS if can_import(path, packages, account)), None)
        if python is None:
            pytest.skip("another account cannot run a Python of this version")
        yield Project(folder, clean_environment() | exported, python, account)


def can_import(python, packages, account):
    code = "import environs, invoke, peewee_migrate, psycopg2"
    environment = {"PYTHONPATH": packages}
    try:
        done = subprocess.run([python, "-c", code], check=False, env=environment, **account)
    except OSError:
        return False
    return done.returncode == 0
