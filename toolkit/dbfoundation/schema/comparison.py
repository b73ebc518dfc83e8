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

    `missing` is the kind of an object that one side lacks as a whole; the other side's text is then
    its definition. `fix` is the statement that removes the difference, where one is known.
    """

    subject: str
    left: str | None
    right: str | None
    missing: str | None = None
    fix: str | None = None

    def describe(self, left_name: str, right_name: str) -> str:
        """The difference as a sentence on one line; the names are those of the sides."""
        if self.missing:
            owner = left_name if self.right is None else right_name
            return one_line(f"{self.subject}: only {owner} has this {self.missing}")
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
        for difference in (
            _differences(left_objects[key], right_objects[key])
            if key in left_objects and key in right_objects
            else [_missing(key, left_objects, right_objects)]
        )
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


def _missing(
    key: Key, left: Mapping[Key, SchemaObject], right: Mapping[Key, SchemaObject]
) -> Difference:
    """The difference for an object that one side lacks."""
    own = left if key in left else right
    thing = own[key]
    columns = (t for t in own.values() if t.kind == "column" and t.table == thing.name)
    parts = ", ".join(
        " ".join([t.name.removeprefix(f"{thing.name}."), *t.details.values()]) for t in columns
    )
    words = [f"({parts})" if parts else "", *thing.details.values(), thing.source or ""]
    text = " ".join(filter(None, words)) or f"this {thing.kind}"
    left_text, right_text = (text if key in side else None for side in (left, right))
    return Difference(thing.subject, left_text, right_text, missing=thing.kind)


def _differences(left: SchemaObject, right: SchemaObject) -> Iterator[Difference]:
    for name in sorted(left.details.keys() | right.details.keys()):
        texts = left.details.get(name), right.details.get(name)
        if texts[0] != texts[1]:
            yield Difference(left.subject, *texts)
    if left.source != right.source:
        yield Difference(left.subject, left.source, right.source)
