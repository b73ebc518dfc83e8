"""The entries of a dump by kind, counted from pg_dump's output alone, and a listing's by the same.

`pg_restore -l` lists every object of a dump. Columns and the CHECKs of a new table are in the text
of CREATE TABLE only, where each has a line of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dbfoundation.schema.catalog import SchemaObject

ENTRY = re.compile(r"\d+; \d+ \d+ ([A-Z]+(?: [A-Z]+)*) \S+ (.*)")
# Our name of an entry, where it is not the entry's own in small letters.
KINDS = {
    "AGGREGATE": "function",
    "CHECK CONSTRAINT": "constraint",
    "DOMAIN": "type",
    "FK CONSTRAINT": "constraint",
    "FOREIGN TABLE": "table",
    "MATERIALIZED VIEW": "view",
    "PROCEDURAL LANGUAGE": "language",
    "PROCEDURE": "function",
    "SEQUENCE OWNED BY": "sequence's owner",
    "TABLE ATTACH": "partition",
}
# The entries that a listing does not have as such.
NOT_COUNTED = {
    "ACL": "privileges belong to a server's roles",
    "DEFAULT": "a default is a detail of its column",
    "DEFAULT ACL": "privileges belong to a server's roles",
    "INDEX ATTACH": "a partition's index is a detail of the index",
    "PUBLICATION TABLE": "a publication's tables are details of it",
    "PUBLICATION TABLES IN SCHEMA": "the same",
    "SHELL TYPE": "a type has another entry",
}
# An extension's comment comes from its author, a new database has the schema public.
NOT_OURS = re.compile("EXTENSION |SCHEMA public ")
TABLE_TEXT = re.compile(
    r"^CREATE (?:UNLOGGED |FOREIGN )?TABLE [^\n]+ \(\n(.*?)^\)", re.MULTILINE | re.DOTALL
)
TABLE_LINE = re.compile(r'^    (CONSTRAINT )?(?:"(?:[^"]|"")+"|\w+) (CHECK)?', re.MULTILINE)


def count_dump(contents: str, text: str) -> Counter[str]:
    """The objects of a dump by our kinds."""
    counts: Counter[str] = Counter()
    for kind, tag in ENTRY.findall(contents):
        if kind not in NOT_COUNTED and not (kind == "COMMENT" and NOT_OURS.match(tag)):
            counts[KINDS.get(kind, kind.lower())] += 1
    for body in TABLE_TEXT.findall(text):
        for constraint, is_check in TABLE_LINE.findall(body):
            if constraint and is_check:
                counts["constraint"] += 1
            elif not constraint:
                counts["column"] += 1
    return counts


def count_listing(objects: Iterable[SchemaObject]) -> Counter[str]:
    """The objects of a listing, without those that a dump takes from elsewhere.

    A new database has the schema public and the language plpgsql. A partition has its parent's
    foreign keys, and a view its query's columns.
    """
    listing = [
        thing
        for thing in objects
        if (thing.kind, thing.name) not in {("schema", "public"), ("extension", "plpgsql")}
    ]
    views = {thing.name for thing in listing if thing.kind == "view"}
    partitions = {thing.name for thing in listing if _is_partition(thing)}
    identities = {thing.name for thing in listing if "identity" in thing.details}
    counts: Counter[str] = Counter(partition=len(partitions))
    for thing in listing:
        is_key = thing.details.get("definition", "").startswith("FOREIGN KEY")
        is_column_of_view = thing.kind == "column" and thing.table in views
        counts[thing.kind] += not (is_column_of_view or (is_key and thing.table in partitions))
        counts["comment"] += "comment" in thing.details
        counts["row security"] += "row security" in thing.details
        owner = thing.details.get("owner", "").removeprefix("OWNED BY ")
        counts["sequence's owner"] += bool(owner) and owner not in identities
    return +counts


def _is_partition(thing: SchemaObject) -> bool:
    return thing.details.get("parents", "").startswith("PARTITION OF")
