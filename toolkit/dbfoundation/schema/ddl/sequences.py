"""Sequences: of their own, of a serial column, and of an identity column."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbfoundation.schema.ddl.change import Change, Phase
from dbfoundation.schema.ddl.sides import column_name, plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbfoundation.schema.catalog import SchemaObject
    from dbfoundation.schema.ddl.sides import Side

LONGEST_NAME = 63  # bytes
SERIAL = {"smallint": "smallserial", "integer": "serial", "bigint": "bigserial"}
LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


def usual_definition(data_type: str) -> str:
    """The definition of a sequence that the server creates for a column of this type."""
    return (
        f"AS {data_type} START 1 INCREMENT 1 MINVALUE 1 MAXVALUE {LARGEST.get(data_type)} CACHE 1"
    )


def next_value(sequence: SchemaObject) -> str:
    """The default of a column that takes its value from a sequence."""
    name = sequence.name.replace("'", "''")
    return f"DEFAULT nextval('{name}'::regclass)"


def has_usual_name(sequence: SchemaObject, column: SchemaObject) -> bool:
    """Whether the server would give the sequence of this column its name."""
    usual = f"{plain(column.table or '')}_{plain(column_name(column))}_seq"
    return plain(sequence.name) == usual and len(usual.encode()) <= LONGEST_NAME


def serial_of(column: SchemaObject, side: Side) -> str | None:
    """The serial type that stands for a column and its sequence; None for any other column."""
    data_type = column.details["type"]
    owned = side.sequences_of[column.name]
    if len(owned) != 1 or data_type not in SERIAL or "identity" in column.details:
        return None
    is_usual = (
        column.details.get("default") == next_value(owned[0])
        and column.details.get("nullability") == "NOT NULL"
        and has_usual_name(owned[0], column)
        and owned[0].details["definition"] == usual_definition(data_type)
        and "sequence persistence" not in owned[0].details
    )
    return SERIAL[data_type] if is_usual else None


def identity_clause(column: SchemaObject, side: Side) -> str:
    """GENERATED … AS IDENTITY, with the sequence's options unless they are the usual ones."""
    clause = column.details["identity"]
    for sequence in side.sequences_of[column.name]:
        definition = sequence.details["definition"]
        if has_usual_name(sequence, column) and definition == usual_definition(
            column.details["type"]
        ):
            return clause
        options = definition.partition(" START ")[2]
        return f"{clause} (SEQUENCE NAME {sequence.name} START {options})"
    return clause


def create(sequence: SchemaObject) -> str:
    unlogged = "UNLOGGED " if "sequence persistence" in sequence.details else ""
    return f"CREATE {unlogged}SEQUENCE {sequence.name} {sequence.details['definition']}"


def drop(sequence: SchemaObject) -> str:
    return f"DROP SEQUENCE {sequence.name}"


def set_owner(sequence: SchemaObject) -> str:
    return f"ALTER SEQUENCE {sequence.name} {sequence.details.get('owner', 'OWNED BY NONE')}"


def add(sequence: SchemaObject, owner: SchemaObject | None) -> Iterator[Change]:
    """The changes for a sequence that no declaration of a column creates.

    `owner` is its column, if that exists already and may have values.
    """
    yield Change(Phase.CREATE_SEQUENCE, create(sequence), (drop(sequence),))
    if "owner" in sequence.details:
        yield Change(Phase.CHANGE_SEQUENCE, set_owner(sequence), (disown(sequence),))
    if owner:
        yield Change(Phase.CHANGE_SEQUENCE, continue_after(owner, sequence))


def remove(sequence: SchemaObject) -> Iterator[Change]:
    if "owner" in sequence.details:
        yield Change(Phase.RENAME, disown(sequence), (set_owner(sequence),))
    yield Change(Phase.DROP_SEQUENCE, drop(sequence), (create(sequence),))


def disown(sequence: SchemaObject) -> str:
    return f"ALTER SEQUENCE {sequence.name} OWNED BY NONE"


def continue_after(column: SchemaObject, sequence: SchemaObject) -> str:
    """The statement that lets a sequence continue after the largest value of a column."""
    name, largest = sequence.name.replace("'", "''"), f"max({column_name(column)})"
    value = f"setval('{name}', coalesce({largest}, 0) + 1, false)"
    return f"SELECT {value} FROM {column.table}"  # noqa: S608 # the server has printed the names


def changes(before: SchemaObject, after: SchemaObject) -> Iterator[Change]:
    """The changes of a sequence that both sides have."""
    definitions = [thing.details["definition"] for thing in (before, after)]
    if definitions[0] != definitions[1]:
        yield Change(
            Phase.CHANGE_SEQUENCE,
            *(
                f"ALTER SEQUENCE {after.name} {_all_options(definitions[1])}",
                (f"ALTER SEQUENCE {after.name} {_all_options(definitions[0])}",),
            ),
        )
    if before.details.get("owner") != after.details.get("owner"):
        yield Change(Phase.CHANGE_SEQUENCE, set_owner(after), (set_owner(before),))


def _all_options(definition: str) -> str:
    """The definition with NO CYCLE, which ALTER SEQUENCE would leave as it is."""
    return definition if definition.endswith(" CYCLE") else f"{definition} NO CYCLE"
