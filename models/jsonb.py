"""JSON as PostgreSQL's jsonb holds it; what it cannot hold is an error before it is sent."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any


class UnfitError(ValueError):
    """Raised for a value that jsonb cannot hold, or not as it is; its text names the place."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


def dumps(value: dict[str, Any], name: str) -> str:
    """The value as JSON; `name` is what an error calls it.

    Raises UnfitError for what is no dict, NaN and infinity, a NUL or half a surrogate pair in a
    text, a key that is no text, what JSON has no form for, and what is nested deeper than Python
    follows.
    """
    try:
        if not isinstance(value, dict):
            raise UnfitError(f"a dict is wanted, and this is a {type(value).__name__}")  # noqa: TRY301 # one error for all that is unfit
        check(value)
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        error = UnfitError("nested too deeply, or in itself")
    except UnfitError as unfit:
        error = unfit
    error.place = f"{name}{error.place}"
    raise error


def check(value: object) -> None:
    """Raise UnfitError, with the place inside of the value, for what jsonb cannot hold."""
    match value:
        case str():
            _check_text(value)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise UnfitError(f"the key {key!r} is no text")
                _check_text(key)
                _check_at(key, item)
        case list() | tuple():
            for number, item in enumerate(value):
                _check_at(number, item)
        case float() if not isfinite(value):
            raise UnfitError(f"{value} is no number in JSON")
        case None | int() | float():
            pass
        case _:
            raise UnfitError(f"JSON has no form for a {type(value).__name__}")


def _check_at(place: str | int, item: object) -> None:
    try:
        check(item)
    except UnfitError as error:
        error.place = f"[{place!r}]{error.place}"
        raise


def _check_text(text: str) -> None:
    if "\0" in text:
        raise UnfitError("a text with a NUL character")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UnfitError("a text with half a surrogate pair") from None
