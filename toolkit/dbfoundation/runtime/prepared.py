"""Prepared statements: the server parses and plans a statement once a connection.

psycopg2 sends SQL as text alone, so these are SQL's own PREPARE and EXECUTE. Parsing and planning
are more than half of the server's work for a row that it finds by a key.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Self


class Prepared(str):
    """A SELECT, INSERT, UPDATE or DELETE, with %s for each value, that the pool prepares once.

    Create it once, as a constant. The server derives the type of each value from its place in the
    statement. Write `%s::numeric` where the place allows another type, as `%s + 1` does. On any
    database except the pool, it runs as the plain SQL that its text is.

    With `asynchronous_commit` it does not wait for the disk where it is a transaction of its own: a
    crash of the server may undo the last second of it (PostgreSQL 15, 30.4). In a transaction it
    changes nothing.
    """

    __slots__ = ("execution", "preparation")
    execution: str
    preparation: str

    def __new__(cls, sql: str, *, asynchronous_commit: bool = False) -> Self:
        self = super().__new__(cls, sql)
        values = sql.replace("%%", "").count("%s")
        numbered = sql % tuple(f"${number}" for number in range(1, values + 1))
        # Two versions of a program may share a server's session, so the text decides the name.
        name = f"prepared_{sha256(sql.encode()).hexdigest()[:16]}"
        self.preparation = f"PREPARE {name} AS {numbered}".replace("%", "%%")
        self.execution = f"EXECUTE {name}" + (f" ({', '.join(['%s'] * values)})" if values else "")
        if asynchronous_commit:  # two statements in one message are one transaction
            self.execution = f"SET LOCAL synchronous_commit = off; {self.execution}"
        return self
