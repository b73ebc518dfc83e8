"""The changes between a database and the models, with renamed tables and columns.

A renaming is executed in a transaction that is rolled back, so that the server itself rewrites the
definitions that have the old name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peewee import DatabaseError

from dbfoundation.errors import PlanError
from dbfoundation.runtime.server_errors import server_message
from dbfoundation.schema.ddl.candidates import find_candidates, gone_names
from dbfoundation.schema.ddl.change import Change, Phase
from dbfoundation.schema.ddl.facts import read_facts
from dbfoundation.schema.ddl.plan import plan
from dbfoundation.schema.ddl.sides import quote
from dbfoundation.schema.scratch import execute_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from peewee import PostgresqlDatabase

    from dbfoundation.schema.ddl.candidates import Candidate
    from dbfoundation.schema.drift import Sides

STILL_USED = "The release before this one uses the old name until it is replaced."


@dataclass
class Answers:
    """The old names with their new ones, and the names that are dropped with their data."""

    renamed: dict[str, str] = field(default_factory=dict)
    dropped: set[str] = field(default_factory=set)

    @classmethod
    def parse(cls, rename: Iterable[str], drop: Iterable[str]) -> Answers:
        """The answers of --rename users.mail=email and --drop users.mail; raises PlanError."""
        answers = cls({}, {*drop})
        for text in rename:
            old, equals, new = text.partition("=")
            if not (old and equals and new) or "." in new:
                raise PlanError(
                    f"--rename {text}: write the old name and the new one without its table, as in "
                    "users.mail=email, or users=members for a table"
                )
            answers.renamed[old] = new
        return answers


def changes_of(
    database: PostgresqlDatabase,
    sides: Sides,
    answers: Answers,
    ask: Callable[[Candidate], str | None],
) -> list[Change]:
    """The changes from the database to the models, of which `sides` were read.

    `ask` returns the new name for a candidate without an answer, or None if it is dropped. Raises
    PlanError for an answer that fits nothing.
    """
    with database.atomic() as transaction:
        renames = []
        unused = ({*answers.renamed} | answers.dropped) - gone_names(sides)
        while candidate := _first_open(sides, answers):
            new = answers.renamed.get(candidate.old) or ask(candidate)
            if new is None:
                answers.dropped.add(candidate.old)
                continue
            renames.append(_rename(candidate, new))
            _execute(database, renames[-1])
            sides = sides.read_again(database)
        facts = read_facts(database, sides)
        changes = plan(sides.live, sides.wanted, sides.renamed, facts)
        transaction.rollback()
    if unused:
        raise PlanError(
            f"{', '.join(sorted(unused))}: no column and no table of this name disappears.\n"
            "Fix: correct the name in --rename or --drop"
        )
    return [*renames, *changes]


def _first_open(sides: Sides, answers: Answers) -> Candidate | None:
    """The first candidate that is not dropped."""
    candidates = (it for it in find_candidates(sides) if it.old not in answers.dropped)
    return next(candidates, None)


def _rename(candidate: Candidate, new: str) -> Change:
    table, _, column = candidate.old.rpartition(".")
    if candidate.kind == "table":
        old_table, new_table = (_quoted(name) for name in (candidate.old, new))
        schema = f"{_quoted(table)}." if table else ""
        return Change(
            Phase.RENAME,
            f"ALTER TABLE {old_table} RENAME TO {quote(new)}",
            (f"ALTER TABLE {schema}{new_table} RENAME TO {quote(column)}",),
            note=STILL_USED,
        )
    names = (quote(column), quote(new))
    return Change(
        Phase.RENAME,
        f"ALTER TABLE {_quoted(table)} RENAME COLUMN {names[0]} TO {names[1]}",
        (f"ALTER TABLE {_quoted(table)} RENAME COLUMN {names[1]} TO {names[0]}",),
        note=STILL_USED,
    )


def _quoted(name: str) -> str:
    return ".".join(quote(part) for part in name.split("."))


def _execute(database: PostgresqlDatabase, change: Change) -> None:
    try:
        execute_text(database, change.sql)
    except DatabaseError as error:
        raise PlanError(f"{change.sql}: {server_message(error) or error}") from error
