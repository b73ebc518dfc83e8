"""One entry of the audit trail: its values from the caller and the context, with secrets masked."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from peewee import Model

from dbfoundation.errors import InvalidValueError
from dbfoundation.runtime.jsonb import check_text, dumps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dbfoundation.runtime.mask import Mask

Entity = Model | tuple[str, object]

# The text of such a value identifies nothing.
NOT_IDS = (Model, bytes, dict, list, set)

_context: ContextVar[dict[str, Any] | None] = ContextVar("audit_context", default=None)


class Details(TypedDict, total=False):
    """The optional parameters of AuditTrail.record()."""

    entity: Entity | None
    user_id: object
    details: dict[str, Any] | None


class Entry(Details):
    """One event for AuditTrail.record_many()."""

    action: str


@contextmanager
def audit_context(*, user_id: object = None, request_id: object = None) -> Iterator[None]:
    """Give the user and the request to each entry of the block that has none.

    Each thread and each asyncio task has its own context. The values of an inner block replace
    those of an outer block. `request_id` is stored in the details. Do not put the block around the
    `yield` of a generator that a framework resumes in another context.
    """
    given = {"user_id": user_id, "request_id": request_id}
    known = {name: value for name, value in given.items() if value is not None}
    token = _context.set((_context.get() or {}) | known)
    try:
        yield
    finally:
        _context.reset(token)


@dataclass(frozen=True)
class RowFormat:
    """How a trail stores an entry: its mask, and the lengths of its columns by their names."""

    mask: Mask
    max_lengths: Mapping[str, int | None]

    def to_row(
        self,
        action: str,
        entity: Entity | None = None,
        user_id: object = None,
        details: dict[str, Any] | None = None,
    ) -> tuple[str, str | None, str | None, str | None, str | None]:
        """The values of action, entity_type, entity_id, user_id and details, which is JSON.

        Raises InvalidValueError, which names the column, for a value that the column cannot hold.
        """
        entity_type, entity_id = identify(entity) if entity is not None else (None, None)
        user, details = complete(user_id, details)
        return (
            self._text(action, "action"),
            None if entity_type is None else self._text(entity_type, "entity_type"),
            None if entity_id is None else self._text(entity_id, "entity_id"),
            None if user is None else self._text(id_text(user, "user_id"), "user_id"),
            None if details is None else dumps(self.mask.details(details), "details"),
        )

    def _text(self, value: object, column: str) -> str:
        masked = self.mask.text(value) if isinstance(value, str) else value
        return check_text(masked, column, self.max_lengths[column])


def complete(
    user_id: object, details: dict[str, Any] | None
) -> tuple[object, dict[str, Any] | None]:
    """The user and the details, with the values that the audit context has for them."""
    context = _context.get() or {}
    user = context.get("user_id") if user_id is None else user_id
    if "request_id" in context and (details is None or isinstance(details, dict)):
        details = {"request_id": f"{context['request_id']}"} | (details or {})
    return user, details


def identify(entity: Entity) -> tuple[str, str]:
    """The type and the id of a model's instance or of a pair; raises InvalidValueError.

    The type of an instance is the name of its model in lower case.
    """
    match entity:
        case Model():
            return type(entity).__name__.lower(), id_text(entity.get_id(), "entity")
        case (str() as entity_type, key):
            return entity_type, id_text(key, "entity")
    raise InvalidValueError("entity: must be a model's instance, or a type and an id")


def id_text(value: object, name: str) -> str:
    """An id as text; raises InvalidValueError for a value that is not an id."""
    parts = value if isinstance(value, tuple) else (value,)  # a composite key is a tuple
    if None in parts:
        raise InvalidValueError(f"{name}: has no id yet")
    if any(isinstance(part, NOT_IDS) for part in parts):
        raise InvalidValueError(f"{name}: a {type(value).__name__} is not an id")
    return value if isinstance(value, str) else f"{value}"
