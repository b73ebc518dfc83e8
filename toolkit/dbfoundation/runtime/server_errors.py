"""The server's errors: their messages, and the library's error for a failed connection."""

from __future__ import annotations

import re

from dbfoundation.errors import (
    AccessDeniedError,
    DatabaseError,
    NoDatabaseError,
    StartingError,
    UnavailableError,
)

# libpq gives no SQLSTATE for a failed connection, so its text decides. The first match counts.
CONNECTION_ERRORS: tuple[tuple[str, type[DatabaseError], str], ...] = (
    (
        r"authentication failed|no password supplied|role .+ does not exist|no pg_hba\.conf entry",
        AccessDeniedError,
        "check DB_USER and DB_PASSWORD, or DATABASE_URL.",
    ),
    (
        r"unsupported startup parameter",
        DatabaseError,
        (
            "this is a pooler. Set MIGRATION_DATABASE_URL to a direct connection, and give "
            "PgBouncer `ignore_startup_parameters = options` for everything else."
        ),
    ),
    (
        r"database .+ does not exist",
        NoDatabaseError,
        "create it with `invoke db-reset` in development; or check DB_NAME, or DATABASE_URL.",
    ),
    (
        # 57P03, cannot_connect_now. A standby without hot_standby never gets further.
        r"system is (?:starting up|shutting down|in recovery mode|not yet accepting connections)",
        StartingError,
        "wait until the server is ready; `invoke db-up` waits for it.",
    ),
    (
        (
            r"refused|timeout|timed out|closed the connection"
            r"|reset by peer|translate host name|unreachable|no route|received invalid response"
        ),
        UnavailableError,
        "start a server on this machine with `invoke db-up`; or check DB_HOST and DB_PORT.",
    ),
    (r"", DatabaseError, "check DATABASE_URL, and what the server allows."),
)


def connection_error(error: Exception, address: object) -> DatabaseError:
    """The library's error for a connection that failed."""
    text = " ".join(str(error).split())
    kind, fix = next(
        (kind, fix)
        for pattern, kind, fix in CONNECTION_ERRORS
        if re.search(pattern, text, re.IGNORECASE)
    )
    return kind(f"cannot connect to {address}: {text}", fix)


def driver_error(error: BaseException) -> BaseException:
    """psycopg2's error, which Peewee's own errors wrap; any other error itself."""
    original: BaseException = getattr(error, "orig", None) or error
    return original


def server_message(error: BaseException) -> str | None:
    """The server's primary message; None for an error that did not come from the server."""
    return getattr(getattr(driver_error(error), "diag", None), "message_primary", None)


def sqlstate(error: BaseException) -> str | None:
    """The server's five-character code, such as 55P03; None for any other error."""
    return getattr(driver_error(error), "pgcode", None)
