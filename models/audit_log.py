"""The table audit_log: who did what to which thing, and when. Rows are added and read, no more."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NoReturn, Self, Unpack

import peewee
from peewee import SQL, AutoField, CharField, ModelIndex
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from models.audit_entry import LENGTH, Details, Entity, Entry, entity_of, id_of, row_of
from models.base import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

INSERT = """
INSERT INTO audit_log (action, entity_type, entity_id, user_id, details)
VALUES (%s, %s, %s, %s, %s) RETURNING id, timestamp, details
"""
GIVEN = ("action", "entity_type", "entity_id", "user_id", "details")
RETURNED = ("id", "timestamp", "details")
COPY = "COPY audit_log (action, entity_type, entity_id, user_id, details) FROM STDIN"
# Characters that are handed to the driver at once, or one row of more.
CHUNK = 65_536


class AppendOnlyError(peewee.PeeweeException):
    """Raised by whatever would change or delete a row of the audit trail."""


class AuditLog(BaseModel):
    """One thing that happened.

    `record` and `record_many` mask secrets, and take from the context what is not given. A reading
    is a page of rows, newest first, and `before` is the last row of the page that came before. The
    server sets `timestamp` when it is left out. Nothing here updates or deletes: who writes SQL, or
    builds a query without the model, goes past that.
    """

    id = AutoField()
    action = CharField(max_length=LENGTH)
    entity_type = CharField(max_length=LENGTH, null=True)
    entity_id = CharField(max_length=LENGTH, null=True)
    user_id = CharField(max_length=LENGTH, null=True)
    timestamp = DateTimeTZField(null=True, constraints=[SQL("DEFAULT NOW()")])
    details = BinaryJSONField(null=True, index=False)  # peewee's default is a GIN index

    class Meta:
        table_name = "audit_log"

    @classmethod
    def record(cls, action: str, **entry: Unpack[Details]) -> Self:
        """Add a row, in the caller's transaction if there is one; returns it as it stands there.

        Raises UnfitError, which names the column, for a value that the column cannot hold.
        """
        values = row_of(action, **entry)
        database = cls.bound()
        with database.connection_context():
            row = database.execute_sql(INSERT, values).fetchone()
        given = dict(zip(GIVEN, values, strict=True))
        return cls(**given | dict(zip(RETURNED, row, strict=True)))

    @classmethod
    def record_many(cls, entries: Iterable[Entry]) -> int:
        """Add many rows by COPY, all of them or none; returns how many.

        They are streamed: memory does not grow with their number. Producing them must not use this
        thread's connection, which the COPY is on. Where a person watches, a bar shows how far it
        is. Raises as `record` does.
        """
        from tqdm import tqdm

        database = cls.bound()
        with (
            tqdm(entries, unit=" rows", delay=1, disable=None) as bar,
            database.connection_context(),
        ):
            # A savepoint, so that a transaction of the caller's can go on; COPY needs no other.
            is_idle = not database.connection().info.transaction_status
            with nullcontext() if is_idle else database.savepoint():
                return _copy(database.cursor(), CopySource(bar))

    @classmethod
    def for_entity(
        cls, entity: Entity, *, before: Self | None = None, limit: int = 100
    ) -> list[Self]:
        """What happened to a model's instance, or to the thing of a type and an id."""
        kind, key = entity_of(entity)
        return cls._page((cls.id,), before, limit, cls.entity_type == kind, cls.entity_id == key)

    @classmethod
    def for_user(
        cls, user_id: object, *, before: Self | None = None, limit: int = 100
    ) -> list[Self]:
        """What a user did."""
        return cls._page((cls.id,), before, limit, cls.user_id == id_of(user_id, "user_id"))

    @classmethod
    def between(
        cls, start: datetime, end: datetime, *, before: Self | None = None, limit: int = 100
    ) -> list[Self]:
        """What happened from `start` on and before `end`; both with a time zone."""
        if start.tzinfo is None or end.tzinfo is None:
            raise ValueError("start and end: a time zone is wanted")
        key = (cls.timestamp, cls.id)
        return cls._page(key, before, limit, cls.timestamp >= start, cls.timestamp < end)

    @classmethod
    def _page(
        cls, key: tuple[Any, ...], before: Self | None, limit: int, *conditions: object
    ) -> list[Self]:
        """The rows before a row by its key, which an index ends in: each page costs the same."""
        if limit < 1:
            raise ValueError("limit: 1 or more")
        query = cls.select().where(*conditions).order_by(*(column.desc() for column in key))
        if before is not None:
            last = [getattr(before, column.name) for column in key]
            if None in last:
                raise ValueError("before: a row as a reading returned it is wanted")
            query = query.where(peewee.Tuple(*key) < peewee.Tuple(*last))
        with cls.bound().connection_context():
            return list(query.limit(limit))

    @classmethod
    def insert(cls, *args: Any, **values: Any) -> Any:  # noqa: ANN401 # Peewee's
        return _without_update(super().insert(*args, **values))

    @classmethod
    def insert_many(cls, *args: Any, **values: Any) -> Any:  # noqa: ANN401 # Peewee's
        return _without_update(super().insert_many(*args, **values))

    @classmethod
    def insert_from(cls, *args: Any) -> Any:  # noqa: ANN401 # Peewee's
        return _without_update(super().insert_from(*args))

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


AuditLog.add_index(
    ModelIndex(
        AuditLog,
        (AuditLog.entity_type, AuditLog.entity_id, AuditLog.id),
        name="idx_audit_log_entity",
    )
)
AuditLog.add_index(ModelIndex(AuditLog, (AuditLog.user_id, AuditLog.id), name="idx_audit_log_user"))
AuditLog.add_index(
    ModelIndex(AuditLog, (AuditLog.timestamp, AuditLog.id), name="idx_audit_log_timestamp")
)


class CopySource:
    """Entries as a file in COPY's text format, read chunk by chunk."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.chunks = _chunks(entries)
        self.error: BaseException | None = None

    def read(self, _: int) -> bytes:
        """The next rows, nothing at the end; the driver does not pass on what fails here."""
        try:
            return next(self.chunks, b"")
        except BaseException as error:
            self.error = error
            raise


def _copy(cursor: Any, source: CopySource) -> int:  # noqa: ANN401 # the driver's
    """COPY; returns how many rows, and raises what went wrong first."""
    try:
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined] # not in its types
            cursor.copy_expert(COPY, source)
    except Exception as error:
        raise (source.error or error) from None
    return int(cursor.rowcount)


def _chunks(entries: Iterable[Entry]) -> Iterator[bytes]:
    lines: list[str] = []
    size = 0
    for entry in entries:
        line = "\t".join(map(_escaped, row_of(**entry))) + "\n"
        lines.append(line)
        size += len(line)
        if size > CHUNK:
            yield "".join(lines).encode()
            lines.clear()
            size = 0
    yield "".join(lines).encode()


def _escaped(text: str | None) -> str:
    """A value as COPY's text format has it."""
    if text is None:
        return r"\N"
    if text.isalnum():
        return text
    text = text.replace("\\", "\\\\").replace("\t", "\\t")
    return text.replace("\n", "\\n").replace("\r", "\\r")


def _without_update(query: Any) -> Any:  # noqa: ANN401 # Peewee's
    """The same INSERT, which may ignore a conflict and must not update over it."""
    query.on_conflict = _refuse
    return query


def _refuse(*_: object, **__: object) -> NoReturn:
    raise AppendOnlyError("the audit trail is only added to: nothing updates or deletes a row")
