"""One try of one function of a migration file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbfoundation.migrations.files import MigrationFile
    from dbfoundation.migrations.lock_watcher import LockWatcher
    from dbfoundation.migrations.statements import Recorder


@dataclass
class Attempt:
    """One run of one function of a file.

    `record` changes the history at its end, and returns the number of the transaction in which it
    did so. `transaction` is the number of the step's own transaction, and `server_start` identifies
    the server that has it. `error` is the first one: what follows it, such as a rollback without a
    connection, may fail, too.
    """

    file: MigrationFile
    function: str
    record: Callable[[], str]
    recorder: Recorder
    watcher: LockWatcher | None = None
    transaction: str | None = None
    server_start: str = ""
    invalid_before: set[str] = field(default_factory=set)
    error: BaseException | None = None
    is_undone: bool = False
    is_recording: bool = False
    is_recorded: bool = False
