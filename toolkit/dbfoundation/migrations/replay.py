"""The replay: the applied files run without a server, because a later file uses their models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbfoundation.errors import MigrationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dbfoundation.migrations.operations import StrictMigrator
    from dbfoundation.migrations.step import Step


def replay(applied: Sequence[Step], migrator: StrictMigrator) -> None:
    """Run the applied files without a server, to learn their models."""
    for step in applied:
        if step.file is None:
            raise MigrationError(
                f"the file uses the models of {step.name}, whose file is missing.\n"
                "Fix: restore that file"
            )
        try:
            step.file.load("migrate")(migrator, migrator.database, fake=True)
        except Exception as error:  # a file may raise anything
            raise MigrationError(
                f"the file uses the models of the applied migrations, and {step.file.place} cannot "
                f"run without a database: {type(error).__name__}: {error}.\n"
                "Fix: skip in that file the statements that need rows if `fake` is true, and "
                f"`invoke migrate-accept {step.name}`"
            ) from error
