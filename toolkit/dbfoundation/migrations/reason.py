"""The reason of a failure: the server's words, or the exception, without parameters."""

from __future__ import annotations

import re
from traceback import walk_tb
from typing import TYPE_CHECKING

from psycopg2.errors import lookup

from dbfoundation.errors import FoundationError
from dbfoundation.migrations.redaction import redact_literals
from dbfoundation.runtime import recording
from dbfoundation.runtime.server_errors import driver_error, server_message, sqlstate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbfoundation.migrations.statements import Recorder

SHOWN_CHARACTERS = 300
SHOWN_CONTEXT_LINES = 2
# The fields of an error that name an object, and never have a value.
OBJECTS = ("schema_name", "table_name", "column_name", "datatype_name", "constraint_name")


def reasons(error: BaseException, recorder: Recorder) -> Iterator[str]:
    """The lines of the reason; the first one follows the place of the failure."""
    if server_message(error):
        yield from _of_server(error, recorder)
    elif isinstance(error, KeyboardInterrupt):
        yield "interrupted"
    elif isinstance(error, FoundationError):
        yield from str(error).splitlines()
    elif _is_of_formatting(error):
        yield from _of_formatting(error, recorder)
    else:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        yield shorten(recorder.parameters.redact(text))


def shorten(text: str) -> str:
    """The text in one line, of which the beginning is shown."""
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}..."


def _of_server(error: BaseException, recorder: Recorder) -> Iterator[str]:
    if not recorder.knows_parameters_of(error):
        yield _without_text(error)
        return
    diagnostics = driver_error(error).diag  # type: ignore[attr-defined] # a psycopg2.Error
    redact = recorder.parameters.redact
    yield shorten(redact(diagnostics.message_primary))
    if diagnostics.message_detail:
        yield f"detail: {shorten(redact(diagnostics.message_detail))}"
    if diagnostics.message_hint:
        yield f"hint: {shorten(redact(diagnostics.message_hint))}"
    context = diagnostics.context or ""
    if context and len(context.splitlines()) <= SHOWN_CONTEXT_LINES:
        yield f"context: {shorten(redact_literals(redact(context)))}"


def _without_text(error: BaseException) -> str:
    """The kind of the error and its objects; the server's text may have any parameter."""
    code, diagnostics = sqlstate(error) or "", driver_error(error).diag  # type: ignore[attr-defined]
    named = [name for field in OBJECTS if (name := getattr(diagnostics, field))]
    objects = f" of {'.'.join(named)}" if named else ""
    return (
        f"{lookup(code).__name__}{objects} (SQLSTATE {code}); the server's text is not shown, "
        "because it may have a parameter that cannot be redacted"
    )


def _is_of_formatting(error: BaseException) -> bool:
    """Whether psycopg2 could not put the parameters into a statement, which was not sent."""
    original = driver_error(error)
    frames = [frame.f_code.co_filename for frame, _ in walk_tb(original.__traceback__)]
    if frames[-1:] != [recording.__file__]:
        return False
    is_of_python = isinstance(original, IndexError | KeyError | TypeError | ValueError)
    return is_of_python or "placeholder" in str(original) or "argument formats" in str(original)


def _of_formatting(error: BaseException, recorder: Recorder) -> Iterator[str]:
    text = recorder.last.replace("%%", "")
    values = recorder.last_values
    placeholders = len(re.findall("%s", text))
    reason = recorder.parameters.redact(f"{type(error).__name__}: {driver_error(error)}")
    lone = re.search(r"%(?!s|\(\w+\)s)", text)
    start = max(lone.start() - SHOWN_CHARACTERS // 2, 0) if lone else 0
    yield f"{reason}: {shorten(text[start:])}"
    if lone or (isinstance(values, list | tuple) and placeholders > len(values)):
        yield "Fix: write a single % as %%"
