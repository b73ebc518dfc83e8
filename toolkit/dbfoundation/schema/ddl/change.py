"""One change of a schema: a statement, and the statements that undo it.

Undoing a list of changes in reverse passes through the same states as making it, so that each
statement finds what it needs in either direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, auto


class Phase(IntEnum):
    """The order of the changes.

    Everything from ONLINE on scans a table that may have rows and readers, and so runs outside of a
    transaction, after all others.
    """

    RENAME = auto()
    CREATE_SCHEMA = auto()
    DROP_FOREIGN_KEY = auto()
    DROP_PART = auto()
    DROP_TABLE_EARLY = auto()  # its indexes have the names of new ones
    CREATE_SEQUENCE = auto()
    CREATE_TABLE = auto()
    CHANGE_TABLE = auto()
    DROP_GENERATED = auto()
    CHANGE_COLUMN = auto()
    ADD_COLUMN = auto()
    ADD_GENERATED = auto()
    CHANGE_SEQUENCE = auto()
    ADD_PART = auto()  # to a new table, or without an online form
    ADD_FOREIGN_KEY = auto()
    DROP_COLUMN = auto()
    DROP_TABLE = auto()
    DROP_SEQUENCE = auto()
    ONLINE_NOT_NULL = auto()
    ONLINE_IDENTITY = auto()
    ONLINE_INDEX = auto()
    ONLINE_CONSTRAINT = auto()
    ONLINE_FOREIGN_KEY = auto()
    ONLINE_DROP_INDEX = auto()  # after the one that replaces it


ONLINE = Phase.ONLINE_NOT_NULL


@dataclass(frozen=True)
class Change:
    """A statement with its place in the order.

    `undo` has the statements that undo it, in their order. `note` is for the reader of the file.
    `lost` names the data that neither the statement nor its undoing can bring back. `todo` is a
    place in front of the statement that a person must fill in.
    """

    phase: Phase
    sql: str
    undo: tuple[str, ...] = ()
    note: str = ""
    lost: str = ""
    todo: str = ""

    @property
    def is_online(self) -> bool:
        return self.phase >= ONLINE
