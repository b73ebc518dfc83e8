"""The audit trail: who did what to which thing, and when. Rows are added, and never changed."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self, Unpack

import peewee

from dbfoundation.errors import AppendOnlyError, InvalidValueError
from dbfoundation.runtime.audit_copy import copy_rows
from dbfoundation.runtime.audit_entry import (
    Details,
    Entity,
    Entry,
    RowFormat,
    complete,
    id_text,
    identify,
)
from dbfoundation.runtime.jsonb import check_text, dumps
from dbfoundation.runtime.mask import Mask, get_mask
from dbfoundation.runtime.models import get_database, get_meta, quote_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Base = peewee.Model
else:
    Base = object

COLUMNS = ("action", "entity_type", "entity_id", "user_id", "details")


class AuditTrail(Base):
    """A mixin for a model of any table: `class AuditLog(AuditTrail, BaseModel)`.

    The model has the fields id, action, entity_type, entity_id, user_id, details (jsonb) and
    timestamp. `record` and `record_many` mask secrets and take missing values from the audit
    context; the server sets the timestamp and the model's other fields to their defaults. So do
    Peewee's `create`, `insert` and `insert_many`, which can set the other fields, too. The other
    methods read a page of at most `limit` rows, newest first; `before` is the last row of the page
    before. No method updates or deletes a row, or adds one that is not masked; SQL, or a query
    built without the model, still can.

    `page_key` are the fields that order the pages of an entity and of a user; the last one is the
    primary key. Where ids do not grow with time, as on several servers, a model sets it to
    ("timestamp", "id"). NULL, which another program may have stored, is newer than any time.

    `secret_keys` are a project's own secrets: a key is masked that has their words in it.
    `readable_keys` are not masked, though they resemble a secret's.
    """

    page_key: ClassVar[tuple[str, ...]] = ("id",)
    secret_keys: ClassVar[tuple[str, ...]] = ()
    readable_keys: ClassVar[tuple[str, ...]] = ()

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
        values = cls._row_format().to_row(action, **entry)
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
        to_row = cls._row_format().to_row
        with database.connection_context():
            # COPY is atomic by itself; the savepoint lets the caller's transaction continue.
            is_idle = not database.connection().info.transaction_status
            with nullcontext() if is_idle else database.savepoint():
                return copy_rows(cls, COLUMNS, (to_row(**entry) for entry in entries))

    @classmethod
    def for_entity(
        cls, entity: Entity, *, before: Self | None = None, limit: int = 100
    ) -> list[Self]:
        """The events of a model's instance, or of a thing by its type and its id."""
        entity_type, entity_id = (cls._lookup(text, "entity") for text in identify(entity))
        conditions = (cls.entity_type == entity_type, cls.entity_id == entity_id)
        return cls._page(cls.page_key, before, limit, *conditions)

    @classmethod
    def for_user(
        cls, user_id: object, *, before: Self | None = None, limit: int = 100
    ) -> list[Self]:
        """The events of a user."""
        condition = cls.user_id == cls._lookup(id_text(user_id, "user_id"), "user_id")
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
        # As text: an error in the driver's own reading of one value would be that of all rows.
        details = get_meta(cls).columns["details"]
        others = [field for field in get_meta(cls).sorted_fields if field is not details]
        query: Any = cls.select(*others, details.cast("text").alias(details.name))
        query = query.where(*conditions).order_by(*(each.desc() for each in columns))
        if before is not None:
            last = [getattr(before, name) for name in key]
            if last[-1] is None:
                raise ValueError("before: must be a row that was read from the database")
            query = query.where(_is_after(columns, last))
        with get_database(cls).connection_context():
            rows: list[Self] = list(query.limit(limit))
        for row in rows:
            setattr(row, details.name, _read(getattr(row, details.name)))
        return rows

    @classmethod
    def _mask(cls) -> Mask:
        return get_mask(cls.secret_keys, cls.readable_keys)

    @classmethod
    def _row_format(cls) -> RowFormat:
        fields = get_meta(cls).columns
        max_lengths = {name: getattr(fields[name], "max_length", None) for name in COLUMNS}
        return RowFormat(cls._mask(), max_lengths)

    @classmethod
    def _lookup(cls, text: str, name: str) -> str:
        """An id as the rows have it."""
        return cls._mask().text(check_text(text, name))

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
        row[details_field] = details
        row = {field: cls._mask().details(value) for field, value in row.items()}
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


def _is_after(columns: list[Any], last: list[Any]) -> Any:  # noqa: ANN401 # Peewee's
    """Whether a row comes after the last one, in descending order; NULL comes first."""
    if None not in last:
        return peewee.Tuple(*columns) < peewee.Tuple(*last)
    if last[0] is None:
        same, others = columns[0].is_null(), columns[0].is_null(False)  # noqa: FBT003 # Peewee's
    else:
        same, others = columns[0] == last[0], columns[0] < last[0]
    return others | (same & _is_after(columns[1:], last[1:]))


def _read(text: str | None) -> Any:  # noqa: ANN401 # any JSON
    """The details; as text where Python cannot read what another program has stored."""
    try:
        return None if text is None else json.loads(text)
    except (RecursionError, ValueError):  # a ValueError for a number of more than 4,300 digits
        return text


def _without_update(query: Any) -> Any:  # noqa: ANN401 # Peewee's
    """The same INSERT, unable to update a row at a conflict; it may ignore one."""
    query.on_conflict = _refuse
    return query


def _refuse(*_: object, **__: object) -> NoReturn:
    raise AppendOnlyError("the audit trail is append-only: no row is updated or deleted")
