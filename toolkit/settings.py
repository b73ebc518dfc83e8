"""The only reader of the environment.

Every setting may stand in `.env`; what is exported in the shell wins. The database's address is
told twice, as DATABASE_URL and in parts (DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD), and the
two never disagree:

- an exported DATABASE_URL is the whole address, and `.env` has no say in it;
- an exported part replaces that part of the address in `.env`;
- a URL and parts of one source that contradict one another are an error.

In `.env`, DATABASE_URL may be put together from the parts (`${DB_HOST}` and so on); there special
characters need no percent-encoding. An empty part counts as none. Without APP_ENV the environment
is production, so that what destroys data runs only where somebody allowed it. Who asks for libpq's
parameters has those variables of libpq taken out of the process that would lead it elsewhere.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any, cast

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from environs import Env, EnvValidationError, validate

from toolkit.errors import SettingsError
from toolkit.url import DEFAULT_PORT, FORM, DatabaseURL, split

ROOT = Path(__file__).resolve().parent.parent
PARTS = {
    "DB_HOST": "host",
    "DB_PORT": "port",
    "DB_NAME": "name",
    "DB_USER": "user",
    "DB_PASSWORD": "password",
}
# What .env's DATABASE_URL becomes when it is put together from the parts.
PLAIN_URL = "postgresql://{user}:{password}@{host}:{port}/{name}"
# Variables of libpq that lead a connection elsewhere than the settings say, or change what its
# values mean, and that no parameter of a connection overrides (PostgreSQL 15 documentation, 34.15).
MISLEADING = (
    "PGHOSTADDR",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSYSCONFDIR",
    "PGTZ",
    "PGDATESTYLE",
    "PGCLIENTENCODING",
)
MIGRATION_URL = "MIGRATION_DATABASE_URL"
HOST = re.compile(r"[A-Za-z0-9._:-]+")
MAX_PORT = 65535

Source = Mapping[str, str | None]
Problems = defaultdict[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting, checked; seconds unless the name says otherwise."""

    app_env: str
    url: DatabaseURL
    application_name: str
    connect_timeout_seconds: int
    pool_max_connections: int
    pool_stale_seconds: int
    pool_wait_seconds: int
    pool_ping_after_seconds: int
    migration_url: DatabaseURL | None
    migrate_lock_wait_seconds: int
    migrate_lock_timeout_seconds: int
    migrate_check_ignore: tuple[str, ...]

    @classmethod
    def load(cls, env_file: Path = ROOT / ".env") -> Settings:
        """Read the environment and `env_file`; raises SettingsError with all that is wrong."""
        file = _read(env_file)
        env = Env(eager=False)
        env.read_env(env_file, recurse=False)
        at_least_1 = validate.Range(min=1, error="must be 1 or more")
        fields: dict[str, Any] = {
            "app_env": env.str(
                "APP_ENV",
                "production",
                validate=validate.OneOf(
                    ["development", "test", "production"],
                    error="must be one of {choices}",
                ),
            ),
            "application_name": env.str("DB_APPLICATION_NAME", "postgresql-foundation"),
            "connect_timeout_seconds": env.int("DB_CONNECT_TIMEOUT", 5, validate=at_least_1),
            "pool_max_connections": env.int("DB_POOL_MAX_CONNECTIONS", 10, validate=at_least_1),
            "pool_stale_seconds": env.int("DB_POOL_STALE_TIMEOUT", 300, validate=at_least_1),
            "pool_wait_seconds": env.int("DB_POOL_WAIT_TIMEOUT", 5, validate=at_least_1),
            "pool_ping_after_seconds": env.int("DB_POOL_PING_AFTER", 30, validate=at_least_1),
            "migrate_lock_wait_seconds": env.int("MIGRATE_LOCK_WAIT", 60, validate=at_least_1),
            "migrate_lock_timeout_seconds": env.int("MIGRATE_LOCK_TIMEOUT", 5, validate=at_least_1),
            "migrate_check_ignore": _names(env.str("MIGRATE_CHECK_IGNORE", "")),
        }
        problems: Problems = defaultdict(list)
        try:
            env.seal()
        except EnvValidationError as error:
            problems.update(cast("Mapping[str, list[str]]", error.error_messages))
        url = _url(os.environ, file, problems)
        migration_url = _migration_url(os.environ, file, problems)
        if url is None or problems:
            raise SettingsError(_report(problems))
        return cls(url=url, migration_url=migration_url, **fields)

    def for_migrations(self) -> Settings:
        """The settings with the address that migrations take, where that is another."""
        return replace(self, url=self.migration_url) if self.migration_url else self

    @property
    def may_destroy(self) -> bool:
        """Whether data may be dropped: outside production, and on this machine."""
        return self.app_env in ("development", "test") and self.url.is_local

    def libpq(self, **changes: str) -> dict[str, Any]:
        """libpq's parameters for a connection of ours, as psycopg2.connect() takes them.

        They may hold a password. The URL's own parameters go before ours, TimeZone apart: a
        `timestamp` column means UTC whatever zone the server, the role or the client has.
        """
        for name in MISLEADING:
            os.environ.pop(name, None)
        url = self.url
        return {
            "application_name": self.application_name,
            "connect_timeout": str(self.connect_timeout_seconds),
            **url.parameters,
            "client_encoding": "UTF8",
            "options": f"{url.parameters.get('options', '')} -c TimeZone=UTC".lstrip(),
            "host": url.host,
            "port": str(url.port),
            "dbname": url.name,
            "user": url.user,
            "password": url.password,
            **changes,
        }

    def child_environment(self) -> dict[str, str]:
        """The environment for a program we start: the parts of the address, and no PG* of libpq."""
        inherited = {name: value for name, value in os.environ.items() if name[:2] != "PG"}
        parts = {name: str(getattr(self.url, field)) for name, field in PARTS.items()}
        return inherited | parts


def _names(text: str) -> tuple[str, ...]:
    """The names in a list with commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _read(env_file: Path) -> dict[str, str | None]:
    """The values of a .env, which need not be there; raises SettingsError when it is garbled."""
    try:
        text = env_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{env_file.name} cannot be read: {error}") from error
    garbled = [f"{line.original.line}" for line in parse_stream(StringIO(text)) if line.error]
    if garbled:
        raise SettingsError(
            f"{env_file.name}, line {', '.join(garbled)}: not of the form NAME=value"
        )
    return dotenv_values(stream=StringIO(text))


def _url(shell: Source, file: Source, problems: Problems) -> DatabaseURL | None:
    source = shell
    parameters: dict[str, str] = {}
    stated = {part: value for name, part in PARTS.items() if (value := shell.get(name))}
    try:
        stated, parameters = _stated(shell)
        if not shell.get("DATABASE_URL"):
            source = file
            below, parameters = _stated(file)
            stated = below | stated
    except ValueError as error:
        problems["DATABASE_URL"].append(str(error))
    else:
        for name, part in PARTS.items():
            if part not in stated and part not in ("port", "password"):
                problems[name].append("not set, nor told by DATABASE_URL")
    port = stated.pop("port", str(DEFAULT_PORT))
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= MAX_PORT):
        told = shell.get("DB_PORT") or source.get("DB_PORT")
        problems["DB_PORT" if told else "DATABASE_URL"].append(
            f"not a port number, 1 to {MAX_PORT}"
        )
    if not HOST.fullmatch(stated.get("host", "localhost")):
        problems["DB_HOST"].append("not a host name or IP address")
    return None if problems else DatabaseURL(port=int(port), parameters=parameters, **stated)


def _migration_url(shell: Source, file: Source, problems: Problems) -> DatabaseURL | None:
    """Where migrations go; .env has no say in it when the shell says where the database is."""
    exported = any(shell.get(name) for name in ("DATABASE_URL", *PARTS))
    text = shell.get(MIGRATION_URL) or (None if exported else file.get(MIGRATION_URL))
    if not text:
        return None
    faults: Problems = defaultdict(list)
    url = _url({"DATABASE_URL": text}, {}, faults)
    if faults:
        problems[MIGRATION_URL].append(f"no whole address, {FORM}")
    return url


def _stated(source: Source) -> tuple[dict[str, str], dict[str, str]]:
    """The address's parts and parameters as one source has them; raises ValueError."""
    parts = {part: value for name, part in PARTS.items() if (value := source.get(name))}
    text = source.get("DATABASE_URL")
    if not text or text == PLAIN_URL.format_map(defaultdict(str, parts)):
        return parts, {}
    stated, parameters = split(text)
    if differing := [
        name
        for name, part in PARTS.items()
        if part in parts and parts[part] != stated.get(part, parts[part])
    ]:
        raise ValueError(f"contradicts {', '.join(differing)}: change one, or leave one out")
    return parts | stated, parameters


def _report(problems: Problems) -> str:
    lines = [f"  {name}: {'; '.join(what)}" for name, what in sorted(problems.items())]
    return "\n".join(["settings to mend, in the environment or in .env:", *lines])
