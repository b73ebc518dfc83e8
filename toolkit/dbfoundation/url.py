"""The address of a database: one value for DATABASE_URL and its parts DB_HOST, DB_PORT and so on.

libpq parses the URL, so it means the same to this library and to psql (PostgreSQL 15 documentation,
34.1.1.2). Neither `str()` nor `repr()` shows the password.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Source = Mapping[str, str | None]
    Problems = defaultdict[str, list[str]]

DEFAULT_PORT = 5432
FORM = "postgresql://USER:PASSWORD@HOST:PORT/NAME"
WRONG_FORM = f"not of the form {FORM} with special characters percent-encoded"
PARTS = {
    "DB_HOST": "host",
    "DB_PORT": "port",
    "DB_NAME": "name",
    "DB_USER": "user",
    "DB_PASSWORD": "password",
}
# The value of .env's DATABASE_URL after its parts were inserted.
COMPOSED_URL = "postgresql://{user}:{password}@{host}:{port}/{name}"
# Parameters that lead to another server than the URL names, or that a list of processes would show.
RESERVED_PARAMETERS = {"hostaddr", "service", "sslpassword"}
# A password with a bare slash: libpq would take its rest for the name of the database.
STRAY_SLASH = re.compile(r"//[^/?]*/[^?]*[/@]")
# A URL without a `?` in its password. libpq's error about a parameter then quotes that parameter.
PLAIN_QUERY = re.compile(r"[^?]*@[^?@]*\?[^?@]*")
HOST = re.compile(r"[A-Za-z0-9._:-]+")
MAX_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class DatabaseURL:
    """Where a database is and who connects; `str()` has no secret.

    `parameters` are libpq's other ones, such as `{"sslmode": "require"}`.
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
        """Whether the host is a loopback address or the name localhost."""
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


def parse_url(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """The parts that a URL has, by the names of DatabaseURL's fields, and its other parameters.

    Raises ValueError. Its text shows nothing of the URL except the name of a parameter, because
    libpq's own text may quote the password.
    """
    from psycopg2 import ProgrammingError
    from psycopg2.extensions import parse_dsn

    if not text.startswith(("postgresql://", "postgres://")) or STRAY_SLASH.search(text):
        raise ValueError(WRONG_FORM)
    try:
        values = parse_dsn(text)
    except ProgrammingError as error:
        reason = str(error).removeprefix("invalid dsn: ").strip()
        is_harmless = reason.startswith("invalid URI query") and PLAIN_QUERY.fullmatch(text)
        raise ValueError(reason if is_harmless else WRONG_FORM) from None
    if reserved := sorted(values.keys() & RESERVED_PARAMETERS):
        raise ValueError(f"has {', '.join(reserved)} as a parameter: remove it")
    keywords = {part: "dbname" if part == "name" else part for part in PARTS.values()}
    parts = {part: values.pop(keyword, "") for part, keyword in keywords.items()}
    return {part: value for part, value in parts.items() if value}, values


def reconcile(shell: Source, file: Source, problems: Problems) -> DatabaseURL | None:
    """Make one address of DATABASE_URL and the parts; returns None after adding to `problems`."""
    is_whole = bool(shell.get("DATABASE_URL"))
    parts = _separate_parts(shell)
    parameters: dict[str, str] = {}
    try:
        parts, parameters = _parts_from(shell)
        if not is_whole:
            file_parts, parameters = _parts_from(file)
            parts = file_parts | parts
    except ValueError as error:
        problems["DATABASE_URL"].append(str(error))
    else:
        for name in ("DB_HOST", "DB_NAME", "DB_USER"):
            if PARTS[name] not in parts:
                problems[name].append("not set, and DATABASE_URL has no such part")
    for name, reason in _invalid_parts(parts):
        is_a_part = shell.get(name) or (not is_whole and file.get(name))
        problems[name if is_a_part else "DATABASE_URL"].append(reason)
    if problems:
        return None
    port = int(parts.pop("port", DEFAULT_PORT))
    return DatabaseURL(port=port, parameters=parameters, **parts)


def _invalid_parts(parts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The name and the reason of each invalid part."""
    port = parts.get("port", "1")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= MAX_PORT):
        yield "DB_PORT", f"not a port number, 1 to {MAX_PORT}"
    if not HOST.fullmatch(parts.get("host", "localhost")):
        yield "DB_HOST", "not a host name or IP address"


def _parts_from(source: Source) -> tuple[dict[str, str], dict[str, str]]:
    """The address's parts and parameters in one source; raises ValueError for a contradiction."""
    parts = _separate_parts(source)
    text = source.get("DATABASE_URL")
    if not text or text == COMPOSED_URL.format_map(defaultdict(str, parts)):
        return parts, {}
    url_parts, parameters = parse_url(text)
    if differing := [
        name
        for name, part in PARTS.items()
        if part in parts and parts[part] != url_parts.get(part, parts[part])
    ]:
        raise ValueError(f"contradicts {', '.join(differing)}: change one, or remove one")
    return parts | url_parts, parameters


def _separate_parts(source: Source) -> dict[str, str]:
    """The parts that a source has outside of DATABASE_URL."""
    return {part: value for name, part in PARTS.items() if (value := source.get(name))}
