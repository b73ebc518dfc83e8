"""Sessions in the shape of connect-pg-simple's table, so that Node services can share it."""

from __future__ import annotations

from contextlib import suppress
from operator import attrgetter, methodcaller
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, TypeVar

from peewee import NotSupportedError

from dbfoundation.errors import InvalidValueError
from dbfoundation.runtime.jsonb import check_text, decode, dumps
from dbfoundation.runtime.models import get_database, get_meta, quote_name, quote_table
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

R = TypeVar("R")
# What is read from a cursor.
ROWS: Callable[[Any], list[tuple[Any, ...]]] = methodcaller("fetchall")
ROW_COUNT: Callable[[Any], int] = attrgetter("rowcount")


class Statements:
    """The SQL of each method of SessionStore, on the server's clock.

    UTC is named in each statement, so that the time zone of a server, role or client has no effect.
    """

    def __init__(self, table: str, columns: str) -> None:
        """`columns` are the table's columns without sid, quoted."""
        now = "statement_timestamp() AT TIME ZONE 'UTC'"
        is_live = f"expire >= {now}"
        # A whole second, as in connect-pg-simple: the writes of one second then change no index.
        end = f"date_trunc('second', {now} + (%s + 0.999999) * interval '1 second')"
        # As text: an error in the driver's own reading of one value would be that of all rows.
        self.get = Prepared(f"SELECT sess::text FROM {table} WHERE sid = %s AND {is_live}")  # noqa: S608 # the table is quoted
        self.set = Prepared(f"""
            INSERT INTO {table} (sid, sess, expire)
            VALUES (%s, %s, {end})
            ON CONFLICT (sid) DO UPDATE SET sess = excluded.sess, expire = excluded.expire
        """)  # noqa: S608 # likewise, as below
        self.save = Prepared(f"UPDATE {table} SET sess = %s WHERE sid = %s AND {is_live}")  # noqa: S608
        touch = f"""
            UPDATE {table} SET expire = {end}
            WHERE sid = %s AND {is_live}
        """  # noqa: S608
        self.touch = Prepared(touch, asynchronous_commit=True)
        # A table that is distributed by sid refuses an UPDATE of it.
        self.regenerate = Prepared(f"""
            WITH gone AS (DELETE FROM {table} WHERE sid = %s AND {is_live} RETURNING {columns})
            INSERT INTO {table} (sid, {columns}) SELECT %s, {columns} FROM gone
        """)  # noqa: S608
        self.destroy = Prepared(f"DELETE FROM {table} WHERE sid = %s")  # noqa: S608
        self.all = f"SELECT sid, sess::text FROM {table} WHERE {is_live}"  # noqa: S608
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
        # For a table that refuses row locks, as a distributed one does.
        self.find_expired = f"SELECT sid FROM {table} WHERE expire < {now} ORDER BY expire LIMIT %s"  # noqa: S608
        self.prune_found = f"DELETE FROM {table} WHERE sid = ANY (%s) AND expire < {now}"  # noqa: S608


class SessionStore:
    """The sessions in a model's table, shared by any number of threads and processes.

    The model has the columns sid (text, the primary key), sess (jsonb) and expire (timestamp, UTC).
    An expired session counts as absent. So does one whose id no column can hold, as a cookie may
    have, and in `get` and `all` one whose data are no object or cannot be read by Python's json,
    because another program has nested them too deeply. A lifetime (`ttl`) is in seconds, and ends
    with a whole one, up to a second late. Each call except `prune` and `write_back` is one
    statement: on the thread's open connection and in its transaction, or on a connection of the
    pool that is returned at once. An id that is no text, and a lifetime that is not between 0 and a
    century, raise InvalidValueError.
    """

    def __init__(self, model: type[Model], ttl: float = DAY_SECONDS) -> None:
        self.model = model
        self.ttl = _check_ttl(ttl)
        columns = get_meta(model).columns
        if missing := COLUMNS - columns.keys():
            raise TypeError(f"{model.__name__} has no column {', '.join(sorted(missing))}")
        others = [quote_name(model, name) for name in columns if name != "sid"]
        self._statements = Statements(quote_table(model), ", ".join(others))

    def new_id(self) -> str:
        """An id of 256 random bits, in characters that a cookie can hold."""
        return token_urlsafe(ID_BYTES)

    def get(self, sid: str) -> dict[str, Any] | None:
        """The session's data."""
        rows = self._run(ROWS, self._statements.get, sid) if _is_possible(sid) else None
        return _read(rows[0][0]) if rows else None

    def set(self, sid: str, data: dict[str, Any], ttl: float | None = None) -> None:
        """Create or replace the session.

        Raises InvalidValueError for data that jsonb cannot hold, and for an id that no column can
        hold or that is empty.
        """
        values = (_check_id(sid), dumps(data, "data"), self._lifetime(ttl))
        self._run(ROW_COUNT, self._statements.set, *values)

    def save(self, sid: str, data: dict[str, Any]) -> bool:
        """Replace the data of an existing session; False when it is gone.

        A request that ends late does not restore a session that was destroyed in the meantime.
        Raises InvalidValueError for data that jsonb cannot hold.
        """
        text = dumps(data, "data")
        return _is_possible(sid) and self._run(ROW_COUNT, self._statements.save, text, sid) > 0

    def touch(self, sid: str, ttl: float | None = None) -> bool:
        """Restart the session's lifetime; False when it is gone.

        Does not wait for the disk: a crash of the server may undo the last second of it, as if the
        session had not been used. In the caller's transaction, it is as durable as that.
        """
        seconds = self._lifetime(ttl)
        return _is_possible(sid) and self._run(ROW_COUNT, self._statements.touch, seconds, sid) > 0

    def destroy(self, sid: str) -> bool:
        """Delete the session; False when there was none, expired or not."""
        return _is_possible(sid) and self._run(ROW_COUNT, self._statements.destroy, sid) > 0

    def regenerate(self, sid: str) -> str | None:
        """Give the session a new id, as after a login; None when the session is gone.

        The row is a new one. A column that the table has and the model has not gets its default.
        """
        new = self.new_id()
        is_moved = _is_possible(sid) and self._run(ROW_COUNT, self._statements.regenerate, sid, new)
        return new if is_moved else None

    def write_back(
        self,
        sid: str | None,
        data: dict[str, Any],
        *,
        is_modified: bool,
        needs_new_id: bool = False,
        needs_touch: bool = False,
    ) -> str | None:
        """Write what a request did with its session; returns the id that needs a new cookie.

        `sid` is None for a session that has no row yet, and for a cookie whose session `get` did
        not find. Modified data are saved, or get a row under a new id; empty ones destroy the
        session. A session that is gone is not restored. `needs_new_id` is for a login: the data get
        a new id, in one transaction, also when the session is gone. `needs_touch` restarts the
        lifetime of a session that still exists. Data that are not modified are not written.
        """
        if (is_modified or needs_new_id) and not data:
            if sid:
                self.destroy(sid)
            return None
        if needs_new_id or (is_modified and not sid):
            return self._write_new(sid, data)
        if sid and is_modified:
            self.save(sid, data)
        return sid if sid and needs_touch and self.touch(sid) else None

    def all(self) -> dict[str, dict[str, Any]]:
        """The data of every session by its id."""
        read = ((sid, _read(text)) for sid, text in self._run(ROWS, self._statements.all))
        return {sid: data for sid, data in read if data is not None}

    def count(self) -> int:
        """The number of sessions."""
        ((count,),) = self._run(ROWS, self._statements.count)
        return int(count)

    def clear(self) -> int:
        """Delete every session, expired or not; returns the number of rows."""
        return self._run(ROW_COUNT, self._statements.clear)

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

    def _write_new(self, sid: str | None, data: dict[str, Any]) -> str:
        """Write the data under a new id, with a new lifetime."""
        with self._database.connection_context(), self._database.atomic():
            # None when another request was faster.
            new = (self.regenerate(sid) if sid else None) or self.new_id()
            self.set(new, data)
            return new

    def _prune_batch(self, batch: int) -> int:
        # In any other isolation level, a row that another process has pruned is an error.
        level = "READ COMMITTED"
        with self._database.connection_context():
            with suppress(NotSupportedError), self._database.transaction(level):
                return self._run(ROW_COUNT, self._statements.prune, batch)
            with self._database.transaction(level):
                found = [sid for (sid,) in self._run(ROWS, self._statements.find_expired, batch)]
                return self._run(ROW_COUNT, self._statements.prune_found, found)

    def _run(self, read: Callable[[Any], R], statement: str, *values: object) -> R:
        """Run a statement on the thread's connection, or on one that is returned at once.

        Returns what `read` makes of the cursor. A connection_context() would also look after the
        code inside of it: without one, get has 1.07 times the speed with eight threads.
        """
        database = self._database
        has_taken = database.connect(reuse_if_open=True)
        try:
            return read(database.execute_sql(statement, values))
        finally:
            if has_taken:
                database.close()

    def _lifetime(self, ttl: float | None) -> float:
        return self.ttl if ttl is None else _check_ttl(ttl)


def _check_ttl(ttl: float) -> float:
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise InvalidValueError(f"ttl: must be a number of seconds, not a {type(ttl).__name__}")
    if not 0 < ttl <= CENTURY_SECONDS:
        raise InvalidValueError("ttl: must be more than 0 seconds, and at most a century")
    return float(ttl)


def _check_id(sid: str) -> str:
    if not check_text(sid, "sid", MAX_ID_LENGTH):
        raise InvalidValueError("sid: is empty")
    return sid


def _is_possible(sid: str) -> bool:
    """Whether a session may have this id; raises InvalidValueError for one that is no text."""
    try:
        _check_id(sid)
    except InvalidValueError:
        if isinstance(sid, str):
            return False
        raise
    return True


def _read(text: str) -> dict[str, Any] | None:
    """The data of a session; None where they are no object, or Python cannot read them."""
    try:
        data = decode(text)[0]
    except (RecursionError, ValueError):  # a ValueError for a number of more than 4,300 digits
        return None
    return data if isinstance(data, dict) else None
