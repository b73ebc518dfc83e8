"""JSON as PostgreSQL's jsonb holds it; what it cannot hold is an error before it is sent."""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MASK = "[masked]"
NUL = r"\u0000"  # as JSON has it
CONTAINERS = (dict, list, tuple)
# What is nested in itself is found as what is nested too deeply.
ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False)


class UnfitError(ValueError):
    """Raised for a value that jsonb cannot hold, or not as it is; its text names the place."""

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.place = place

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


def dumps(value: dict[str, Any], name: str, is_secret: Callable[[str], bool] | None = None) -> str:
    """The value as JSON, masked where a key is secret; `name` is what an error calls it.

    A number comes back as JSON has it: a float of 1e23 as a whole number. Raises UnfitError for
    what is no dict, NaN and infinity, a NUL or half a surrogate pair in a
    text, a key that is no text, what JSON has no form for, and what is nested deeper than Python
    follows.
    """
    if is_secret is None and (text := _encoded(value)) is not None:
        return text
    try:
        if not isinstance(value, dict):
            raise UnfitError(f"a dict is wanted, and this is a {type(value).__name__}")  # noqa: TRY301 # one error for all that is unfit
        return ENCODER.encode(_fit(value, is_secret or _never))
    except RecursionError:
        error = UnfitError("nested too deeply, or in itself")
    except UnfitError as unfit:
        error = unfit
    except ValueError as unfit:  # a whole number of thousands of digits
        error = UnfitError(f"{unfit}")
    error.place = f"{name}{error.place}"
    raise error


def _encoded(value: object) -> str | None:
    """The value as JSON in one go; None for what takes a closer look."""
    try:
        text = ENCODER.encode(value)
        is_fit = isinstance(value, dict) and _has_text_keys(value)
        if not text.isascii():
            text.encode()  # fails for half a surrogate pair
    except (TypeError, ValueError, RecursionError):
        return None
    return text if is_fit and NUL not in text else None


def _has_text_keys(value: Any) -> bool:  # noqa: ANN401 # any JSON
    """Whether every key is a text: the encoder makes texts of others without a word."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                return False
        value = value.values()
    for item in value:  # noqa: SIM110 # all() of a generator takes twice as long
        if isinstance(item, CONTAINERS) and not _has_text_keys(item):
            return False
    return True


def check_text(text: object, place: str = "") -> str:
    """The text; raises UnfitError for what is none, and for one that PostgreSQL cannot hold."""
    if not isinstance(text, str):
        raise UnfitError(f"a text is wanted, and this is a {type(text).__name__}", place)
    if "\0" in text:
        raise UnfitError("a text with a NUL character", place)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UnfitError("a text with half a surrogate pair", place) from None
    return text


def _fit(value: Any, is_secret: Callable[[str], bool]) -> Any:  # noqa: ANN401 # any JSON
    """The value, masked; raises UnfitError with the place inside of it for what does not fit.

    One call a level, since how deep Python may call limits how deep a value may be.
    """
    match value:
        case str():
            return check_text(value)
        case None | int():
            return value
        case float():
            if isfinite(value):
                return value
            raise UnfitError(f"{value} is no number in JSON")
        case dict() | list() | tuple():
            is_dict = isinstance(value, dict)
            items: Any = value.items() if isinstance(value, dict) else enumerate(value)
            fitted = {}
            for place, item in items:
                masked = is_dict and is_secret(_key(place))
                try:
                    fitted[place] = MASK if masked else _fit(item, is_secret)
                except UnfitError as error:
                    error.place = f"[{place!r}]{error.place}"
                    raise
            return fitted if is_dict else list(fitted.values())
    raise UnfitError(f"JSON has no form for a {type(value).__name__}")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise UnfitError(f"the key {key!r} is no text")
    return check_text(key)


def _never(_: str) -> bool:
    return False
