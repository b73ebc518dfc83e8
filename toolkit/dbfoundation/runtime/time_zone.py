"""The time zone of a connection: UTC, as the server itself reports it.

A `timestamp` column means UTC. A connection asks for the zone when it begins, but a pooler may drop
that, and the role or the database may have a zone of its own. The server reports each change of the
zone to its client (PostgreSQL 15, 34.2, PQparameterStatus), so a look at it costs no round trip.
"""

from __future__ import annotations

from typing import Any

from psycopg2 import extensions

from dbfoundation.errors import TimeZoneError

UTC = "UTC"


class UTCConnection(extensions.connection):
    """A connection in UTC; raises TimeZoneError where the session keeps another zone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 # psycopg2's
        try:
            super().__init__(*args, **kwargs)
            if not self.is_utc():
                self._set_utc()
        except BaseException:
            self.close()  # the error's traceback keeps this object, and that the socket
            raise

    def is_utc(self) -> bool:
        return self.get_parameter_status("TimeZone") == UTC

    def _set_utc(self) -> None:
        self.autocommit = True  # a rollback would undo the SET
        with self.cursor() as cursor:
            cursor.execute("SET TimeZone = 'UTC'")
        self.autocommit = False
        if not self.is_utc():
            after = self.get_parameter_status("TimeZone")
            raise TimeZoneError(
                f"the session's time zone is {after}, although SET TimeZone = 'UTC' succeeded\n"
                "Fix: let the pooler pass SET and the server's reports, or connect to the server "
                "directly. ALTER ROLE … SET timezone = 'UTC' changes the zone at its source."
            )
