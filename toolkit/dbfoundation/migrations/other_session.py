"""Another session that this one waits for: its state, its statement, and how to end it."""

from __future__ import annotations

from dataclasses import dataclass

from dbfoundation.migrations.redaction import redact_literals

# The columns of pg_stat_activity that an OtherSession has, in its order.
SESSION_COLUMNS = """
    pid, application_name, state,
    to_char(state_change AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'),
    to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), query
"""
SHOWN_CHARACTERS = 200


@dataclass(frozen=True)
class OtherSession:
    """A row of pg_stat_activity; the server hides the state and the query of another role."""

    pid: int
    application: str | None
    state: str | None
    state_since: str | None
    connected_since: str
    query: str | None

    @property
    def termination(self) -> str:
        """The statement that ends the session."""
        return f"SELECT pg_terminate_backend({self.pid})"

    def describe(self) -> str:
        """The session, and what it does since when; without literals, which may be secret."""
        name = f"{self.application or 'a session'} (pid {self.pid}"
        if self.state is None:
            return f"{name}, connected since {self.connected_since} UTC)"
        verb = "runs" if self.state == "active" else "last ran"
        return f"{name}, {self.state} since {self.state_since} UTC, {verb}: {self._statement()})"

    def _statement(self) -> str:
        line = " ".join(redact_literals(self.query or "").split())
        return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}..."
