"""Sessions in the shape of connect-pg-simple's table, so that Node services can share it."""

from __future__ import annotations

from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

from dbfoundation.runtime.jsonb import check_text, dumps
from dbfoundation.runtime.models import get_database, get_meta, quote_table
from dbfoundation.runtime.prepared import Prepared

if TYPE_CHECKING:
    from collections.abc import Callable

    from peewee import Model

    from dbfoundation.runtime.pool import Pool

COLUMNS = frozenset({"sid", "sess", "expire"})
DAY_SECONDS = 86_400
CENTURY_SECONDS = 100 * 365 * DAY_SECONDS
ID_BYTES = 32
# A character has up to four bytes, an entry of a B-tree up to 2,704 (PostgreSQL 15, 67.4.2).
MAX_ID_LENGTH = 600


class Statements:
    """The SQL of each method of SessionStore, on the server's clock.

    UTC is named in each statement, so that the time zone of a server, role or client has no effect.
    """

    def __init__(self, table: str) -> None:
        now = "statement_timestamp() AT TIME ZONE 'UTC'"
        is_live = f"expire >= {now}"
        self.get = Prepared(f"SELECT sess FROM {table} WHERE sid = %s AND {is_live}")  # noqa: S608 # the table is quoted
        self.set = Prepared(f"""
            INSERT INTO {table} (sid, sess, expire)
            VALUES (%s, %s, {now} + %s * interval '1 second')
            ON CONFLICT (sid) DO UPDATE SET sess = excluded.sess, expire = excluded.expire
        """)  # noqa: S608 # likewise, as below
        self.save = Prepared(f"UPDATE {table} SET sess = %s WHERE sid = %s AND {is_live}")  # noqa: S608
        self.touch = Prepared(f"""
            UPDATE {table} SET expire = {now} + %s * interval '1 second'
            WHERE sid = %s AND {is_live}
        """)  # noqa: S608
        self.regenerate = Prepared(f"UPDATE {table} SET sid = %s WHERE sid = %s AND {is_live}")  # noqa: S608
        self.destroy = Prepared(f"DELETE FROM {table} WHERE sid = %s")  # noqa: S608
        self.all = f"SELECT sid, sess FROM {table} WHERE {is_live}"  # noqa: S608
        self.count = f"SELECT count(*) FROM {table} WHERE {is_live}"  # noqa: S608
        self.clear = f"DELETE FROM {table}"  # noqa: S608
        # A locked row is skipped: another process touches or prunes it. The array is computed once;
        # a planner may run a subquery of IN for each row, and delete more than the limit.
        self.prune = f"""
            DELETE FROM {table} WHERE sid = ANY (ARRAY(
                SELECT sid FROM {table} WHERE expire < {now}
                ORDER BY expire LIMIT %s FOR UPDATE SKIP LOCKED
            ))
        """  # noqa: S608


class SessionStore:
    """The sessions in a model's table, shared by any number of threads and processes.

    The model has the columns sid (text, the primary key), sess (jsonb) and expire (timestamp, UTC).
    An expired session counts as absent. A lifetime (`ttl`) is in seconds. Each call except `prune`
    is one statement: on the thread's open connection and in its transaction, or on a connection of
    the pool that is returned at once. An id that no column can hold raises InvalidValueError.
    """

    def __init__(self, model: type[Model], ttl: float = DAY_SECONDS) -> None:
        if missing := COLUMNS - get_meta(model).columns.keys():
            raise TypeError(f"{model.__name__} has no column {', '.join(sorted(missing))}")
        self.model = model
        self.ttl = _check_ttl(ttl)
        self._statements = Statements(quote_table(model))

    def new_id(self) -> str:
        """An id of 256 random bits, in characters that a cookie can hold."""
        return token_urlsafe(ID_BYTES)

    def get(self, sid: str) -> dict[str, Any] | None:
        """The session's data."""
        rows = self._fetch(self._statements.get, _check_id(sid))
        return rows[0][0] if rows else None

    def set(self, sid: str, data: dict[str, Any], ttl: float | None = None) -> None:
        """Create or replace the session.

        Raises InvalidValueError for data that jsonb cannot hold.
        """
        values = (_check_id(sid), dumps(data, "data"), self._lifetime(ttl))
        self._execute(self._statements.set, *values)

    def save(self, sid: str, data: dict[str, Any]) -> bool:
        """Replace the data of an existing session; False when it is gone.

        A request that ends late does not restore a session that was destroyed in the meantime.
        Raises as `set` does.
        """
        return self._execute(self._statements.save, dumps(data, "data"), _check_id(sid)) > 0

    def touch(self, sid: str, ttl: float | None = None) -> bool:
        """Restart the session's lifetime; False when it is gone."""
        return self._execute(self._statements.touch, self._lifetime(ttl), _check_id(sid)) > 0

    def destroy(self, sid: str) -> bool:
        """Delete the session; False when there was none, expired or not."""
        return self._execute(self._statements.destroy, _check_id(sid)) > 0

    def regenerate(self, sid: str) -> str | None:
        """Give the session a new id, as after a login; None when the session is gone."""
        new = self.new_id()
        return new if self._execute(self._statements.regenerate, new, _check_id(sid)) else None

    def all(self) -> dict[str, dict[str, Any]]:
        """The data of every session by its id."""
        return dict(self._fetch(self._statements.all))

    def count(self) -> int:
        """The number of sessions."""
        ((count,),) = self._fetch(self._statements.count)
        return int(count)

    def clear(self) -> int:
        """Delete every session, expired or not; returns the number of rows."""
        return self._execute(self._statements.clear)

    def prune(self, batch: int = 1000, on_batch: Callable[[int], None] | None = None) -> int:
        """Delete the expired sessions, `batch` rows a statement; returns the number of rows.

        Waits for no lock, so that any number of processes may prune at once. `on_batch` receives
        the number of rows deleted so far. Raises RuntimeError in a transaction, which would keep
        the rows locked until its end.
        """
        if batch < 1:
            raise ValueError("batch: must be 1 or more")
        if self._database.in_transaction():
            raise RuntimeError("prune() in a transaction would keep the rows locked until its end")
        pruned = 0
        while deleted := self._prune_batch(batch):
            pruned += deleted
            if on_batch:
                on_batch(pruned)
        return pruned

    @property
    def _database(self) -> Pool:
        return get_database(self.model)

    def _prune_batch(self, batch: int) -> int:
        # In any other isolation level, a row that another process has pruned is an error.
        with self._database.connection_context(), self._database.transaction("READ COMMITTED"):
            return int(self._database.execute_sql(self._statements.prune, (batch,)).rowcount)

    def _fetch(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._database.connection_context():
            rows: list[tuple[Any, ...]] = self._database.execute_sql(statement, values).fetchall()
            return rows

    def _execute(self, statement: str, *values: object) -> int:
        """Run a statement; returns the number of rows that it changed."""
        with self._database.connection_context():
            return int(self._database.execute_sql(statement, values).rowcount)

    def _lifetime(self, ttl: float | None) -> float:
        return self.ttl if ttl is None else _check_ttl(ttl)


def _check_ttl(ttl: float) -> float:
    if not 0 < ttl <= CENTURY_SECONDS:
        raise ValueError("ttl: must be more than 0 seconds, and at most a century")
    return float(ttl)


def _check_id(sid: str) -> str:
    """The id, which may come from a cookie."""
    return check_text(sid, "sid", MAX_ID_LENGTH)
