"""The settings: the only reader of the environment and of .env.

An exported variable replaces the line of the same name in `.env`. The database's address exists
twice, as DATABASE_URL and in parts (DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD). The function
`reconcile` makes one address of them:

- an exported DATABASE_URL is the whole address, and the one in `.env` is ignored;
- an exported part replaces that part of the address in `.env`;
- a URL that contradicts the parts of the same source is an error.

In `.env`, DATABASE_URL may be composed of the parts (`${DB_HOST}` and so on); special characters
then need no percent-encoding. An empty part counts as missing. APP_ENV is production unless it is
set: nothing but a server's owner permits what production forbids.
"""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

from environs import Env, EnvValidationError, validate

from dbfoundation.env_file import read_env_file
from dbfoundation.errors import SettingsError
from dbfoundation.url import PARTS, DatabaseURL, reconcile, whole_url

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dbfoundation.url import Problems, Source

MIGRATION_URL = "MIGRATION_DATABASE_URL"
# libpq's variables that lead a connection to another server or change the meaning of its values,
# and that no parameter of a connection overrides (PostgreSQL 15 documentation, 34.15).
OVERRIDING_PG_VARIABLES = (
    "PGHOSTADDR",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSYSCONFDIR",
    "PGTZ",
    "PGDATESTYLE",
    "PGCLIENTENCODING",
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting, validated. Numbers are seconds unless the name differs."""

    url: DatabaseURL
    app_env: str = "production"
    application_name: str = "dbfoundation"
    connect_timeout_seconds: int = 5
    network_timeout_seconds: int = 15
    pool_max_connections: int = 10
    pool_max_lifetime_seconds: int = 300
    pool_wait_seconds: int = 5
    pool_max_idle_seconds: int = 60
    migration_url: DatabaseURL | None = None
    migrate_runner_timeout_seconds: int = 60
    migrate_table_lock_timeout_seconds: int = 5
    migrate_check_ignore: tuple[str, ...] = ()

    # The variable of each number, and the name that it had until 0.1.
    NUMBERS: ClassVar[dict[str, tuple[str, str | None]]] = {
        "connect_timeout_seconds": ("DB_CONNECT_TIMEOUT", None),
        "network_timeout_seconds": ("DB_NETWORK_TIMEOUT", None),
        "pool_max_connections": ("DB_POOL_MAX_CONNECTIONS", None),
        "pool_max_lifetime_seconds": ("DB_POOL_MAX_LIFETIME", "DB_POOL_STALE_TIMEOUT"),
        "pool_wait_seconds": ("DB_POOL_WAIT_TIMEOUT", None),
        "pool_max_idle_seconds": ("DB_POOL_MAX_IDLE", "DB_POOL_PING_AFTER"),
        "migrate_runner_timeout_seconds": ("MIGRATE_RUNNER_TIMEOUT", "MIGRATE_LOCK_WAIT"),
        "migrate_table_lock_timeout_seconds": (
            "MIGRATE_TABLE_LOCK_TIMEOUT",
            "MIGRATE_LOCK_TIMEOUT",
        ),
    }

    @classmethod
    def load(cls, env_file: Path) -> Settings:
        """Read the environment and `env_file`, which may be missing.

        Raises SettingsError with every problem.
        """
        file = read_env_file(env_file, os.environ)
        env = FileEnv(file)
        positive = validate.Range(min=1, error="must be 1 or more")
        environments = ["development", "test", "production"]
        one_of = validate.OneOf(environments, error="must be one of {choices}")
        fields: dict[str, Any] = {
            "app_env": env.str("APP_ENV", cls.app_env, validate=one_of),
            "application_name": env.str("DB_APPLICATION_NAME", cls.application_name),
            "migrate_check_ignore": _split_names(env.str("MIGRATE_CHECK_IGNORE", "")),
        }
        for name, (variable, old_variable) in cls.NUMBERS.items():
            found = env.current_name(variable, old_variable)
            fields[name] = env.int(found, getattr(cls, name), validate=positive)
        problems: Problems = defaultdict(list)
        try:
            env.seal()
        except EnvValidationError as error:
            problems.update(cast("Mapping[str, list[str]]", error.error_messages))
        url = reconcile(os.environ, file, problems)
        migration_url = _migration_url(os.environ, file, problems)
        if url is None or problems:
            raise SettingsError(_describe(problems))
        return cls(url=url, migration_url=migration_url, **fields)

    def for_migrations(self) -> Settings:
        """These settings with the address that migrations connect to."""
        return replace(self, url=self.migration_url) if self.migration_url else self

    def connect_kwargs(self, **changes: str) -> dict[str, Any]:
        """The keyword arguments for psycopg2.connect(); they may hold a password.

        The URL's parameters replace these settings, except TimeZone: a `timestamp` column means UTC
        whatever zone the server, the role or the client has. Removes OVERRIDING_PG_VARIABLES from
        the process's environment; libpq reads its other variables, such as PGSSLMODE, for what is
        not in here, as psql does.
        """
        for name in OVERRIDING_PG_VARIABLES:
            os.environ.pop(name, None)
        url = self.url
        return {
            "application_name": self.application_name,
            "connect_timeout": str(self.connect_timeout_seconds),
            **self._network_limits(),
            **url.parameters,
            "client_encoding": "UTF8",
            "options": f"{url.parameters.get('options', '')} -c TimeZone=UTC".lstrip(),
            "host": url.host,
            "port": str(url.port),
            "dbname": url.name,
            "user": url.user,
            **({"password": url.password} if url.password else {}),
            **changes,
        }

    def _network_limits(self) -> dict[str, str]:
        """libpq's limits for a network that goes silent, which would otherwise take minutes.

        The first is for data that nobody acknowledges. The others are for a wait without data: the
        probes begin after half of the time, and the first limit holds for them, too (tcp(7)).
        """
        seconds = self.network_timeout_seconds
        return {
            "tcp_user_timeout": str(1000 * seconds),
            "keepalives_idle": str(max(1, seconds // 2)),
            "keepalives_interval": str(max(1, seconds // 4)),
            "keepalives_count": "2",
        }

    def kwargs_for(self, purpose: str) -> dict[str, Any]:
        """connect_kwargs(), with the name `application/purpose` in pg_stat_activity."""
        kwargs = self.connect_kwargs()
        return kwargs | {"application_name": f"{kwargs['application_name']}/{purpose}"}

    def psql_url(self) -> str:
        """The URL that gives psql the same connection; without the password."""
        address = ("host", "port", "dbname", "user", "password")
        kwargs = self.kwargs_for("shell")
        parameters = {name: value for name, value in kwargs.items() if name not in address}
        return replace(self.url, parameters=parameters).render(with_password=False)

    def psql_environment(self) -> dict[str, str]:
        """The environment for psql: the password, and libpq's variables that all tasks obey."""
        obeyed = {
            name: value
            for name, value in os.environ.items()
            if name[:2] == "PG" and name not in OVERRIDING_PG_VARIABLES
        }
        password = {"PGPASSWORD": self.url.password} if self.url.password else {}
        return self.child_environment() | obeyed | password

    def child_environment(self) -> dict[str, str]:
        """The environment for another program: the parts of the address, and no PG* of libpq.

        Of several ports the first one, because docker-compose.yml publishes one.
        """
        inherited = {name: value for name, value in os.environ.items() if name[:2] != "PG"}
        parts = {name: str(getattr(self.url, field)) for name, field in PARTS.items()}
        return inherited | parts | {"DB_PORT": parts["DB_PORT"].partition(",")[0]}


class FileEnv(Env):
    """environs' reader of the environment, with the values of a `.env` that was read already.

    environs itself would read the file once more. Its method `_get_value` is not documented; a test
    holds it.
    """

    def __init__(self, file: Source) -> None:
        super().__init__(eager=False)
        self.file = file

    def _get_value(self, env_key: str, default: Any) -> Any:  # noqa: ANN401 # environs' own
        value = os.environ.get(env_key, self.file.get(env_key))
        return default if value is None else value

    def current_name(self, name: str, old_name: str | None) -> str:
        """The name to read: the old one where a source has only that, with a FutureWarning."""
        for source in (os.environ, self.file):
            if source.get(name):
                return name
            if old_name and source.get(old_name):
                message = f"{old_name} is now called {name}: rename it"
                warnings.warn(message, FutureWarning, stacklevel=3)
                return old_name
        return name


def _split_names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _migration_url(shell: Source, file: Source, problems: Problems) -> DatabaseURL | None:
    """The address for migrations; an exported address of the database hides the one in .env."""
    is_exported = any(shell.get(name) for name in ("DATABASE_URL", *PARTS))
    text = shell.get(MIGRATION_URL) or (None if is_exported else file.get(MIGRATION_URL))
    if not text:
        return None
    try:
        return whole_url(text)
    except ValueError as error:
        problems[MIGRATION_URL].append(str(error))
        return None


def _describe(problems: Problems) -> str:
    lines = [f"  {name}: {'; '.join(reasons)}" for name, reasons in sorted(problems.items())]
    return "\n".join(["invalid settings, in the environment or in .env:", *lines])
