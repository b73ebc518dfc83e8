"""Prepared statements: the server parses one once a connection, and soon plans it no more.

psycopg2 sends SQL as text alone, so this is PREPARE and EXECUTE of SQL. For a row that is found by
its key, parsing and planning are more than half of the server's work.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Self


class Prepared(str):
    """One statement, with %s for each value, that the pool prepares at its first use.

    Made once, as a constant, of a SELECT, INSERT, UPDATE or DELETE. A value is taken as what its
    place in the statement makes it for the server: where that may be another type than the value's,
    as in `%s + 1`, write `%s::numeric`. On any database but the pool, it is the plain SQL that it
    is as a text. Its name on the server is made of that text, so that two versions of a program
    that meet behind one pooler each have their own.
    """

    __slots__ = ("execution", "preparation")
    execution: str
    preparation: str

    def __new__(cls, sql: str) -> Self:
        self = super().__new__(cls, sql)
        values = sql.replace("%%", "").count("%s")
        numbered = sql % tuple(f"${number}" for number in range(1, values + 1))
        name = f"prepared_{sha256(sql.encode()).hexdigest()[:16]}"
        self.preparation = f"PREPARE {name} AS {numbered}".replace("%", "%%")
        self.execution = f"EXECUTE {name}" + (f" ({', '.join(['%s'] * values)})" if values else "")
        return self
