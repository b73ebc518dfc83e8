"""One try of one function of a migration file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbfoundation.migrations.files import MigrationFile
    from dbfoundation.migrations.lock_watcher import LockWatcher
    from dbfoundation.migrations.statements import Statement


@dataclass
class Attempt:
    """One run of one function of a file; `record` changes the history at its end."""

    file: MigrationFile
    function: str
    record: Callable[[], None]
    watcher: LockWatcher | None = None
    statements: list[Statement] = field(default_factory=list)
    invalid_before: set[str] = field(default_factory=set)
    is_recording: bool = False
