"""Constraints as text: the primary keys and foreign keys that a field declares, and the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from dbfoundation.schema.model_source.names import default_primary_key, quote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbfoundation.schema.model_source.tables import Constraint, Table

# The end of a foreign key's definition, with only the words that ForeignKeyField can have.
ACTIONS = re.compile(
    r"(?: ON UPDATE (?P<on_update>[A-Z ]+?))?(?: ON DELETE (?P<on_delete>[A-Z ]+?))?"
    r"(?P<deferrable> DEFERRABLE)?(?: (?P<initially>INITIALLY DEFERRED))?"
)


def definition(constraint: Constraint) -> str:
    return f"CONSTRAINT {quote(constraint.name)} {constraint.definition}"


def primary_key(table: Table) -> str | None:
    """The column of a primary key that a field can declare."""
    for constraint in table.constraints:
        if constraint.type == "p" and len(constraint.columns) == 1:
            (column,) = constraint.columns
            plain = {f"PRIMARY KEY ({name})" for name in (column, quote(column))}
            if constraint.name == default_primary_key(table.name) and (
                constraint.definition in plain
            ):
                return column
    return None


def composite_key(table: Table) -> list[str]:
    """The columns of a primary key of several that CompositeKey declares; empty without one."""
    for key in table.constraints:
        if key.type != "p" or len(key.columns) == 1 or key.storage:
            continue
        listed = ", ".join(key.columns), ", ".join(map(quote, key.columns))
        is_plain = key.definition in {f"PRIMARY KEY ({names})" for names in listed}
        return key.columns if is_plain and key.name == default_primary_key(table.name) else []
    return []


def is_in_table(table: Table, constraint: Constraint) -> bool:
    """Whether a constraint is one of Meta.constraints."""
    if constraint.type == "f" or constraint.definition.endswith(" NOT VALID"):
        return False
    return constraint.type != "p" or primary_key(table) is None


def simple_keys(table: Table) -> dict[str, Constraint]:
    """The foreign keys that a ForeignKeyField can declare, by their column.

    A column with several has the last one; the others are constraints.
    """
    return {
        key.columns[0]: key
        for key in table.constraints
        if key.type == "f"
        and len(key.columns) == 1
        and ACTIONS.fullmatch(end_of(key))
        and (key.target != table.oid or _is_in_create_table(table, key))
    }


def _is_in_create_table(table: Table, key: Constraint) -> bool:
    """Whether CREATE TABLE can have a key to its own table, where no unique index exists yet.

    A column that refers to its own table has no type of its own for Peewee, which would look for
    that in a circle.
    """
    of_target = [it for it in table.constraints if it.columns == key.target_columns]
    is_unique = any(it.type in ("p", "u") for it in of_target)
    return is_unique and not any(it.target == table.oid for it in of_target)


def actions(key: Constraint) -> Iterator[str]:
    """The options of a ForeignKeyField for the end of its definition."""
    found = ACTIONS.fullmatch(end_of(key))
    assert found  # noqa: S101 # the key is one of simple_keys()
    for name in ("on_delete", "on_update"):
        if found[name]:
            yield f'{name}="{found[name]}"'
    if found["deferrable"]:
        yield f'deferrable="{found["initially"] or "INITIALLY IMMEDIATE"}"'


def end_of(key: Constraint) -> str:
    """The definition of a foreign key after the columns that it refers to."""
    names = [re.escape(text) for name in key.target_columns for text in (quote(name), name)]
    _, _, rest = key.definition.partition(" REFERENCES ")
    found = re.search(rf"\((?:{'|'.join(names)}|, )+\)", rest)
    return rest[found.end() :] if found else f" {rest}"
