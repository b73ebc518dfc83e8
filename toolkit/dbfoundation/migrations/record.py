"""The records of applied migrations, as a run and a stamp write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbfoundation.migrations.files import MigrationFile
    from dbfoundation.migrations.history import History


def record_applied(history: History, file: MigrationFile) -> str:
    """Record a file as applied now; returns the number of the transaction."""
    return history.add(file.name, file.checksum, file.code_checksum)
