"""The errors that the library raises on purpose.

    FoundationError
    ├── SettingsError           settings are missing or invalid; the message names each of them
    ├── ProjectError            a part of the project, such as its models or seeds, cannot be used
    ├── RefusedError            the task must not run here, such as db-reset in production
    ├── InvalidValueError       a column cannot hold a value; also a ValueError
    ├── AppendOnlyError         a call would change a row of the audit trail, or add an unmasked one
    ├── ConnectionBusyError     a connection is used by the entries that it copies
    ├── DatabaseError           the database cannot be used
    │   ├── UnavailableError    no server accepts connections at the address, or not yet
    │   │   └── StartingError      a server answers that it is starting, recovering or stopping
    │   ├── AccessDeniedError   the server refuses the user, the password or the request
    │   ├── NoDatabaseError     the server has no database of this name
    │   ├── ReadOnlyServerError the server is a standby, or read-only, and the task changes data
    │   ├── NoTableError        a table is missing: a migration is pending
    │   ├── PoolTimeoutError    every connection of the pool was in use for too long
    │   └── ConnectionLostError a connection ended while a thread used it
    ├── TimeZoneError           a session is not in UTC, and cannot be set to it
    ├── ConnectionContextError  a program uses the pool's connections against their rules
    │   └── NotConnectedError   a query was sent outside of a connection_context()
    ├── FixtureError            tests cannot have their database, or use it without its fixture
    ├── ServerError             a development server cannot be started or stopped
    └── MigrationError          a migration cannot be created
        ├── PlanError           the request is refused before anything runs
        ├── LockError           another runner holds the migrations' lock, or this one lost it
        ├── TransactionEndedError  the SQL of a file ended its own transaction
        ├── ServerWideError     a proof refuses a statement with an effect on the whole server
        └── MigrationFailedError   a migration or a rollback failed
            └── LockTimeoutError   a migration waited too long for a lock of another session

Each message states the failure, its place, and a fix where there is one. None contains a password.
"""


class FoundationError(Exception):
    """Raised when a request cannot be fulfilled; the message is written for a person."""


class SettingsError(FoundationError):
    """Raised when settings are missing or invalid; the message names each of them."""


class ProjectError(FoundationError):
    """Raised when a part of the project, such as its models or seeds, cannot be used."""


class RefusedError(FoundationError):
    """Raised when a task must not run in this environment."""


class InvalidValueError(FoundationError, ValueError):
    """Raised for a value that a column or a parameter cannot hold; the message names it."""


class AppendOnlyError(FoundationError):
    """Raised by a call that would change a row of the audit trail, or add an unmasked one."""


class ConnectionBusyError(FoundationError):
    """Raised when the entries of record_many() use the connection that copies them."""


class DatabaseError(FoundationError):
    """Raised when the database cannot be used; `reason` is the message without the fix."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason}\nFix: {fix}")
        self.reason = reason


class UnavailableError(DatabaseError):
    """Raised when no PostgreSQL accepts connections at the address, or not yet."""


class StartingError(UnavailableError):
    """Raised when a server answers that it is starting, recovering or shutting down."""


class AccessDeniedError(DatabaseError):
    """Raised when the server refuses the user, the password or the request."""


class NoDatabaseError(DatabaseError):
    """Raised when the server has no database of this name."""


class ReadOnlyServerError(DatabaseError):
    """Raised before a change on a standby server, or on one whose sessions are read-only."""


class NoTableError(DatabaseError):
    """Raised when a table is missing from the database."""


class PoolTimeoutError(DatabaseError):
    """Raised when every connection of the pool was in use for DB_POOL_WAIT_TIMEOUT seconds."""


class ConnectionLostError(DatabaseError):
    """Raised when a connection ended while a thread used it, as at a restart of the server."""


class TimeZoneError(FoundationError):
    """Raised when a session is in another time zone than UTC, and stays in it."""


class ConnectionContextError(FoundationError):
    """Raised when a program shares a connection, or leaves a context on another thread."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason}\nFix: {fix}")


class NotConnectedError(ConnectionContextError):
    """Raised by a query on a thread that has no connection."""


class FixtureError(FoundationError):
    """Raised when tests cannot have their database, or use it against the rules of a fixture."""

    def __init__(self, reason: str, fix: str) -> None:
        super().__init__(f"{reason}\nFix: {fix}")


class ServerError(FoundationError):
    """Raised when a development server cannot be started or stopped."""


class MigrationError(FoundationError):
    """Raised when a migration cannot be created, applied or rolled back."""


class PlanError(MigrationError):
    """Raised before anything runs; the message has every reason."""


class DraftError(MigrationError):
    """Raised for a draft of a migration whose proof failed."""


class LockError(MigrationError):
    """Raised when another runner holds the migrations' lock, or this one lost it."""


class TransactionEndedError(MigrationError):
    """Raised when the SQL of a file ended the transaction that the file runs in."""


class ServerWideError(MigrationError):
    """Raised by a proof for a statement that would take effect on the whole server.

    `name` is that of the migration, and `reason` begins with the statement.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.reason = reason


class MigrationFailedError(MigrationError):
    """Raised when a migration or a rollback failed; the message describes what remains of it."""


class LockTimeoutError(MigrationFailedError):
    """Raised when a migration waited too long for a lock of another session."""
