"""Indexes, constraints and sequences that the database has under another name than the models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbfoundation.schema.comparison import Difference, key_of
from dbfoundation.schema.recreation import qualifier
from dbfoundation.schema.spelling import parse_again

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peewee import PostgresqlDatabase

    from dbfoundation.schema.catalog import SchemaObject

    Objects = list[SchemaObject]
    Pair = tuple[SchemaObject, SchemaObject]
    Signature = tuple[str | None, str, tuple[tuple[str, str], ...]]


def take_renamed(
    database: PostgresqlDatabase, live: Objects, wanted: Objects, path: Sequence[str]
) -> tuple[list[Pair], Objects]:
    """The pairs of objects that differ in their name alone; the live side with the new names."""
    lives, others = _only_in(live, wanted), _only_in(wanted, live)
    if not lives or not others:
        return [], live
    by_signature = _by_signature(database, live, lives, path)
    others_by_signature = _by_signature(database, wanted, others, path)
    both = sorted(by_signature.keys() & others_by_signature.keys())
    pairs = [(by_signature[signature], others_by_signature[signature]) for signature in both]
    under_models_name = {key_of(thing): other for thing, other in pairs}
    names = {t.name: other.name for t, other in pairs if t.kind == "sequence"}
    live = [under_models_name.get(key_of(thing), thing) for thing in live]
    return pairs, [_with_sequences(thing, names) for thing in live]


def _only_in(side: Objects, other: Objects) -> Objects:
    """The named parts of a side's tables that the other side's table has not by this name."""
    names = {key_of(thing) for thing in other}
    tables = {thing.name for thing in other if thing.kind == "table"}
    return [
        thing
        for thing in side
        if thing.kind in ("index", "constraint", "sequence") and thing.table in tables
        if key_of(thing) not in names
    ]


def _by_signature(
    database: PostgresqlDatabase, side: Objects, chosen: Objects, path: Sequence[str]
) -> dict[Signature, SchemaObject]:
    """The chosen objects by everything except their names, as the server parses it."""
    parsed = parse_again(database, side, {key_of(thing) for thing in chosen}, path)
    # Of two that are alike, the first by name counts.
    return {_signature(parsed.get(key_of(thing), thing)): thing for thing in reversed(chosen)}


def _signature(thing: SchemaObject) -> Signature:
    details = thing.details | {
        "definition": thing.details["definition"].replace(f" INDEX {thing.name} ON", " INDEX ON", 1)
    }
    return thing.table, thing.kind, tuple(sorted(details.items()))


def _with_sequences(thing: SchemaObject, names: Mapping[str, str]) -> SchemaObject:
    """A column with the models' name of the sequence in its default."""
    default = thing.details.get("default", "")
    for name, other in names.items():
        default = default.replace(f"nextval('{name}'::regclass)", f"nextval('{other}'::regclass)")
    return replace(thing, details=thing.details | {"default": default}) if default else thing


def rename_difference(thing: SchemaObject, other: SchemaObject) -> Difference:
    name = "" if thing.kind == "sequence" else ", or give the model this name with name="
    return Difference(
        f"{thing.table}, the same {thing.kind} under another name",
        thing.name,
        other.name,
        fix=f"{rename_statement(thing, other)}{name}",
    )


def rename_statement(thing: SchemaObject, other: SchemaObject) -> str:
    """The statement that gives an object the name of another one."""
    if thing.kind == "constraint":
        return f"ALTER TABLE {thing.table} RENAME CONSTRAINT {thing.name} TO {other.name}"
    if thing.kind == "index":
        schema = qualifier(thing.table or "")
        return f"ALTER INDEX {schema}{thing.name} RENAME TO {other.name}"
    new = other.name.removeprefix(qualifier(other.name))  # the name of a sequence is qualified
    return f"ALTER SEQUENCE {thing.name} RENAME TO {new}"
