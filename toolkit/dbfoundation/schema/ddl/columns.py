"""The columns of a table: declared, added, dropped and changed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from dbfoundation.schema.ddl import sequences
from dbfoundation.schema.ddl.change import Change, Phase
from dbfoundation.schema.ddl.sides import column_name, plain, quote
from dbfoundation.schema.ddl.types import Cast, is_narrower, placeholder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dbfoundation.schema.catalog import SchemaObject
    from dbfoundation.schema.ddl.sides import Side

NOT_NULL = "NOT NULL"


def declaration(column: SchemaObject, side: Side, changes: Mapping[str, str] | None = None) -> str:
    """A column as CREATE TABLE and ADD COLUMN declare it; `changes` replace some of its details."""
    details = {**column.details, **(changes or {})}
    words = [column_name(column)]
    serial = sequences.serial_of(column, side)
    if serial and not changes:
        return " ".join([*words, serial, NOT_NULL])
    words += [details["type"], details.get("compression", ""), details.get("collation", "")]
    words += [details.get("nullability", ""), details.get("default", "")]
    words += [details.get("generation", "")]
    if "identity" in details:
        words.append(sequences.identity_clause(column, side))
    return " ".join(filter(None, words))


def add(column: SchemaObject, side: Side, constant: str | None) -> Iterator[Change]:
    """The changes that add a column to a table that may have rows.

    `constant` is the default of the model's field. The server keeps it: the release before still
    inserts rows without this column.
    """
    table, name, details = column.table, column_name(column), column.details
    drop = (f"ALTER TABLE {table} DROP COLUMN {name}",)
    start = f"ALTER TABLE {table} ADD COLUMN"
    phase = Phase.ADD_GENERATED if "generation" in details else Phase.ADD_COLUMN
    has_value = {"default", "generation", "identity"} & details.keys()
    if has_value or details.get("nullability") != NOT_NULL:
        yield Change(phase, f"{start} {declaration(column, side)}", drop, note=_rewrite(column))
    elif constant is not None:
        text = declaration(column, side, {"default": f"DEFAULT {constant}"})
        yield Change(phase, f"{start} {text}", drop)
    else:
        text = declaration(column, side, {"nullability": ""})
        yield Change(phase, f"{start} {text}", drop)
        yield from set_not_null(column, f"set {column.name} in each row")


def drop(column: SchemaObject, side: Side) -> Change:
    """The change that drops a column with its values."""
    table, name, details = column.table, column_name(column), column.details
    is_generated = "generation" in details
    undo = [f"ALTER TABLE {table} ADD COLUMN {declaration(column, side)}"]
    lost = "" if is_generated else f"the values of {column.name}"
    has_value = {"default", "generation", "identity"} & details.keys()
    if details.get("nullability") == NOT_NULL and not has_value:
        value = placeholder(details["type"])
        if value:
            filled = declaration(column, side, {"default": f"DEFAULT {value}"})
            undo = [
                f"ALTER TABLE {table} ADD COLUMN {filled}",
                f"ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT",
            ]
            lost += f", which are {value} afterwards"
    phase = Phase.DROP_GENERATED if is_generated else Phase.DROP_COLUMN
    return Change(phase, f"ALTER TABLE {table} DROP COLUMN {name}", tuple(undo), lost=lost)


def may_stay(before: SchemaObject, after: SchemaObject) -> bool:
    """Whether a column that is generated no more has values of its own."""
    return before.details.get("generation", "").endswith(" STORED") and (
        "generation" not in after.details
    )


def stop_generating(before: SchemaObject, dropped: Change) -> tuple[SchemaObject, Change]:
    """The column as a plain one, and the change; `dropped` is the change that drops the column."""
    details = {name: text for name, text in before.details.items() if name != "generation"}
    statement = f"ALTER TABLE {before.table} ALTER COLUMN {column_name(before)} DROP EXPRESSION"
    change = Change(Phase.DROP_GENERATED, statement, (dropped.sql, *dropped.undo))
    return replace(before, details=details), change


def set_not_null(column: SchemaObject, todo: str = "") -> Iterator[Change]:
    """NOT NULL for a column of a table in use: a check is validated first, without a long lock."""
    table, name = column.table, column_name(column)
    check = quote(f"{plain(name)[:40]}_is_not_null")
    alter = f"ALTER TABLE {table}"
    phase = Phase.ONLINE_NOT_NULL
    drop_check = f"DROP CONSTRAINT IF EXISTS {check}"
    add_check = f"ADD CONSTRAINT {check} CHECK ({name} IS NOT NULL) NOT VALID"
    yield Change(phase, f"{alter} {drop_check}, {add_check}", todo=todo)
    yield Change(phase, f"{alter} VALIDATE CONSTRAINT {check}")
    yield Change(
        phase,
        f"{alter} ALTER COLUMN {name} SET NOT NULL",
        (f"{alter} ALTER COLUMN {name} DROP NOT NULL",),
    )
    yield Change(phase, f"{alter} {drop_check}")


def change(
    before: SchemaObject,
    after: SchemaObject,
    source: Side,
    target: Side,
    casts: Callable[[str, str], Cast],
) -> Iterator[Change]:
    """The changes of a column that both sides have, except those of a generated one."""
    name = column_name(after)
    alter = f"ALTER TABLE {after.table} ALTER COLUMN {name}"
    old, new = before.details, after.details
    is_retyped = any(old.get(key) != new.get(key) for key in ("type", "collation"))
    defaults = [details.get("default") for details in (old, new)]
    if defaults[0] and (is_retyped or defaults[0] != defaults[1]):
        yield Change(Phase.CHANGE_COLUMN, f"{alter} DROP DEFAULT", (f"{alter} SET {defaults[0]}",))
    yield from _drop_identity(before, after, source, target)
    if is_retyped:
        yield _retype(before, after, casts)
    if old.get("compression") != new.get("compression"):
        words = [
            details.get("compression", "COMPRESSION default").replace("COMPRESSION ", "")
            for details in (old, new)
        ]
        set_to = f"{alter} SET COMPRESSION"
        yield Change(Phase.CHANGE_COLUMN, f"{set_to} {words[1]}", (f"{set_to} {words[0]}",))
    if defaults[1] and (is_retyped or defaults[0] != defaults[1]):
        yield Change(Phase.CHANGE_COLUMN, f"{alter} SET {defaults[1]}", (f"{alter} DROP DEFAULT",))
    yield from _change_nullability(before, after)
    yield from _add_identity(before, after, source, target)


def _drop_identity(
    before: SchemaObject, after: SchemaObject, source: Side, target: Side
) -> Iterator[Change]:
    """An identity becomes a plain column, or one with a sequence of its own."""
    alter = f"ALTER TABLE {after.table} ALTER COLUMN {column_name(after)}"
    if "identity" not in before.details or "identity" in after.details:
        return
    undo = [f"{alter} ADD {sequences.identity_clause(before, source)}"]
    undo += [sequences.continue_after(before, it) for it in source.sequences_of[before.name]]
    yield Change(Phase.CHANGE_COLUMN, f"{alter} DROP IDENTITY", tuple(undo))
    for sequence in target.sequences_of[after.name]:
        for change in sequences.add(sequence, after):
            yield replace(change, phase=Phase.CHANGE_COLUMN)


def _add_identity(
    before: SchemaObject, after: SchemaObject, source: Side, target: Side
) -> Iterator[Change]:
    """A column becomes an identity, or another one; it was NOT NULL, or is by then."""
    alter = f"ALTER TABLE {after.table} ALTER COLUMN {column_name(after)}"
    old, new = before.details.get("identity"), after.details.get("identity")
    if not new or old == new:
        return
    if old:
        forms = [text.removesuffix(" AS IDENTITY") for text in (old, new)]
        yield Change(Phase.CHANGE_COLUMN, f"{alter} SET {forms[1]}", (f"{alter} SET {forms[0]}",))
        return
    is_nullable = before.details.get("nullability") != NOT_NULL
    phase = Phase.ONLINE_IDENTITY if is_nullable else Phase.CHANGE_SEQUENCE
    for sequence in source.sequences_of[before.name]:
        restored = (sequences.create(sequence), sequences.set_owner(sequence))
        continued = sequences.continue_after(before, sequence)
        yield Change(phase, f"{sequences.drop(sequence)}", (*restored, continued))
    clause = sequences.identity_clause(after, target)
    add_it = f"ALTER COLUMN {column_name(after)} ADD {clause}"
    drop_it = f"{alter} DROP IDENTITY IF EXISTS"
    yield Change(phase, f"{drop_it}, {add_it}", (drop_it,))
    for sequence in target.sequences_of[after.name]:
        yield Change(phase, sequences.continue_after(after, sequence))


def _change_nullability(before: SchemaObject, after: SchemaObject) -> Iterator[Change]:
    alter = f"ALTER TABLE {after.table} ALTER COLUMN {column_name(after)}"
    states = [thing.details.get("nullability") for thing in (before, after)]
    if states[0] != states[1] == NOT_NULL:
        yield from set_not_null(after, f"set {after.name} where it is NULL")
    elif states[0] == NOT_NULL and not states[1]:
        yield Change(
            Phase.CHANGE_COLUMN,
            f"{alter} DROP NOT NULL",
            (f"{alter} SET NOT NULL",),
            note="The rollback fails if a row has NULL by then.",
        )


def _retype(before: SchemaObject, after: SchemaObject, casts: Callable[[str, str], Cast]) -> Change:
    old, new = before.details["type"], after.details["type"]
    there, back = casts(old, new), casts(new, old)
    todo = ""
    if there != Cast.ASSIGNMENT:
        todo = f"check that each {after.name} can be read as {new}"
    elif is_narrower(old, new):
        todo = f"shorten each {after.name} that does not fit into {new}"
    notes = [] if _keeps_rows(old, new) else ["This may rewrite the table while it is locked."]
    if back != Cast.ASSIGNMENT or is_narrower(new, old):
        notes.append(f"The rollback shortens a value that does not fit into {old}, or fails.")
    return Change(
        Phase.CHANGE_COLUMN,
        _set_type(after, there),
        (_set_type(before, back),),
        note=" ".join(notes),
        lost=f"the values of {before.name} that do not fit into {new}" if todo else "",
        todo=todo,
    )


def _set_type(column: SchemaObject, cast: Cast) -> str:
    """The statement for the type and collation of a column."""
    name, details = column_name(column), column.details
    words = [f"ALTER TABLE {column.table} ALTER COLUMN {name} TYPE {details['type']}"]
    words += [details["collation"]] if "collation" in details else []
    if cast != Cast.ASSIGNMENT:
        as_text = "::text" if cast == Cast.TEXT else ""
        words.append(f"USING {name}{as_text}::{details['type']}")
    return " ".join(words)


def _keeps_rows(old: str, new: str) -> bool:
    """Whether the server changes the type without a look at the rows."""
    strings = ("character varying", "text")
    return old.startswith(strings) and new.startswith(strings) and not is_narrower(old, new)


def _rewrite(column: SchemaObject) -> str:
    """A note for a column whose values are computed for each row."""
    details = column.details
    is_computed = "generation" in details or "identity" in details
    is_computed = is_computed or "nextval(" in details.get("default", "")
    return "This rewrites the table while it is locked." if is_computed else ""
