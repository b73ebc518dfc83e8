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
    key = _plain_key(table)
    return key.columns[0] if key and len(key.columns) == 1 else None


def composite_key(table: Table) -> list[str]:
    """The columns of a primary key of several that CompositeKey declares; empty without one."""
    key = _plain_key(table)
    return key.columns if key and len(key.columns) > 1 else []


def renamed_key(table: Table) -> Constraint | None:
    """The primary key that Peewee declares, where its name is not the server's own choice."""
    key = _plain_key(table)
    return key if key and key.name != default_primary_key(table.name) else None


def _plain_key(table: Table) -> Constraint | None:
    """The primary key, where it has only columns, and a name that it can get from a new one.

    The server chooses another name for a new one whose usual name another table's key has.
    """
    for key in table.constraints:
        plain = f"PRIMARY KEY ({', '.join(key.columns)})"
        # The server quotes only some of the names.
        is_plain = key.definition.replace('"', "") == plain.replace('"', "")
        if is_plain and default_primary_key(table.name) not in table.names_of_other_keys:
            return key
    return None


def is_in_table(table: Table, constraint: Constraint) -> bool:
    """Whether a constraint is one of Meta.constraints."""
    if constraint.type == "f" or constraint.definition.endswith(" NOT VALID"):
        return False
    return constraint.type != "p" or _plain_key(table) is None


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
