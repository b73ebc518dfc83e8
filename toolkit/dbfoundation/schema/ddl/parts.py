"""Constraints and indexes: added to and dropped from a table that may be in use."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dbfoundation.schema.ddl.change import Change, Phase
from dbfoundation.schema.ddl.sides import is_foreign_key
from dbfoundation.schema.recreation import qualifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbfoundation.schema.catalog import SchemaObject

KEY = re.compile(
    r"(?P<kind>PRIMARY KEY|UNIQUE)(?P<nulls> NULLS NOT DISTINCT)?"
    r"(?P<columns> \((?:[^()\"]|\"[^\"]*\")+\))(?P<include> INCLUDE \((?:[^()\"]|\"[^\"]*\")+\))?"
    r"(?P<deferral>(?: NOT)? DEFERRABLE.*)?"
)
DEFERRAL = re.compile(r"(?: NOT)? DEFERRABLE.*$")
INDEX = re.compile(r"CREATE (UNIQUE )?INDEX ")
NO_SCAN = " NOT VALID"


def clause(constraint: SchemaObject) -> str:
    """The definition of a constraint, with the storage options of its index."""
    definition, storage = constraint.details["definition"], constraint.details.get("storage")
    if not storage:
        return definition
    deferral = DEFERRAL.search(definition)
    at = deferral.start() if deferral else len(definition)
    return f"{definition[:at]} {storage}{definition[at:]}"


def add_statement(part: SchemaObject) -> str:
    """The statement that adds a constraint or an index, and scans the table while it is locked."""
    if part.kind == "index":
        return part.details["definition"]
    return f"ALTER TABLE {part.table} ADD CONSTRAINT {part.name} {clause(part)}"


def drop_statement(part: SchemaObject, *, concurrently: bool = False) -> str:
    if part.kind == "constraint":
        return f"ALTER TABLE {part.table} DROP CONSTRAINT {part.name}"
    word = "CONCURRENTLY IF EXISTS " if concurrently else ""
    return f"DROP INDEX {word}{qualifier(part.table or '')}{part.name}"


def drop(part: SchemaObject) -> Change:
    is_key = part.kind == "constraint" and is_foreign_key(part)
    phase = Phase.DROP_FOREIGN_KEY if is_key else Phase.DROP_PART
    return Change(phase, drop_statement(part), (add_statement(part),))


def add(part: SchemaObject, phase: Phase = Phase.ADD_PART, note: str = "") -> Change:
    """The plain form, for a new table, or where the server has no other one."""
    return Change(phase, add_statement(part), (drop_statement(part),), note=note)


def add_online(part: SchemaObject, *, is_partitioned: bool) -> Iterator[Change]:
    """The form that neither writers nor readers of the table wait for."""
    definition = part.details["definition"]
    if part.kind == "index":
        yield from _add_index(part) if not is_partitioned else [add(part, note=_locks(part))]
    elif definition.startswith(("CHECK", "FOREIGN KEY")):
        yield from (
            _add_validated(part)
            if _can_wait(part, is_partitioned)
            else [add(part, _plain_phase(part), _locks(part))]
        )
    elif (key := KEY.fullmatch(definition)) and not is_partitioned:
        yield from _add_key(part, key)
    else:
        yield add(part, note=_locks(part))


def _can_wait(part: SchemaObject, is_partitioned: bool) -> bool:  # noqa: FBT001 # of one caller
    return not (is_partitioned and is_foreign_key(part))


def _plain_phase(part: SchemaObject) -> Phase:
    return Phase.ADD_FOREIGN_KEY if is_foreign_key(part) else Phase.ADD_PART


def _locks(part: SchemaObject) -> str:
    return f"This locks {part.table} while it looks at each row."


def _add_index(index: SchemaObject) -> Iterator[Change]:
    drop = drop_statement(index, concurrently=True)
    yield Change(Phase.ONLINE_INDEX, _add_concurrently(index), (drop,))


def drop_index_online(index: SchemaObject) -> Change:
    """The form that neither writers nor readers of the table wait for, also when it is undone."""
    drop = drop_statement(index, concurrently=True)
    return Change(Phase.ONLINE_DROP_INDEX, drop, (_add_concurrently(index),))


def _add_concurrently(index: SchemaObject) -> str:
    return INDEX.sub(
        lambda found: f"{found[0]}CONCURRENTLY IF NOT EXISTS ", index.details["definition"], count=1
    )


def _add_validated(constraint: SchemaObject) -> Iterator[Change]:
    phase = Phase.ONLINE_FOREIGN_KEY if is_foreign_key(constraint) else Phase.ONLINE_CONSTRAINT
    is_valid = not constraint.details["definition"].endswith(NO_SCAN)
    start = f"ALTER TABLE {constraint.table}"
    drop = f"{start} DROP CONSTRAINT IF EXISTS {constraint.name}"
    definition = constraint.details["definition"] + (NO_SCAN if is_valid else "")
    yield Change(phase, f"{drop}, ADD CONSTRAINT {constraint.name} {definition}", (drop,))
    if is_valid:
        yield Change(phase, f"{start} VALIDATE CONSTRAINT {constraint.name}")


def _add_key(constraint: SchemaObject, key: re.Match[str]) -> Iterator[Change]:
    """A primary key or a unique constraint, from an index that is built concurrently."""
    table, name = constraint.table or "", constraint.name
    storage = constraint.details.get("storage")
    index = f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table}{key['columns']}"
    index += (key["include"] or "") + (key["nulls"] or "") + (f" {storage}" if storage else "")
    deferral = key["deferral"] or ""
    adopt = f"ALTER TABLE {table} ADD CONSTRAINT {name} {key['kind']} USING INDEX {name}{deferral}"
    drop = f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}"
    drop_index = f"DROP INDEX CONCURRENTLY IF EXISTS {qualifier(table)}{name}"
    yield Change(Phase.ONLINE_CONSTRAINT, drop, note="After a failure, the file runs again.")
    yield Change(Phase.ONLINE_CONSTRAINT, index, (drop_index,))
    yield Change(Phase.ONLINE_CONSTRAINT, adopt, (drop,))
