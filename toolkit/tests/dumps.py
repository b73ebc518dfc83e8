"""A database that is restored from a dump of another one."""

import subprocess
from contextlib import contextmanager

import pytest

from dbfoundation.server import binaries
from tests.support import at_database, execute


def find_program(name):
    """The path of pg_dump or psql; skips the test where this machine has none."""
    programs = binaries.installed()
    if programs is None or not (programs / name).exists():
        pytest.skip(f"no {name}: PostgreSQL's client programs are not installed")
    return programs / name


def dump(settings, *options):
    """The text of a dump of the settings' database."""
    command = [find_program("pg_dump"), *options, settings.url.render(with_password=True)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextmanager
def restored_database(settings):
    """Settings of another database, which is restored from a dump and dropped at the end."""
    text = dump(settings)
    other = at_database(settings, f"{settings.url.name} restored")
    execute(settings, f'CREATE DATABASE "{other.url.name}" TEMPLATE template0')
    psql = [find_program("psql"), "-qX", "-v", "ON_ERROR_STOP=1"]
    url = other.url.render(with_password=True)
    subprocess.run([*psql, url], check=True, capture_output=True, text=True, input=text)
    yield other
    execute(settings, f'DROP DATABASE "{other.url.name}"')
