"""The address of a database: one value for DATABASE_URL and its parts DB_HOST, DB_PORT and so on.

libpq parses the URL, so it means the same to this library and to psql (PostgreSQL 15 documentation,
34.1.1.2): several hosts, unix sockets, IPv6 addresses, and every parameter except those that lead
to another server than the URL names or are secrets. A URL without a host means the local socket; a
URL without a user means the account of the process; the name of the database has no default.
Neither `str()` nor `repr()` shows the password.
"""

from __future__ import annotations

import os
import pwd
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from itertools import cycle
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Source = Mapping[str, str | None]
    Problems = defaultdict[str, list[str]]

DEFAULT_PORT = 5432
# psycopg2's libpq has this default; that of psql may be another folder.
DEFAULT_SOCKET = "/var/run/postgresql"
FORM = "postgresql://USER:PASSWORD@HOST:PORT/NAME"
WRONG_FORM = f"not of the form {FORM} with special characters percent-encoded"
PARTS = {
    "DB_HOST": "host",
    "DB_PORT": "port",
    "DB_NAME": "name",
    "DB_USER": "user",
    "DB_PASSWORD": "password",
}
# The value of .env's DATABASE_URL after its parts were inserted; parameters may follow.
COMPOSED_URL = "postgresql://{user}:{password}@{host}:{port}/{name}"
# Parameters that lead to another server than the URL names, or that a list of processes would show.
RESERVED_PARAMETERS = {
    "hostaddr",
    "oauth_client_secret",
    "scram_client_key",
    "scram_server_key",
    "service",
    "sslpassword",
}
# A password with a bare slash: libpq would take its rest for the name of the database.
STRAY_SLASH = re.compile(r"//[^/?]*/[^?]*[/@]")
# A URL in which no `?` and no `&` can belong to a password: libpq's error about a parameter, which
# quotes that parameter, may be shown.
PLAIN_QUERY = re.compile(
    r"(?:[^?]*@|[a-z]+://[^?@:]*/)[^?@]*\?(?!.*password)(?:\w+=[^?@&]*&?)*", re.IGNORECASE
)
HOST = re.compile(r"[\w.:%-]+|[/@][^@?]+")
PORT = re.compile(r"[0-9]{1,5}")
MAX_PORT = 65535


@dataclass(frozen=True, kw_only=True)
class DatabaseURL:
    """Where a database is and who connects; `str()` has no secret.

    `host` and `port` are libpq's: several hosts are separated by commas, with one port for all or a
    list of the same length. A host that begins with a slash is the folder of a unix socket; with an
    @, an abstract socket. `parameters` are libpq's other ones, such as `{"sslmode": "require"}`.
    """

    host: str
    name: str
    user: str
    password: str = field(default="", repr=False)
    port: int | str = DEFAULT_PORT
    parameters: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return f"{self.name} on {self.server}"

    @property
    def server(self) -> str:
        """Each host with its port, for a message."""
        return ",".join(
            f"{host}/.s.PGSQL.{port}" if _is_socket(host) else f"{_bracketed(host)}:{port}"
            for host, port in self._places()
        )

    def _places(self) -> Iterator[tuple[str, str]]:
        """Each host with its port."""
        return zip(self.host.split(","), cycle(str(self.port).split(",")), strict=False)

    def each_host(self) -> Iterator[DatabaseURL]:
        """The address with one host at a time."""
        return (replace(self, host=host, port=port) for host, port in self._places())

    @property
    def is_local(self) -> bool:
        """Whether the one host is a loopback address or the name localhost.

        A unix socket does not count: it may be that of a proxy to a production server.
        """
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def render(self, *, with_password: bool) -> str:
        """The URL, percent-encoded."""
        secret = f":{quote(self.password, safe='')}" if with_password and self.password else ""
        query = f"?{urlencode(self.parameters, quote_via=quote)}" if self.parameters else ""
        user, name = quote(self.user, safe=""), quote(self.name, safe="")
        places = ",".join(f"{_encoded(host)}:{port}" for host, port in self._places())
        return f"postgresql://{user}{secret}@{places}/{name}{query}"


def _is_socket(host: str) -> bool:
    return host.startswith(("/", "@"))


def _bracketed(host: str) -> str:
    """A host, with the brackets that an IPv6 address needs before a port."""
    return f"[{host}]" if ":" in host else host


def _encoded(host: str) -> str:
    return quote(host, safe="") if _is_socket(host) else _bracketed(quote(host, safe=":"))


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
    return {part: value for part, value in _with_plain_port(parts).items() if value}, values


def whole_url(text: str) -> DatabaseURL:
    """The address that a URL has without any other setting; raises ValueError with the reasons."""
    problems: Problems = defaultdict(list)
    url = reconcile({"DATABASE_URL": text}, {}, problems)
    if url is None:
        reasons = problems.get("DATABASE_URL", [f"not a whole address, {FORM}"])
        raise ValueError("; ".join(reasons))
    return url


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
                problems[name].append(_reason_for_missing(name))
    for name, reason in _invalid_parts(parts):
        is_a_part = shell.get(name) or (not is_whole and file.get(name))
        problems[name if is_a_part else "DATABASE_URL"].append(reason)
    if problems:
        return None
    port = parts.pop("port", str(DEFAULT_PORT))
    return DatabaseURL(port=port if "," in port else int(port), parameters=parameters, **parts)


def _reason_for_missing(name: str) -> str:
    reason = "not set, and DATABASE_URL has no such part"
    if name == "DB_USER" and not _account():
        reason += f"; user ID {os.geteuid()} has no account whose name would be the default"
    return reason


def _invalid_parts(parts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The name and the reason of each invalid part."""
    hosts = parts.get("host", "localhost").split(",")
    ports = parts.get("port", str(DEFAULT_PORT)).split(",")
    if not all(PORT.fullmatch(port) and 1 <= int(port) <= MAX_PORT for port in ports):
        yield "DB_PORT", f"not a port number, 1 to {MAX_PORT}"
    elif len(ports) not in (1, len(hosts)):
        yield "DB_PORT", f"{len(ports)} ports for {len(hosts)} host{'s' * (len(hosts) > 1)}"
    if not all(HOST.fullmatch(host) for host in hosts):
        yield "DB_HOST", "not a host name, an IP address or the absolute path of a socket's folder"


def _parts_from(source: Source) -> tuple[dict[str, str], dict[str, str]]:
    """The address's parts and parameters in one source; raises ValueError for a contradiction."""
    parts = _separate_parts(source)
    text = source.get("DATABASE_URL")
    composition = {part: source.get(name) or "" for name, part in PARTS.items()}
    rest = text.removeprefix(COMPOSED_URL.format_map(composition)) if text else ""
    if not text or not rest:
        return parts, {}
    is_composed = rest.startswith("?")
    url_parts, parameters = parse_url(f"postgresql://{rest}" if is_composed else text)
    if differing := [
        name
        for name, part in PARTS.items()
        if part in parts and parts[part] != url_parts.get(part, parts[part])
    ]:
        raise ValueError(f"contradicts {', '.join(differing)}: change one, or remove one")
    return ({} if is_composed else _default_parts()) | parts | url_parts, parameters


def _separate_parts(source: Source) -> dict[str, str]:
    """The parts that a source has outside of DATABASE_URL."""
    parts = {part: value for name, part in PARTS.items() if (value := source.get(name))}
    return _with_plain_port(parts)


def _with_plain_port(parts: dict[str, str]) -> dict[str, str]:
    """Write the default into a list of ports, and a list of equal ports as one."""
    ports = [port or str(DEFAULT_PORT) for port in parts.get("port", "").split(",")]
    plain = ports[0] if len({*ports}) == 1 else ",".join(ports)
    return parts | ({"port": plain} if parts.get("port") else {})


def _default_parts() -> dict[str, str]:
    """The parts that a URL need not have."""
    account = _account()
    return {"host": DEFAULT_SOCKET} | ({"user": account} if account else {})


def _account() -> str | None:
    """The name of the process's account; None for a number without one, as in some containers."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return None
