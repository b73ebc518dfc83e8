"""The messages and codes of the server's errors."""

from __future__ import annotations


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
