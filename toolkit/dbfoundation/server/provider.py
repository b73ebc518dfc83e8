"""The interface of a provider of development servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    from dbfoundation.server.processes import Report


class Provider(Protocol):
    """A way to run PostgreSQL on this machine, such as Docker Compose.

    Messages show its `name`, and in `advice` how to make it usable.
    """

    name: str
    advice: str

    def unavailable_reason(self) -> str | None:
        """Why this machine cannot use it; None where it can."""

    def place(self) -> str | None:
        """Where this project's data are, or would be; None where that cannot be known."""

    def holds(self, place: str | None) -> bool | None:
        """Whether a place has data; None where that cannot be known."""

    def move_fix(self, place: str) -> str | None:
        """How to take data along that this project left when its folder was renamed or moved.

        None where the place has no data, or they are another project's.
        """

    def start(self, report: Report) -> None:
        """Start the server, with new data the first time; raises ServerError."""

    def port(self) -> int | None:
        """The port of the running server; None when it does not run."""

    def serves(self, session: connection) -> bool:
        """Whether a session's server is this provider's running one, whatever its address is."""

    def is_incomplete(self) -> bool:
        """Whether the data's first start was interrupted, so that no server can use them."""

    def stop(self, report: Report) -> None:
        """Stop the server and keep its data."""

    def remove_data(self, report: Report) -> None:
        """Stop the server and remove its data."""

    def log(self) -> str:
        """The last lines of the server's log."""

    def psql(self) -> list[str] | None:
        """The command that runs its psql on the configured database; None where it has none."""
