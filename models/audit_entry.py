"""What goes into a row of audit_log: given by the caller, or by the context, and made fit."""

from __future__ import annotations

import re
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypedDict

from peewee import Model

from models.jsonb import UnfitError, check_text, dumps

if TYPE_CHECKING:
    from collections.abc import Iterator

Entity = Model | tuple[str, object]

# Characters that a text column takes.
LENGTH = 100
# What would be told of these as text is not what they are known by.
NO_IDS = (Model, bytes, dict, list, set)
SECRET = re.compile(
    "passw|passphrase|pwd|secret|token|credential|authorization|(^|[-_ ])cookie$"
    "|(api|access|private)[-_ ]?key",
    re.IGNORECASE,
)

_context: ContextVar[dict[str, Any] | None] = ContextVar("audit_context", default=None)


class Details(TypedDict, total=False):
    """What AuditLog.record() takes beside the action."""

    entity: Entity | None
    user_id: object
    details: dict[str, Any] | None


class Entry(Details):
    """One thing that happened, as AuditLog.record_many() takes it."""

    action: str


@contextmanager
def audit_context(*, user_id: object = None, request_id: object = None) -> Iterator[None]:
    """Supply what an entry of the block does not say: who, and in which request.

    Each thread and each asyncio task has a context of its own; an inner block goes before an outer
    one. `request_id` stands in the details. It ends where it began: a generator that a framework
    resumes in another context has none around its `yield`.
    """
    given = {"user_id": user_id, "request_id": request_id}
    known = {name: value for name, value in given.items() if value is not None}
    token = _context.set((_context.get() or {}) | known)
    try:
        yield
    finally:
        _context.reset(token)


def row_of(
    action: str,
    entity: Entity | None = None,
    user_id: object = None,
    details: dict[str, Any] | None = None,
) -> tuple[str, str | None, str | None, str | None, str | None]:
    """The values of action, entity_type, entity_id, user_id and details; the last one as JSON.

    Raises UnfitError, a ValueError that names the column, for what the column cannot hold.
    """
    context = _context.get() or {}
    kind, key = entity_of(entity) if entity is not None else (None, None)
    user = context.get("user_id") if user_id is None else user_id
    if "request_id" in context and (details is None or isinstance(details, dict)):
        details = {"request_id": f"{context['request_id']}"} | (details or {})
    return (
        _text(action, "action"),
        kind if kind is None else _text(kind, "entity_type"),
        key if key is None else _text(key, "entity_id"),
        user if user is None else _text(id_of(user, "user_id"), "user_id"),
        details if details is None else dumps(details, "details", _is_secret),
    )


def entity_of(entity: Entity) -> tuple[str, str]:
    """The type and the id of a model's instance, or of a pair; raises UnfitError where one is not.

    An instance's type is the name of its model in lower case.
    """
    match entity:
        case Model():
            return type(entity).__name__.lower(), id_of(entity.get_id(), "entity")
        case (str() as kind, key):
            return kind, id_of(key, "entity")
    raise UnfitError("a model's instance, or a type and an id, is wanted", "entity")


def id_of(value: object, name: str) -> str:
    """An id as text; raises UnfitError for what is none."""
    parts = value if isinstance(value, tuple) else (value,)  # a composite key is a tuple
    if None in parts:
        raise UnfitError("it has no id yet", name)
    if any(isinstance(part, NO_IDS) for part in parts):
        raise UnfitError(f"a {type(value).__name__} is no id", name)
    return value if isinstance(value, str) else f"{value}"


def _text(text: str, column: str) -> str:
    if len(check_text(text, column)) > LENGTH:
        raise UnfitError(f"{len(text)} characters, and the column takes {LENGTH}", column)
    return text


@lru_cache(4096)
def _is_secret(key: str) -> bool:
    return SECRET.search(key) is not None
