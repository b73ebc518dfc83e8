"""Everything the toolkit raises on purpose.

    ToolkitError
    ├── SettingsError           settings are missing or wrong; every one is named
    ├── RefusedError            a task that must not run here, such as db-reset in production
    ├── DatabaseError           the database cannot be used
    │   ├── UnavailableError    nobody answers at its address, or not yet
    │   ├── AccessDeniedError   a server answers, and refuses this user, password or request
    │   ├── NoDatabaseError     a server answers, and has no database of this name
    │   └── NoTableError        a table is not there: a migration is pending
    ├── ServerError             a development server could not be started or stopped
    └── MigrationError          a migration cannot be created
        ├── PlanError           what is asked is refused, and nothing was run
        ├── LockError           another runner holds the migrations' lock, or ours was lost
        ├── TransactionEndedError  a file's SQL ended the transaction it ran in
        └── MigrationFailedError  a migration or a rollback failed
            └── LockTimeoutError  it waited too long for a table that another session uses

Each message is whole: what is wrong, where, and the way out. None holds a password.
"""

import re


class ToolkitError(Exception):
    """Raised when a task cannot do its work; its text is meant for a person."""


class SettingsError(ToolkitError):
    """Raised when settings are missing or wrong; its text names every one."""


class RefusedError(ToolkitError):
    """Raised when a task must not run in this environment."""


class DatabaseError(ToolkitError):
    """Raised when the database cannot be used; `reason` is its text without the advice."""

    def __init__(self, reason: str, advice: str) -> None:
        super().__init__(f"{reason}\n{advice}")
        self.reason = reason


class UnavailableError(DatabaseError):
    """Raised when no PostgreSQL answers at the address, or not yet."""


class AccessDeniedError(DatabaseError):
    """Raised when a server answers and refuses the user, the password, or what is asked."""


class NoDatabaseError(DatabaseError):
    """Raised when a server answers and has no database of this name."""


class NoTableError(DatabaseError):
    """Raised when a table is missing from the database."""


class ServerError(ToolkitError):
    """Raised when a development server cannot be started or stopped."""


class MigrationError(ToolkitError):
    """Raised when a migration cannot be created, applied or rolled back."""


class PlanError(MigrationError):
    """Raised before anything runs, with every reason not to run it."""


class LockError(MigrationError):
    """Raised when the migrations' lock cannot be had, or is not ours any more."""


class MigrationFailedError(MigrationError):
    """Raised when a migration or a rollback failed; its text says what is left of it."""


class LockTimeoutError(MigrationFailedError):
    """Raised when a migration waited too long for a lock that another session has."""


class TransactionEndedError(MigrationError):
    """Raised when the SQL of a file ended the transaction that it ran in."""


def driver_error(error: BaseException) -> object:
    """The driver's error, which Peewee's hold unknown to their types; any other is its own."""
    return getattr(error, "orig", error)


# What libpq and the server say, the error it means, and the way out. The first match counts.
CONNECTION_ERRORS: tuple[tuple[str, type[DatabaseError], str], ...] = (
    (
        r"authentication failed|no password supplied|role .+ does not exist|no pg_hba\.conf entry",
        AccessDeniedError,
        "Check DB_USER and DB_PASSWORD, or DATABASE_URL.",
    ),
    (
        r"unsupported startup parameter",
        DatabaseError,
        (
            "A pooler stands between. Set MIGRATION_DATABASE_URL to a direct connection, and give "
            "PgBouncer `ignore_startup_parameters = options` for all else."
        ),
    ),
    (
        r"database .+ does not exist",
        NoDatabaseError,
        "`invoke db-reset` creates it in development; or check DB_NAME, or DATABASE_URL.",
    ),
    (
        (
            r"refused|timeout|timed out|closed the connection|starting up|shutting down"
            r"|reset by peer|translate host name|unreachable|no route|received invalid response"
        ),
        UnavailableError,
        "`invoke db-up` starts a server on this machine; or check DB_HOST and DB_PORT.",
    ),
    (r"", DatabaseError, "Check DATABASE_URL, and what the server allows."),
)


def connection_error(message: str, where: object) -> DatabaseError:
    """The DatabaseError for what libpq said when it could not connect.

    psycopg2 gives no SQLSTATE for a failed connection, so the words decide.
    """
    text = " ".join(message.split())
    error, advice = next(
        (error, advice)
        for words, error, advice in CONNECTION_ERRORS
        if re.search(words, text, re.IGNORECASE)
    )
    return error(f"cannot connect to {where}: {text}", advice)
