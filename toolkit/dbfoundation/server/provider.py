"""The interface of a provider of development servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dbfoundation.server.processes import Report


class Provider(Protocol):
    """A way to run PostgreSQL on this machine, such as Docker Compose.

    Messages show `name`, the place of its data in `storage`, and how to get it in `advice`.
    """

    name: str
    storage: str
    advice: str

    def unavailable_reason(self) -> str | None:
        """Why this machine cannot use it; None where it can."""

    def start(self, report: Report) -> None:
        """Start the server, with new data the first time; raises ServerError."""

    def port(self) -> int | None:
        """The port of the running server; None when it does not run."""

    def stop(self, report: Report) -> None:
        """Stop the server and keep its data."""

    def log(self) -> str:
        """The last lines of the server's log."""

    def psql(self) -> list[str] | None:
        """The command that runs its psql on the configured database; None where it has none."""
