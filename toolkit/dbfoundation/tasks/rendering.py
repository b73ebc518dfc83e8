"""The output of the tasks as lines of text and as values for JSON; prints nothing.

Times are in milliseconds, and an address has no password.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC
from typing import TYPE_CHECKING, Any

from dbfoundation.migrations.problems import UNKNOWN, names_of, state_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from dbfoundation.migrations.draft import DraftFile
    from dbfoundation.migrations.dry_run import DryRunStep
    from dbfoundation.migrations.engine import Done
    from dbfoundation.migrations.step import Step
    from dbfoundation.migrations.verification import ProofResult
    from dbfoundation.schema.catalog import SchemaObject
    from dbfoundation.schema.comparison import Difference
    from dbfoundation.settings import Settings


def step(done: Done) -> str:
    return f"{done.verb} {done.name}  {_milliseconds(done.seconds)}"


def total(done: Sequence[Done], seconds: float, settings: Settings) -> str:
    verbs = Counter(step.verb for step in done)
    counts = ", ".join(f"{count} {verb}" for verb, count in verbs.items())
    return f"{counts} in {_milliseconds(seconds)}: {settings.url}"


def dry_run_step(step: DryRunStep) -> Iterator[str]:
    """The SQL that a step sent, and the rest as comments, so that psql can run the whole."""
    yield f"-- {step.name}"
    if step.not_tried:
        yield f"-- not tried: {step.not_tried}"
    for statement in step.statements or ():
        yield _with_semicolon(statement.strip().rstrip(";"))
    if step.not_shown:
        yield f"-- {step.not_shown} more statements, which were sent and are not shown"
    if step.locks:
        yield f"-- locks, which a dry run holds until its end: {', '.join(step.locks)}"
    if step.is_failed:
        yield f"-- {step.name} failed here"


def dry_run_total(settings: Settings) -> str:
    return f"-- dry run, nothing was changed: {settings.url}"


def nothing_to_apply(missing: Sequence[Step], settings: Settings) -> str:
    if not missing:
        return f"nothing to apply: {settings.url} is up to date"
    names = names_of(missing)
    return f"nothing to apply: {settings.url}; applied, but without a file here: {names}"


def accepted(steps: Sequence[Step]) -> Iterator[str]:
    for step in steps:
        renamed = f", recorded as {step.recorded_as} until now" if step.recorded_as else ""
        yield f"accepted {step.name}{renamed}"
    if not steps:
        yield "nothing to accept: the history has this text already"


def recorded(steps: Sequence[Step], settings: Settings) -> Iterator[str]:
    for step in steps:
        yield f"recorded {step.name}"
    yield f"{len(steps)} recorded, not run: {settings.url}"


def forgotten(names: Sequence[str], settings: Settings) -> Iterator[str]:
    for name in names:
        yield f"forgot {name}"
    if names:
        yield f"{len(names)} forgotten, not rolled back: {settings.url}"
    else:
        yield f"nothing to forget: {settings.url}"


def status(steps: Sequence[Step], settings: Settings) -> Iterator[str]:
    for step in steps:
        yield f"{_when(step.applied_at)}  {step.name}"
    yield from _problems(steps)
    yield from _unknown(steps)
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
    return {
        "database": f"{settings.url}",
        "state": state_of(steps),
        "unknown": [step.name for step in steps if step.problem == UNKNOWN],
        "migrations": migrations,
    }


def check(
    steps: Sequence[Step],
    differences: Sequence[Difference],
    not_compared: str | None,
    settings: Settings,
) -> Iterator[str]:
    pending = [step for step in steps if not step.applied]
    problems = [step for step in steps if step.problem not in (None, UNKNOWN)]
    unknown = [*_unknown(steps)]
    for step in pending:
        yield f"pending: {step.name}"
    yield from _problems(steps)
    yield from unknown
    for difference in differences:
        yield difference.describe("the database", "the model")
    if not_compared:
        yield f"not compared: {not_compared}"
    found: dict[str, Sequence[object]] = {
        "pending": pending,
        "with a problem": problems,
        "unknown here": unknown,
        "different": differences,
    }
    counts = ", ".join(f"{len(things)} {name}" for name, things in found.items() if things)
    yield f"{counts or 'the models and the database agree'}: {settings.url}"
    if differences and not pending and not problems:
        yield "draft the migration to the models with: invoke migrate-create NAME --auto"


def check_json(
    steps: Sequence[Step],
    differences: Sequence[Difference],
    not_compared: str | None,
    settings: Settings,
) -> dict[str, Any]:
    return {
        "database": f"{settings.url}",
        "state": state_of(steps, is_different=bool(differences)),
        "unknown": [step.name for step in steps if step.problem == UNKNOWN],
        "pending": [step.name for step in steps if not step.applied],
        "problems": [
            {"name": s.name, "problem": s.problem}
            for s in steps
            if s.problem not in (None, UNKNOWN)
        ],
        "differences": [
            {"subject": d.subject, "database": d.left, "model": d.right, "fix": d.fix}
            for d in differences
        ],
        "error": not_compared,
    }


def proof(result: ProofResult) -> Iterator[str]:
    if result.untried:
        yield f"not tried {result.name}, and those after it"
    else:
        verdict = "irreversible" if result.irreversible else "verified"
        verdict = "faulty" if result.problems else verdict
        yield f"{verdict} {result.name}  {_milliseconds(result.seconds)}"
    for problem in (*result.untried, *result.problems):
        yield f"! {problem}"


def proof_total(results: Sequence[ProofResult], seconds: float, settings: Settings) -> str:
    if not results:
        return f"no migration to verify: {settings.url}"
    faulty = ", ".join(result.name for result in results if result.problems)
    untried = ", ".join(result.name for result in results if result.untried)
    irreversible = ", ".join(result.name for result in results if result.irreversible)
    verdict = f"faulty: {faulty}" if faulty else "every rollback undoes its migration"
    if untried:
        verdict = f"not tried: {untried}" + (f"; {verdict}" if faulty else "")
    exception = f" (except the irreversible {irreversible})" if irreversible else ""
    return (
        f"{verdict}{exception}, in {_milliseconds(seconds)}: scratch database beside {settings.url}"
    )


def draft(texts: Mapping[str, str]) -> Iterator[str]:
    for name, text in texts.items():
        yield f"# migrations/{name}.py"
        yield text


def draft_proof(names: Sequence[str], *, with_seed: bool) -> str:
    rows = "with the seeds" if with_seed else "without rows, because a place is to be filled in"
    return (
        f"proven {', '.join(names)}, {rows}: up, agrees with the models; down, as before; up again"
    )


def drafted(names: Sequence[str], files: Sequence[DraftFile]) -> Iterator[str]:
    for name, file in zip(names, files, strict=True):
        advice = "fill in the place that it marks" if file.has_todo else "read it"
        yield f"created migrations/{name}.py: {advice}"


def schema(objects: Sequence[SchemaObject], *, with_source: bool = False) -> Iterator[str]:
    from dbfoundation.schema.catalog import one_line

    widths: Counter[str | None] = Counter()
    for thing in objects:
        if thing.kind == "column":
            widths[thing.table] = max(widths[thing.table], len(_label(thing)))
    for thing in objects:
        indent, width = ("  ", widths[thing.table]) if thing.table else ("", 0)
        details = " ".join(thing.details.values())
        yield one_line(f"{indent}{_label(thing):{width}}  {details}".rstrip())
        if with_source and thing.source:
            yield from (f"    {line}".rstrip() for line in thing.source.splitlines())


def schema_json(objects: Sequence[SchemaObject], settings: Settings) -> dict[str, Any]:
    values = [
        {"kind": thing.kind, "name": thing.name, "table": thing.table, **thing.details}
        | ({"source": thing.source} if thing.source else {})
        for thing in objects
    ]
    return {"database": f"{settings.url}", "schema": values}


def _with_semicolon(statement: str) -> str:
    """The statement with a semicolon, outside of a comment at its end."""
    return f"{statement}\n;" if "--" in statement.rpartition("\n")[2] else f"{statement};"


def _label(thing: SchemaObject) -> str:
    if thing.kind == "column":
        return thing.name.removeprefix(f"{thing.table}.")
    return f"{thing.kind} {thing.name}"


def _problems(steps: Sequence[Step]) -> Iterator[str]:
    return (f"! {step.describe_problem()}" for step in steps if step.problem not in (None, UNKNOWN))


def _unknown(steps: Sequence[Step]) -> Iterator[str]:
    return (f"ahead: {step.describe_problem()}" for step in steps if step.problem == UNKNOWN)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _when(applied_at: datetime | None) -> str:
    if applied_at is None:
        return "pending".ljust(len("0000-00-00 00:00:00 UTC"))
    return f"{applied_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
