"""A task as a command: an error is a short paragraph on stderr, and an exit code has one meaning.

Exit code 0: done. 1: a migration is pending, the models, the migrations and the database differ, or
a rollback is faulty. 2: an error, or a problem that migrate-status lists. 3: the database is ahead
of this release. 130: interrupted. `invoke --debug` adds the traceback to an error. A task with
--json prints one JSON object on stdout in each of these cases; after an error, {"error": "its
message"}.

invoke accepts its own --dry with every task, and leaves its meaning to the task. So each task
states whether it changes anything. With --dry, a task that does runs as with its own --dry-run, or
is refused where it has none.
"""

from __future__ import annotations

import functools
import inspect
import logging
import traceback
import warnings
from typing import TYPE_CHECKING

from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.tasks import Task, task

from dbfoundation.errors import FoundationError, RefusedError
from dbfoundation.tasks.output import print_json, report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from invoke.context import Context


class RepeatableTask(Task):  # type: ignore[type-arg] # invoke leaves the type open
    """A task that runs as often as a command line names it.

    invoke drops a call that equals an earlier one, as in `invoke migrate-down migrate-down`.
    """

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = Task.__hash__

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        arguments = super().get_arguments(ignore_unknown_help)
        positions = {argument.name: at for at, argument in enumerate(arguments)}
        if {"name", "all"} <= positions.keys():
            flag, name = (arguments[positions[key]] for key in ("all", "name"))
            arguments[positions["all"]] = AllFlag(flag, name)
        return arguments


class AllFlag(Argument):
    """A flag in place of a name, as in `migrate-accept --all`: invoke knows no optional names."""

    def __init__(self, flag: Argument, name: Argument) -> None:
        super().__init__(names=flag.names, kind=bool, default=False, help=flag.help)
        self.in_place_of = name

    def set_value(self, value: object, cast: bool = True) -> None:
        super().set_value(value, cast)
        if self.in_place_of.value is None:
            self.in_place_of.set_value("")


def command(
    *, changes: bool, iterable: Sequence[str] = (), **help_texts: str
) -> Callable[[Callable[..., None]], RepeatableTask]:
    """Make a function a task, with a help text for each of its flags.

    `changes` is whether it changes a file, a server or a database. A flag of `iterable` may be
    repeated.
    """

    def decorate(function: Callable[..., None]) -> RepeatableTask:
        body = _with_dry(function) if changes else function
        made: RepeatableTask = task(klass=RepeatableTask, help=help_texts, iterable=iterable)(
            _with_errors(body)
        )
        return made

    return decorate


def _with_dry(function: Callable[..., None]) -> Callable[..., None]:
    """The function of a task that changes something, which obeys invoke's --dry."""
    has_dry_run = "dry_run" in inspect.signature(function).parameters
    name = function.__name__.replace("_", "-")

    @functools.wraps(function)
    def wrapper(c: Context, *args: object, **kwargs: object) -> None:
        if c.config.run.dry:
            if not has_dry_run:
                raise RefusedError(
                    f"{name} has no dry run, so it does not run with invoke's --dry.\n"
                    "Fix: leave out --dry (-R)."
                )
            kwargs["dry_run"] = True
        function(c, *args, **kwargs)

    return wrapper


def _with_errors(function: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(function)
    def wrapper(*args: object, **kwargs: object) -> None:
        # Below INFO, Peewee logs each statement with its parameters.
        logging.getLogger("peewee").setLevel(logging.INFO)
        try:
            with warnings.catch_warnings():
                warnings.showwarning = lambda message, *_: report(f"warning: {message}")
                function(*args, **kwargs)
        except KeyboardInterrupt:
            _print_error("interrupted", kwargs)
            raise Exit("interrupted", code=130) from None
        except Exit:
            raise
        except Exception as error:
            message = describe_error(error)
            _print_error(message or f"{type(error).__name__}: {error}", kwargs)
            if message is None:
                raise
            if logging.getLogger("invoke").isEnabledFor(logging.DEBUG):
                report(traceback.format_exc())
            if isinstance(error.__cause__, KeyboardInterrupt):
                raise Exit(message, code=130) from error
            raise Exit(f"error: {message}", code=2) from error

    return wrapper


def _print_error(message: str, flags: Mapping[str, object]) -> None:
    """Print the JSON of an error, where the flags of a task ask for JSON."""
    if flags.get("json"):
        print_json({"error": message})


def describe_error(error: Exception) -> str | None:
    """A message for a person; None for a bug, which needs its traceback."""
    if isinstance(error, FoundationError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    if type(error).__module__.partition(".")[0] in ("peewee", "psycopg2"):
        from dbfoundation.runtime.server_errors import driver_error, server_message

        return server_message(error) or " ".join(str(driver_error(error)).split())
    return None
