"""The mask of the audit trail: no value of a secret's key, and no credential in any text."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from dbfoundation.errors import InvalidValueError
from dbfoundation.runtime.secret_keys import SecretKeys
from dbfoundation.runtime.secret_text import MASK, mask_text

# A header as {"name": "Cookie", "value": …}, a change as {"field": "password", "old": …, "new": …}.
LABELS = frozenset({"name", "key", "header", "field", "type", "Name", "Key"})
LABELLED = frozenset(
    {"value", "values", "Value", "old", "new", "before", "after", "from", "to", "content", "text"}
)
# Such a key takes its sense from the key above it, as in {"card": {"number": …}}.
DEPENDENT = frozenset({"number", "no", "key", "account"})
# Most texts: too short for a credential by itself, and without a sign or a space before one.
SHORT_AND_PLAIN = re.compile(r"[\w./\-]{0,14}")


class Mask:
    """What a trail masks: secrets of any request, and the keys that a project adds.

    `secret_keys` are masked wherever their words are part of a key, `readable_keys` are not masked.
    """

    def __init__(self, secret_keys: tuple[str, ...], readable_keys: tuple[str, ...]) -> None:
        self._keys = SecretKeys(secret_keys, readable_keys)

    def details(self, value: Any) -> Any:  # noqa: ANN401 # any JSON
        """A masked copy; raises InvalidValueError for a value inside of itself."""
        try:
            return self._value(value)
        except RecursionError:
            raise InvalidValueError("details: nested too deeply, or inside of itself") from None

    def text(self, text: str) -> str:
        """The text without its credentials; a body in JSON is masked as details are."""
        if SHORT_AND_PLAIN.fullmatch(text):
            return text
        if text[:1] in ("{", "["):
            try:
                value = json.loads(text)
                masked = self._value(value)
            except (RecursionError, ValueError):
                return mask_text(text, self._keys)
            if masked != value:
                return json.dumps(masked, ensure_ascii=False)
        return mask_text(text, self._keys)

    def _value(self, value: Any, name: str = "", *, in_list: bool = False) -> Any:  # noqa: ANN401 # any JSON
        """`name` is the key above the value."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return self._object(value, name)
        if isinstance(value, list | tuple):
            if self._is_pair(value, certain=in_list or isinstance(value, tuple)):
                return [value[0], MASK]
            return [self._value(item, name, in_list=True) for item in value]
        return value

    def _object(self, value: dict[Any, Any], name: str) -> dict[Any, Any]:
        is_labelled = not LABELS.isdisjoint(value) and any(
            isinstance(value.get(label), str) and value[label] in self._keys for label in LABELS
        )
        masked = {}
        for key, item in value.items():
            if not isinstance(key, str):
                masked[key] = self._value(item)
            elif self._is_secret(key, name, item) or (is_labelled and key in LABELLED):
                masked[self.text(key)] = MASK
            else:
                masked[self.text(key)] = self._value(item, key)
        return masked

    def _is_secret(self, key: str, name: str, item: object) -> bool:
        full = f"{name} {key}" if name and key in DEPENDENT else key
        if full not in self._keys or isinstance(item, bool):
            return False
        # A number of tokens is a count.
        return not (isinstance(item, int | float) and key.lower().endswith("tokens"))

    def _is_pair(self, items: list[Any] | tuple[Any, ...], *, certain: bool) -> bool:
        """Whether the items are a header or a field of a form, and not two names."""
        if len(items) != 2 or not isinstance(items[0], str) or items[0] not in self._keys:  # noqa: PLR2004 # a pair
            return False
        return certain or "-" in items[0] or items[0].lower() in ("authorization", "cookie")


@lru_cache
def get_mask(secret_keys: tuple[str, ...], readable_keys: tuple[str, ...]) -> Mask:
    """The mask of a trail's keys, with one cache for all its entries."""
    return Mask(secret_keys, readable_keys)
