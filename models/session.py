"""The table sessions, in the shape of connect-pg-simple's, so that Node services can share it."""

from __future__ import annotations

from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

from peewee import CharField, DateTimeField, ModelIndex
from playhouse.postgres_ext import BinaryJSONField

from models.base import BaseModel
from models.jsonb import UnfitError, check_text, dumps
from toolkit.prepared import Prepared

if TYPE_CHECKING:
    from collections.abc import Callable

DAY_SECONDS = 86_400
CENTURY_SECONDS = 100 * 365 * DAY_SECONDS
ID_BYTES = 32
# Characters of up to four bytes; an entry of a B-tree has up to 2,704 (PostgreSQL 15, 67.4.2).
ID_LENGTH = 600


class Timestamp6Field(DateTimeField):
    """`timestamp(6)` without time zone."""

    field_type = "TIMESTAMP"

    def get_modifiers(self) -> list[int]:
        return [6]


class Session(BaseModel):
    """A session and its data. `expire` is UTC."""

    sid = CharField(max_length=None, primary_key=True)  # type: ignore[call-overload] # the types want a length
    sess = BinaryJSONField(index=False)  # peewee's default is a GIN index
    expire = Timestamp6Field()

    class Meta:
        table_name = "sessions"


Session.add_index(ModelIndex(Session, (Session.expire,), name="idx_sessions_expire"))

# One statement each, on the server's clock. `expire` is compared and set as UTC by name, so
# that it means the same whatever zone the server, the role or the client has.
GET = Prepared("""
SELECT sess FROM sessions WHERE sid = %s AND expire >= statement_timestamp() AT TIME ZONE 'UTC'
""")
SET = Prepared("""
INSERT INTO sessions (sid, sess, expire)
VALUES (%s, %s, statement_timestamp() AT TIME ZONE 'UTC' + %s * interval '1 second')
ON CONFLICT (sid) DO UPDATE SET sess = excluded.sess, expire = excluded.expire
""")
SAVE = Prepared("""
UPDATE sessions SET sess = %s
WHERE sid = %s AND expire >= statement_timestamp() AT TIME ZONE 'UTC'
""")
TOUCH = Prepared("""
UPDATE sessions SET expire = statement_timestamp() AT TIME ZONE 'UTC' + %s * interval '1 second'
WHERE sid = %s AND expire >= statement_timestamp() AT TIME ZONE 'UTC'
""")
REGENERATE = Prepared("""
UPDATE sessions SET sid = %s
WHERE sid = %s AND expire >= statement_timestamp() AT TIME ZONE 'UTC'
""")
DESTROY = Prepared("DELETE FROM sessions WHERE sid = %s")
ALL = "SELECT sid, sess FROM sessions WHERE expire >= statement_timestamp() AT TIME ZONE 'UTC'"
COUNT = """
SELECT count(*) FROM sessions WHERE expire >= statement_timestamp() AT TIME ZONE 'UTC'
"""
CLEAR = "DELETE FROM sessions"
# A row that someone is at is not waited for: it is being touched, or another process prunes it.
# An array is made once; as a subquery of IN, a planner may run it for each row, past the limit.
PRUNE = """
DELETE FROM sessions WHERE sid = ANY (ARRAY(
    SELECT sid FROM sessions WHERE expire < statement_timestamp() AT TIME ZONE 'UTC'
    ORDER BY expire LIMIT %s FOR UPDATE SKIP LOCKED
))
"""


class SessionStore:
    """The sessions by their ids, shared by any number of threads and processes.

    One that has expired counts as absent. Lifetimes (`ttl`) are in seconds. Each call but `prune`
    is one statement: on the connection that the thread has open, and in its transaction, or on one
    of the pool's for as long as it takes. An id that no column can hold raises UnfitError.
    """

    def __init__(self, ttl: float = DAY_SECONDS) -> None:
        self.ttl = _lifetime(ttl)

    def new_id(self) -> str:
        """An id that nobody can guess: 256 random bits, in letters that a cookie can hold."""
        return token_urlsafe(ID_BYTES)

    def get(self, sid: str) -> dict[str, Any] | None:
        """The session's data."""
        rows = _fetch(GET, _checked(sid))
        return rows[0][0] if rows else None

    def set(self, sid: str, data: dict[str, Any], ttl: float | None = None) -> None:
        """Create the session, or replace it; raises UnfitError for what jsonb cannot hold."""
        _execute(SET, _checked(sid), dumps(data, "data"), self._lifetime(ttl))

    def save(self, sid: str, data: dict[str, Any]) -> bool:
        """Replace the data of a session that is still there; False when it is gone.

        A request that ends late does not bring back a session that was destroyed meanwhile. Raises
        UnfitError as `set` does.
        """
        return _execute(SAVE, dumps(data, "data"), _checked(sid)) > 0

    def touch(self, sid: str, ttl: float | None = None) -> bool:
        """Let the session live on from now; False when it is gone."""
        return _execute(TOUCH, self._lifetime(ttl), _checked(sid)) > 0

    def destroy(self, sid: str) -> bool:
        """End the session; False when there was none, expired or not."""
        return _execute(DESTROY, _checked(sid)) > 0

    def regenerate(self, sid: str) -> str | None:
        """Give the session a new id, as after a login; None when the session is gone."""
        new = self.new_id()
        return new if _execute(REGENERATE, new, _checked(sid)) else None

    def all(self) -> dict[str, dict[str, Any]]:
        """The data of every session by its id."""
        return dict(_fetch(ALL))

    def count(self) -> int:
        """How many sessions there are."""
        ((count,),) = _fetch(COUNT)
        return int(count)

    def clear(self) -> int:
        """End every session; returns how many rows went."""
        return _execute(CLEAR)

    def prune(self, batch: int = 1000, on_batch: Callable[[int], None] | None = None) -> int:
        """Delete what has expired, so many rows a statement; returns how many went.

        Waits for nobody and lets nobody wait, so that any number of processes may prune at once.
        `on_batch` hears how many went so far. Refuses to run in a transaction, which would keep
        every row locked until its end.
        """
        if batch < 1:
            raise ValueError("batch: 1 or more")
        database = Session.bound()
        if database.in_transaction():
            raise RuntimeError("prune: not in a transaction, which would keep the rows locked")
        pruned = 0
        while gone := _prune(database, batch):
            pruned += gone
            if on_batch:
                on_batch(pruned)
        return pruned

    def _lifetime(self, ttl: float | None) -> float:
        return self.ttl if ttl is None else _lifetime(ttl)


def _lifetime(ttl: float) -> float:
    if not 0 < ttl <= CENTURY_SECONDS:
        raise ValueError("ttl: more than 0 seconds, and no more than a century")
    return float(ttl)


def _checked(sid: str) -> str:
    """The id; a cookie may hold anything."""
    if len(check_text(sid, "sid")) > ID_LENGTH:
        raise UnfitError(f"{len(sid)} characters, and an index takes {ID_LENGTH}", "sid")
    return sid


def _prune(database: Any, batch: int) -> int:  # noqa: ANN401 # Peewee's
    """One batch; in another isolation, a row that somebody pruned meanwhile would be an error."""
    with database.connection_context(), database.transaction("READ COMMITTED"):
        return int(database.execute_sql(PRUNE, (batch,)).rowcount)


def _fetch(statement: str, *values: object) -> list[tuple[Any, ...]]:
    database = Session.bound()
    with database.connection_context():
        rows: list[tuple[Any, ...]] = database.execute_sql(statement, values).fetchall()
        return rows


def _execute(statement: str, *values: object) -> int:
    """Run a statement; returns how many rows it was about."""
    database = Session.bound()
    with database.connection_context():
        return int(database.execute_sql(statement, values).rowcount)
