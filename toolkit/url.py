"""The address of a database, as one value: what DATABASE_URL says and the parts say too.

A URL has the form of libpq's connection URIs (PostgreSQL 15 documentation, 34.1.1.2):
`postgresql://USER:PASSWORD@HOST:PORT/NAME?parameter=value`, with every character that has a
meaning of its own percent-encoded. Neither `str()` nor `repr()` shows the password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT = 5432
FORM = "postgresql://USER:PASSWORD@HOST:PORT/NAME"
# Parameters that would lead elsewhere than the URL says, or be seen in a list of processes.
ELSEWHERE = {"host", "hostaddr", "port", "dbname", "user", "password", "service", "sslpassword"}
STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})|%00")


@dataclass(frozen=True, kw_only=True)
class DatabaseURL:
    """Where a database is and who connects; `str()` is what a person may see.

    `parameters` are libpq's further ones, such as `{"sslmode": "require"}`.
    """

    host: str
    name: str
    user: str
    password: str = field(default="", repr=False)
    port: int = DEFAULT_PORT
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.name} on {self._authority}"

    @property
    def _authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether the host is this machine, by a loopback address or the name localhost."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def render(self, *, with_password: bool) -> str:
        """The URL, percent-encoded."""
        secret = f":{quote(self.password, safe='')}" if with_password and self.password else ""
        query = f"?{urlencode(self.parameters, quote_via=quote)}" if self.parameters else ""
        user, name = quote(self.user, safe=""), quote(self.name, safe="")
        return f"postgresql://{user}{secret}@{self._authority}/{name}{query}"


def split(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """The parts that a URL states, by the names of DatabaseURL's fields, and its parameters.

    Raises ValueError, whose text holds nothing of the URL.
    """
    if not text.startswith(("postgresql://", "postgres://")):
        raise ValueError(f"not of the form {FORM}")
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError(f"its port is no number, or it is not of the form {FORM}") from None
    name = url.path.removeprefix("/")
    if STRAY_PERCENT.search(text) or url.fragment or "/" in name:
        raise ValueError(f"not of the form {FORM} with special characters percent-encoded")
    stated = {
        "host": url.hostname,
        "port": None if port is None else str(port),
        "name": unquote(name),
        "user": unquote(url.username or ""),
        "password": unquote(url.password or ""),
    }
    return {part: value for part, value in stated.items() if value}, _parameters(url)


def _parameters(url: SplitResult) -> dict[str, str]:
    parameters = dict(parse_qsl(url.query, keep_blank_values=True))
    if misplaced := sorted(parameters.keys() & ELSEWHERE):
        raise ValueError(f"it has {', '.join(misplaced)} as a parameter: write {FORM}")
    if parameters:
        from psycopg2 import ProgrammingError
        from psycopg2.extensions import make_dsn

        try:
            make_dsn(**parameters)
        except ProgrammingError as error:
            raise ValueError(f"it has a parameter that libpq does not know: {error}") from None
    return parameters
