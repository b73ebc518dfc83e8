"""The proof of a draft: its files go up and down as any others, and lead to the models."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from dbfoundation.errors import DraftError, MigrationFailedError
from dbfoundation.migrations.verification import Verification

if TYPE_CHECKING:
    from dbfoundation.migrations.verification import ProofResult, Scratch
    from dbfoundation.schema.drift import Sides


def find_problems(scratch: Scratch, sides: Sides) -> list[str]:
    """The problems of the pending migrations: up, agrees with the models, down, as before, up.

    The scratch database has all migrations before the draft, and `sides` were read then.
    """
    try:
        Verification(_stop_at_problem).run(lambda: nullcontext(scratch))
    except (DraftError, MigrationFailedError) as error:
        return [f"{error}"]
    different = sides.read_again(scratch.engine.database).differences()
    return [difference.describe("the draft", "the models") for difference in different]


def _stop_at_problem(result: ProofResult) -> None:
    """Raise DraftError for a faulty result: the scratch database is not as it was."""
    if result.problems:
        raise DraftError("\n".join(result.problems))
