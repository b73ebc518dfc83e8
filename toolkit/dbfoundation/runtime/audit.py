"""The audit trail: who did what to which thing, and when. Rows are added, and never changed."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, Unpack

import peewee

from dbfoundation.errors import AppendOnlyError, ConnectionBusyError, InvalidValueError
from dbfoundation.runtime.audit_entry import (
    Details,
    Entity,
    Entry,
    complete,
    id_text,
    identify,
    mask_secrets,
    to_row,
)
from dbfoundation.runtime.jsonb import check_text, dumps
from dbfoundation.runtime.models import get_database, get_meta, quote_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Base = peewee.Model
else:
    Base = object

COLUMNS = ("action", "entity_type", "entity_id", "user_id", "details")
# Characters of COPY data in one piece for the driver; a longer row is one piece.
CHUNK = 65_536
# psycopg2's words for an exception that read() raised, whose type is lost.
INTERRUPTED = "error in .read() call: KeyboardInterrupt"


class AuditTrail(Base):
    """A mixin for a model of any table: `class AuditLog(AuditTrail, BaseModel)`.

    The model has the fields id, action, entity_type, entity_id, user_id, details (jsonb) and
    timestamp. `record` and `record_many` mask secrets and take missing values from the audit
    context; the server sets the timestamp and the model's other fields to their defaults. So do
    Peewee's `create`, `insert` and `insert_many`, which can set the other fields, too. The other
    methods read a page of at most `limit` rows, newest first; `before` is the last row of the page
    before. No method updates or deletes a row, or adds one that is not masked; SQL, or a query
    built without the model, still can.

    `page_key` are the fields that order the pages of an entity and of a user. Where ids do not grow
    with time, as on several servers, a model sets it to ("timestamp", "id").
    """

    page_key: ClassVar[tuple[str, ...]] = ("id",)

    if TYPE_CHECKING:
        id: Any
        entity_type: Any
        entity_id: Any
        user_id: Any
        timestamp: Any

    @classmethod
    def record(cls, action: str, **entry: Unpack[Details]) -> Self:
        """Add a row, in the caller's transaction if there is one; returns it as it is stored.

        Raises InvalidValueError, which names the column, for a value that the column cannot hold.
        """
        values = to_row(_max_lengths(cls), action, **entry)
        names, places = ", ".join(COLUMNS), ", ".join(["%s"] * len(COLUMNS))
        insert = f"INSERT INTO {quote_table(cls)} ({names}) VALUES ({places}) RETURNING *"  # noqa: S608 # the table is quoted, the columns are constants
        database = get_database(cls)
        with database.connection_context():
            cursor = database.execute_sql(insert, values)
            stored = zip(cursor.description, cursor.fetchone(), strict=True)
        # During a deployment, the table may have a column that the model does not have.
        fields = get_meta(cls).columns
        known = [(fields[column.name], value) for column, value in stored if column.name in fields]
        return cls(**{field.name: field.python_value(value) for field, value in known})

    @classmethod
    def record_many(cls, entries: Iterable[Entry]) -> int:
        """Add many rows by COPY, all of them or none; returns their number.

        The entries are streamed: memory does not grow with their number. COPY occupies the thread's
        connection: an iterable that uses it gets a ConnectionBusyError. Raises as `record` does.
        """
        database = get_database(cls)
        with database.connection_context():
            # COPY is atomic by itself; the savepoint lets the caller's transaction continue.
            is_idle = not database.connection().info.transaction_status
            with nullcontext() if is_idle else database.savepoint():
                return _copy(cls, database, entries)

    @classmethod
    def for_entity(
        cls, entity: Entity, *, before: Self | None = None, limit: int = 100
    ) -> list[Self]:
        """The events of a model's instance, or of a thing by its type and its id."""
        entity_type, entity_id = (check_text(text, "entity") for text in identify(entity))
        conditions = (cls.entity_type == entity_type, cls.entity_id == entity_id)
        return cls._page(cls.page_key, before, limit, *conditions)

    @classmethod
    def for_user(
        cls, user_id: object, *, before: Self | None = None, limit: int = 100
    ) -> list[Self]:
        """The events of a user."""
        condition = cls.user_id == check_text(id_text(user_id, "user_id"), "user_id")
        return cls._page(cls.page_key, before, limit, condition)

    @classmethod
    def between(
        cls, start: datetime, end: datetime, *, before: Self | None = None, limit: int = 100
    ) -> list[Self]:
        """The events from `start` on and before `end`, which have a time zone."""
        if not all(isinstance(each, datetime) and each.tzinfo for each in (start, end)):
            raise InvalidValueError("start and end: must be datetimes with a time zone")
        key = ("timestamp", "id")
        return cls._page(key, before, limit, cls.timestamp >= start, cls.timestamp < end)

    @classmethod
    def _page(
        cls, key: tuple[str, ...], before: Self | None, limit: int, *conditions: object
    ) -> list[Self]:
        """The page after `before`; an index ends in the key, so that each page costs the same."""
        if limit < 1:
            raise ValueError("limit: must be 1 or more")
        columns = [getattr(cls, name) for name in key]
        query: Any = cls.select().where(*conditions).order_by(*(each.desc() for each in columns))
        if before is not None:
            last = [getattr(before, name) for name in key]
            if None in last:
                raise ValueError("before: must be a row that was read from the database")
            query = query.where(peewee.Tuple(*columns) < peewee.Tuple(*last))
        with get_database(cls).connection_context():
            return list(query.limit(limit))

    @classmethod
    def create(cls, **values: Any) -> Self:  # noqa: ANN401 # Peewee's
        """Add a row; returns it as it is stored, with the server's defaults."""
        [row] = cls.insert(**values).returning(cls).execute()
        return row  # type: ignore[no-any-return] # Peewee's

    @classmethod
    def insert(cls, row: dict[Any, Any] | None = None, /, **values: Any) -> Any:  # noqa: ANN401 # Peewee's
        return _without_update(super().insert(cls._entry(dict(row or {}), values)))

    @classmethod
    def insert_many(cls, rows: Iterable[Any], fields: Sequence[Any] | None = None) -> Any:  # noqa: ANN401 # Peewee's
        names = fields or get_meta(cls).sorted_fields
        entries = [
            cls._entry(row if isinstance(row, dict) else dict(zip(names, row, strict=True)), {})
            for row in rows
        ]
        return _without_update(super().insert_many(entries))

    @classmethod
    def insert_from(cls, *_: object, **__: object) -> NoReturn:
        raise AppendOnlyError(
            "insert_from() would add rows that are not masked\nFix: pass the rows to record_many()."
        )

    @classmethod
    def _entry(cls, values: dict[Any, Any], more: dict[str, Any]) -> dict[Any, Any]:
        """The values of a row for Peewee, masked and completed as those of `record` are."""
        row: dict[Any, Any] = cls._normalize_data(values, more)  # type: ignore[attr-defined] # not in its types
        columns = get_meta(cls).columns
        user_field, details_field = columns["user_id"], columns["details"]
        user, details = complete(row.get(user_field), row.get(details_field))
        row[user_field] = None if user is None else id_text(user, "user_id")
        row[details_field] = None if details is None else mask_secrets(details)
        if details is not None:
            dumps(row[details_field], "details")
        return row

    @classmethod
    def update(cls, *_: object, **__: object) -> NoReturn:
        _refuse()

    @classmethod
    def delete(cls) -> NoReturn:
        _refuse()

    @classmethod
    def truncate_table(cls, **_: object) -> NoReturn:
        _refuse()

    @classmethod
    def drop_table(cls, *_: object, **__: object) -> NoReturn:
        _refuse()


class BusyConnection:
    """In the place of the thread's connection while it copies."""

    def __getattr__(self, name: str) -> NoReturn:
        raise ConnectionBusyError(
            "the entries of record_many() use the connection that copies them\n"
            "Fix: read what they need into a list before, or with a pool of its own."
        )


class CopySource:
    """Entries as a file in COPY's text format, read chunk by chunk."""

    def __init__(self, chunks: Iterator[bytes], database: peewee.Database) -> None:
        self.chunks = chunks
        self.state = database._state  # type: ignore[attr-defined] # noqa: SLF001 # Peewee has no other way
        self.error: BaseException | None = None

    def read(self, _: int) -> bytes:
        """The next rows, nothing at the end; keeps an error, which the driver replaces."""
        connection = self.state.conn
        try:
            self.state.conn = BusyConnection()
            return next(self.chunks, b"")
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.state.conn = connection


def _max_lengths(model: type[peewee.Model]) -> dict[str, int | None]:
    fields = get_meta(model).columns
    return {name: getattr(fields[name], "max_length", None) for name in COLUMNS}


def _copy(model: type[peewee.Model], database: peewee.Database, entries: Iterable[Entry]) -> int:
    """COPY the entries; returns their number. An error of the iterable replaces COPY's own."""
    source = CopySource(_chunks(_max_lengths(model), entries), database)
    copy = f"COPY {quote_table(model)} ({', '.join(COLUMNS)}) FROM STDIN"
    cursor = database.cursor()
    try:
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined] # not in its types
            cursor.copy_expert(copy, source)
    except Exception as error:
        if INTERRUPTED in str(error):  # Ctrl-C between two lines of read()
            raise KeyboardInterrupt from None
        raise (source.error or error) from None
    return int(cursor.rowcount)


def _chunks(max_lengths: dict[str, int | None], entries: Iterable[Entry]) -> Iterator[bytes]:
    lines: list[str] = []
    size = 0
    for entry in entries:
        line = "\t".join(map(_escape, to_row(max_lengths, **entry))) + "\n"
        lines.append(line)
        size += len(line)
        if size > CHUNK:
            yield "".join(lines).encode()
            lines.clear()
            size = 0
    yield "".join(lines).encode()


def _escape(text: str | None) -> str:
    """A value in COPY's text format."""
    if text is None:
        return r"\N"
    if text.isalnum():
        return text
    text = text.replace("\\", "\\\\").replace("\t", "\\t")
    return text.replace("\n", "\\n").replace("\r", "\\r")


def _without_update(query: Any) -> Any:  # noqa: ANN401 # Peewee's
    """The same INSERT, unable to update a row at a conflict; it may ignore one."""
    query.on_conflict = _refuse
    return query


def _refuse(*_: object, **__: object) -> NoReturn:
    raise AppendOnlyError("the audit trail is append-only: no row is updated or deleted")
