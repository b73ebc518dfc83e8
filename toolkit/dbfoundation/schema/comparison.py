"""The differences between two schemas, object by object; the order of columns does not count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dbfoundation.schema.catalog import KINDS, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from dbfoundation.schema.catalog import SchemaObject

    Key = tuple[str, int, str]


@dataclass(frozen=True)
class Difference:
    """A property of an object on the left and on the right side; None where a side lacks it.

    `fix` is the statement that removes the difference, where one is known.
    """

    subject: str
    left: str | None
    right: str | None
    fix: str | None = None

    def describe(self, left_name: str, right_name: str) -> str:
        """The difference as a sentence on one line; the names are those of the sides."""
        left, right = (one_line(text or "") for text in (self.left, self.right))
        if left == right:  # only the line breaks differ
            left, right = repr(self.left), repr(self.right)
        if self.left and self.right:
            sentence = f"{left_name} has {left}, {right_name} {right}"
        else:
            sentence = f"only {left_name if self.left else right_name} has {left or right}"
        fix = f". Fix: {self.fix}" if self.fix else ""
        return one_line(f"{self.subject}: {sentence}{fix}")


def compare(left: Iterable[SchemaObject], right: Iterable[SchemaObject]) -> list[Difference]:
    """The differences of two schemas; the parts of a missing table are not listed."""
    left_objects, right_objects = _by_key(left), _by_key(right)
    missing = {name for _, name in _tables(left_objects) ^ _tables(right_objects)}
    return [
        difference
        for key, thing in sorted((left_objects | right_objects).items())
        if thing.table not in missing
        for difference in _differences(left_objects.get(key), right_objects.get(key))
    ]


def _by_key(objects: Iterable[SchemaObject]) -> dict[Key, SchemaObject]:
    return {key_of(thing): thing for thing in objects}


def key_of(thing: SchemaObject) -> Key:
    """Table, kind and name; a sequence has no table here, because its owner may differ."""
    first = thing.name if thing.kind == "sequence" else thing.table or thing.name
    return first, KINDS.index(thing.kind), thing.name


def _tables(objects: Mapping[Key, SchemaObject]) -> set[tuple[str, str]]:
    return {
        (thing.kind, thing.name) for thing in objects.values() if thing.kind in ("table", "view")
    }


def _differences(left: SchemaObject | None, right: SchemaObject | None) -> Iterator[Difference]:
    if left is None or right is None:
        thing = left or right
        assert thing  # noqa: S101 # each key comes from one of the two sides
        text = f"this {thing.kind}"
        yield Difference(thing.subject, text if left else None, text if right else None)
        return
    for name in sorted(left.details.keys() | right.details.keys()):
        texts = left.details.get(name), right.details.get(name)
        if texts[0] != texts[1]:
            yield Difference(left.subject, *texts)
    if left.source != right.source:
        yield Difference(left.subject, left.source, right.source)
