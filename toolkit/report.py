"""What the tasks tell, as lines of text and as values for JSON; prints nothing.

Times are in milliseconds, and an address never has its password.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from toolkit.catalog import Difference, Fact
    from toolkit.engine import Done, Rehearsed
    from toolkit.plan import Step
    from toolkit.settings import Settings
    from toolkit.verification import Verdict


def step(done: Done) -> str:
    return f"{done.verb} {done.name}  {_milliseconds(done.seconds)}"


def total(done: Sequence[Done], seconds: float, settings: Settings) -> str:
    verbs = Counter(step.verb for step in done)
    counts = ", ".join(f"{count} {verb}" for verb, count in verbs.items())
    return f"{counts} in {_milliseconds(seconds)}: {settings.url}"


def rehearsal(rehearsed: Sequence[Rehearsed], settings: Settings) -> Iterator[str]:
    for step in rehearsed:
        yield f"-- {step.name}"
        if step.statements is None:
            yield "-- not tried: it runs outside of a transaction (atomic = False)"
        for statement in step.statements or ():
            yield _ended(statement.strip().rstrip(";"))
    yield f"-- dry run, nothing was changed: {settings.url}"


def status(steps: Sequence[Step], settings: Settings) -> Iterator[str]:
    for step in steps:
        yield f"{_when(step.applied_at)}  {step.name}"
    yield from _problems(steps)
    applied = sum(step.applied for step in steps)
    yield f"{applied} applied, {len(steps) - applied} pending on {settings.url}"


def status_json(steps: Sequence[Step], settings: Settings) -> dict[str, Any]:
    migrations = [
        {
            "name": step.name,
            "state": "applied" if step.applied else "pending",
            "applied_at": step.applied_at.isoformat() if step.applied_at else None,
            "problem": step.problem_kind,
        }
        for step in steps
    ]
    return {"database": f"{settings.url}", "migrations": migrations}


def check(
    steps: Sequence[Step],
    differences: Sequence[Difference],
    obstacle: str | None,
    settings: Settings,
) -> Iterator[str]:
    pending = [step for step in steps if not step.applied]
    problems = [step for step in steps if step.problem]
    for step in pending:
        yield f"pending: {step.name}"
    yield from _problems(steps)
    for difference in differences:
        yield difference.said("the database", "the model")
    if obstacle:
        yield f"not compared: {obstacle}"
    found = {"pending": pending, "with a problem": problems, "different": differences}
    counts = ", ".join(f"{len(things)} {name}" for name, things in found.items() if things)
    yield f"{counts or 'the models and the database agree'}: {settings.url}"


def check_json(
    steps: Sequence[Step],
    differences: Sequence[Difference],
    obstacle: str | None,
    settings: Settings,
) -> dict[str, Any]:
    return {
        "database": f"{settings.url}",
        "pending": [step.name for step in steps if not step.applied],
        "problems": [{"name": s.name, "problem": s.problem} for s in steps if s.problem],
        "differences": [
            {"subject": d.subject, "database": d.here, "model": d.there} for d in differences
        ],
        "error": obstacle,
    }


def verdict(verdict: Verdict) -> Iterator[str]:
    word = "irreversible" if verdict.irreversible else "faulty" if verdict.faults else "verified"
    yield f"{word} {verdict.name}  {_milliseconds(verdict.seconds)}"
    for fault in verdict.faults:
        yield f"! {fault}"


def verified(verdicts: Sequence[Verdict], seconds: float, settings: Settings) -> str:
    if not verdicts:
        return f"there is no migration to verify beside {settings.url}"
    faulty = ", ".join(verdict.name for verdict in verdicts if verdict.faults)
    irreversible = ", ".join(verdict.name for verdict in verdicts if verdict.irreversible)
    said = f"to mend: {faulty}" if faulty else "every rollback undoes its migration"
    passed_over = f" (but for the irreversible {irreversible})" if irreversible else ""
    return f"{said}{passed_over}, in {_milliseconds(seconds)} beside {settings.url}"


def schema(facts: Sequence[Fact]) -> Iterator[str]:
    from toolkit.catalog import one_line

    widths: Counter[str | None] = Counter()
    for fact in facts:
        if fact.kind == "column":
            widths[fact.table] = max(widths[fact.table], len(_label(fact)))
    for fact in facts:
        indent, width = ("  ", widths[fact.table]) if fact.table else ("", 0)
        said = " ".join(fact.details.values())
        yield one_line(f"{indent}{_label(fact):{width}}  {said}".rstrip())


def schema_json(facts: Sequence[Fact], settings: Settings) -> dict[str, Any]:
    things = [
        {"kind": fact.kind, "name": fact.name, "table": fact.table, **fact.details}
        for fact in facts
    ]
    return {"database": f"{settings.url}", "schema": things}


def _ended(statement: str) -> str:
    """The statement with its semicolon, which a comment at its end would swallow."""
    return f"{statement}\n;" if "--" in statement.rpartition("\n")[2] else f"{statement};"


def _label(fact: Fact) -> str:
    if fact.kind == "column":
        return fact.name.removeprefix(f"{fact.table}.")
    return f"{fact.kind} {fact.name}"


def _problems(steps: Sequence[Step]) -> Iterator[str]:
    return (f"! {step.said()}" for step in steps if step.problem)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _when(applied_at: datetime | None) -> str:
    if applied_at is None:
        return "pending".ljust(len("0000-00-00 00:00:00 UTC"))
    return f"{applied_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
