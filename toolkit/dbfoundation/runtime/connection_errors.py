"""The library's error for a connection that failed, by the cause of the failure.

A reason that the server gives has an SQLSTATE, and its text is in the server's language
(lc_messages). libpq puts the SQLSTATE into the text of a failed connection only where its verbosity
was set before, which psycopg2 does not offer: after such a failure, one more attempt has the codes.
libpq's own reasons have no code. They are in English, unless a program calls locale.setlocale(); so
their words decide.
"""

from __future__ import annotations

import re
from contextlib import closing
from ctypes import CDLL, c_char_p, c_void_p
from typing import TYPE_CHECKING, NamedTuple

import psycopg2
from psycopg2 import _psycopg

from dbfoundation.errors import (
    AccessDeniedError,
    DatabaseError,
    NoDatabaseError,
    StartingError,
    UnavailableError,
)

if TYPE_CHECKING:
    from typing import Any

    from dbfoundation.settings import Settings

PQERRORS_SQLSTATE = 3  # libpq's verbosity: "FATAL:  57P03" in place of a text
STARTING = ":  57P03"
TIMEOUT = "timeout expired"


class Cause(NamedTuple):
    """A cause of a failed connection: how to recognize it, its error, and a fix."""

    pattern: str
    kind: type[DatabaseError]
    fix: str


SERVER_CAUSES = (
    Cause(":  28P01$", AccessDeniedError, "check DB_USER and DB_PASSWORD, or DATABASE_URL."),
    Cause(
        ":  28...$",
        AccessDeniedError,
        "check DB_USER and DB_PASSWORD, or DATABASE_URL; and the server's pg_hba.conf.",
    ),
    Cause(
        ":  42501$",
        AccessDeniedError,
        "check the rights of DB_USER: to CONNECT to the database, and to set what the `options` of "
        "DATABASE_URL name.",
    ),
    Cause(
        "unsupported startup parameter",  # PgBouncer's words; its code stands for any refusal
        DatabaseError,
        "this is a pooler. Set MIGRATION_DATABASE_URL to a direct connection, and give "
        "PgBouncer `ignore_startup_parameters = options` for everything else.",
    ),
    Cause(
        ":  3D000$",
        NoDatabaseError,
        "create it with `invoke db-reset` in development; or check DB_NAME, or DATABASE_URL.",
    ),
    Cause(
        ":  (22...|426..|427..|55P02)$",
        DatabaseError,
        "correct the `options` of DATABASE_URL.",
    ),
    Cause(
        ":  53300$",
        DatabaseError,
        "close other connections, lower DB_POOL_MAX_CONNECTIONS, or raise the limit on the server "
        "(max_connections, or CONNECTION LIMIT of the role or the database).",
    ),
    Cause(
        f"{STARTING}$",
        StartingError,
        "wait until the server accepts connections, then repeat the command.",
    ),
    Cause(":  [0-9A-Z]{5}$", DatabaseError, "check DATABASE_URL, and what the server allows."),
)
LIBPQ_CAUSES = (
    Cause(
        "no password supplied",
        AccessDeniedError,
        "set DB_PASSWORD, or the password in DATABASE_URL.",
    ),
    Cause(
        "does not support SSL|SSL error|certificate|sslmode|private key file",
        DatabaseError,
        "check sslmode, sslrootcert and the like: in DATABASE_URL, or as PGSSLMODE, PGSSLROOTCERT.",
    ),
    Cause(
        "session is (not )?read-only|server is (not )?in hot standby mode",
        DatabaseError,
        "no server of the address is as target_session_attrs demands: check that parameter of "
        "DATABASE_URL, and whether the primary server runs.",
    ),
    Cause(
        TIMEOUT,
        UnavailableError,
        "check DB_HOST and DB_PORT, or DATABASE_URL; for a slow network, raise DB_CONNECT_TIMEOUT.",
    ),
    Cause(
        "refused|timed out|closed the connection|reset by peer|No such file or directory"
        "|translate host name|unreachable|[Nn]o route|received invalid|expected authentication",
        UnavailableError,
        "{start}check DB_HOST and DB_PORT, or DATABASE_URL.",
    ),
)
OTHER = Cause("", DatabaseError, "check DATABASE_URL.")


def connection_error(error: Exception, settings: Settings, **changes: str) -> DatabaseError:
    """The library's error for a failed connection with the settings' connect_kwargs(**changes)."""
    parameters = settings.connect_kwargs(**changes)
    text = str(error)
    reasons = text if _is_of_libpq(text) else f"{text}\n{_with_sqlstates(parameters)}"
    cause = next(c for c in (*SERVER_CAUSES, *LIBPQ_CAUSES, OTHER) if _is_found(c, reasons))
    start = "start a server on this machine with `invoke db-up`; or " * settings.url.is_local
    one_line = "; ".join(" ".join(line.split()) for line in _lines(text))
    if cause.pattern == TIMEOUT:
        limit = f"{TIMEOUT} (DB_CONNECT_TIMEOUT: {parameters['connect_timeout']} s)"
        one_line = one_line.replace(TIMEOUT, limit)
    reason = f"cannot connect to {settings.url}: {one_line}"
    return cause.kind(reason, cause.fix.format(start=start))


def _lines(text: str) -> list[str]:
    """The reasons, one for each host that libpq tried; a tab continues the line before it."""
    return text.replace("\n\t", " ").strip().splitlines()


def _is_found(cause: Cause, reasons: str) -> bool:
    return bool(re.search(cause.pattern, reasons, re.MULTILINE))


def _is_of_libpq(text: str) -> bool:
    """Whether libpq itself gives every reason."""
    return all(any(_is_found(cause, line) for cause in LIBPQ_CAUSES) for line in _lines(text))


def _with_sqlstates(parameters: dict[str, Any]) -> str:
    """The reasons of one more attempt, with an SQLSTATE in place of each text of the server.

    psycopg2 only begins an asynchronous connection; PQreset() makes it, within connect_timeout.
    """
    try:
        libpq = CDLL(_psycopg.__file__)
        libpq.PQerrorMessage.restype = c_char_p
        attempt = psycopg2.connect(**parameters, async_=True)
    except (psycopg2.OperationalError, OSError, AttributeError):  # or a build without these names
        return ""
    with closing(attempt):
        pgconn = c_void_p(attempt.pgconn_ptr)
        libpq.PQsetErrorVerbosity(pgconn, PQERRORS_SQLSTATE)
        libpq.PQreset(pgconn)
        reasons = str(libpq.PQerrorMessage(pgconn).decode(errors="replace"))
    return reasons or STARTING  # this attempt succeeded: the server was not ready before
