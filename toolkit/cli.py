"""What the tasks call: composes the toolkit, prints, and chooses exit codes. Nothing else does.

Exit code 0 says done; 1, something is pending; 2, an error, which stands on stderr in a short
paragraph (`invoke --debug` adds the traceback), or a problem that migrate-status lists. Imports
stand where they are used, so that `invoke --list` needs none of them.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import subprocess
import sys
import traceback
from collections import Counter
from contextlib import contextmanager
from datetime import UTC
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, ParamSpec, TextIO

from invoke.exceptions import Exit

from toolkit.errors import RefusedError, ServerError, ToolkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from toolkit.engine import Done, Engine, Rehearsed
    from toolkit.plan import Step
    from toolkit.settings import Settings

P = ParamSpec("P")
ROOT = Path(__file__).resolve().parent.parent  # as in settings, which imports environs
MIGRATIONS = ROOT / "migrations"


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Tell what goes wrong in words, and end with exit code 2; only a bug has a traceback."""

    @functools.wraps(function)
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        # Below INFO, Peewee logs each statement with its parameters.
        logging.getLogger("peewee").setLevel(logging.INFO)
        try:
            function(*args, **kwargs)
        except KeyboardInterrupt:
            raise Exit("interrupted", code=130) from None
        except Exception as error:
            words = _words(error)
            if words is None:
                raise
            if logging.getLogger("invoke").isEnabledFor(logging.DEBUG):
                traceback.print_exc()
            raise Exit(f"error: {words}", code=2) from error

    return told


def _words(error: Exception) -> str | None:
    """What a person is told of an error; None when it is a bug."""
    if isinstance(error, ToolkitError):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    cause = getattr(error, "orig", error)  # Peewee's errors have the driver's
    if type(error).__module__.partition(".")[0] in ("peewee", "psycopg2"):
        diagnosis = getattr(cause, "diag", None)
        return (diagnosis and diagnosis.message_primary) or " ".join(str(cause).split())
    return None


@command
def db_up(via: str | None) -> None:
    from toolkit import server

    settings = _settings()
    ways = server.ways(settings)
    if via is not None and via not in ways:
        raise ServerError(f"--via takes {' or '.join(ways)}, not {via}")
    chosen = {name: way for name, way in ways.items() if via in (None, name)}
    started = server.up(settings, chosen, _report)
    _say(f"{settings.url} answers: {f'started by {started}' if started else 'already running'}")


@command
def db_down() -> None:
    from toolkit import server

    settings = _settings()
    stopped = server.down(server.ways(settings), _report)
    for way in stopped:
        _say(f"stopped {way}; the data stay")
    if not stopped:
        _say("nothing to stop: db-up has no server running here")


@command
def db_reset(seeds: str) -> None:
    from toolkit import maintenance

    settings = _settings()
    if not settings.may_destroy:
        raise RefusedError(
            f"db-reset drops {settings.url}. It runs where APP_ENV is development or test, on this "
            f"machine's databases; here APP_ENV is {settings.app_env}."
        )
    maintenance.drop_database(settings)
    maintenance.create_database(settings)
    _say(f"dropped and created {settings.url}")
    migrate_up()
    seed(seeds)


@command
def db_shell() -> None:
    from toolkit import server

    shell, environment = server.psql(_settings())
    _run(shell, env=environment)


@command
def migrate_up(
    *,
    to: str | None = None,
    steps: str | None = None,
    dry_run: bool = False,
    allow_out_of_order: bool = False,
) -> None:
    count = _count(steps)
    with _engine() as (engine, settings):
        if dry_run:
            _say_rehearsal(
                engine.rehearse_up(to, count, allow_out_of_order=allow_out_of_order), settings
            )
            return
        started = perf_counter()
        done = engine.up(to, count, allow_out_of_order=allow_out_of_order, on_step=_say_step)
        _say_total(done, started, settings, f"nothing to apply: {settings.url} is up to date")


@command
def migrate_down(*, to: str | None = None, steps: str | None = None, dry_run: bool = False) -> None:
    count = _count(steps)
    with _engine() as (engine, settings):
        if dry_run:
            _say_rehearsal(engine.rehearse_down(to, count), settings)
            return
        started = perf_counter()
        done = engine.down(to, count, on_step=_say_step)
        _say_total(done, started, settings, f"nothing to roll back: {settings.url}")


@command
def migrate_redo(*, steps: str | None = None) -> None:
    with _engine() as (engine, settings):
        started = perf_counter()
        done = engine.redo(_count(steps), on_step=_say_step)
        _say_total(done, started, settings, f"nothing to roll back: {settings.url}")


@command
def migrate_create(name: str) -> None:
    from toolkit.files import create

    path = create(MIGRATIONS, name)
    _say(f"created {path.relative_to(ROOT)}: write its migrate() and its rollback()")


@command
def migrate_accept(name: str) -> None:
    with _engine() as (engine, _):
        step = engine.accept(name)
    _say(
        f"accepted {step.name} as it now stands" if step else "nothing to accept: it is not edited"
    )


@command
def migrate_status(*, as_json: bool) -> None:
    with _engine() as (engine, settings):
        steps = engine.plan().steps
    if as_json:
        _say(
            json.dumps({"database": f"{settings.url}", "migrations": [_as_json(s) for s in steps]})
        )
    else:
        _say_status(steps, settings)
    if any(step.problem for step in steps):
        raise Exit(code=2)
    if not all(step.applied for step in steps):
        raise Exit(code=1)


@command
def seed(seeds: str) -> None:
    settings = _settings()
    if settings.app_env == "production":
        raise RefusedError("seed inserts development data: APP_ENV is production")
    with _pool(settings):
        result = import_module(seeds).seed()
    _say(f"seeded {settings.url}: inserted {result.inserted}, unchanged {result.unchanged}")


@command
def test() -> None:
    _run([sys.executable, "-m", "pytest"])


@command
def lint() -> None:
    for words in (("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)):
        _run([sys.executable, "-m", *words])


def _settings() -> Settings:
    from toolkit.settings import Settings

    return Settings.load()


@contextmanager
def _engine() -> Iterator[tuple[Engine, Settings]]:
    """The engine on a connection of its own, outside of the pool, that Ctrl-C can interrupt."""
    from toolkit.database import connected, dedicated
    from toolkit.engine import Engine
    from toolkit.interrupt import interruptible

    settings = _settings().for_migrations()
    database = dedicated(settings, "migrate")
    with connected(database, settings), interruptible(database):
        engine = Engine(
            database,
            MIGRATIONS,
            lock_wait=settings.migrate_lock_wait_seconds,
            lock_timeout=settings.migrate_lock_timeout_seconds,
            report=_report,
        )
        yield engine, settings


@contextmanager
def _pool(settings: Settings) -> Iterator[None]:
    """The models' pool, connected for the block and emptied after it."""
    from toolkit.database import configure, connected, database, explained

    configure(settings)
    try:
        with connected(database, settings), explained(settings):
            yield
    finally:
        database.close_all()


def _run(words: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Run a program on our terminal; when it fails, end with its exit code."""
    with subprocess.Popen(words, cwd=ROOT, env=env) as program:
        # Ctrl-C reaches the program as well, and is its business: psql cancels a query with it.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            code = program.wait()
        finally:
            signal.signal(signal.SIGINT, before)
    if code:
        raise Exit(code=code)


def _say(line: str) -> None:
    _print(line, sys.stdout)


def _report(line: str) -> None:
    """Tell how far a task is; what it did goes to stdout."""
    _print(line, sys.stderr)


def _print(line: str, stream: TextIO) -> None:
    """Print a line; when nobody can read it any more, the work goes on all the same."""
    try:
        print(line, file=stream, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _count(text: str | None) -> int | None:
    """A number given as a flag; 0, which is refused later, for what is none."""
    return int(text) if text and text.isdecimal() else None if text is None else 0


def _say_step(done: Done) -> None:
    _say(f"{done.verb} {done.name}  {_milliseconds(done.seconds)}")


def _say_total(done: Sequence[Done], started: float, settings: Settings, nothing: str) -> None:
    verbs = Counter(step.verb for step in done)
    counts = ", ".join(f"{count} {verb}" for verb, count in verbs.items())
    elapsed = _milliseconds(perf_counter() - started)
    _say(f"{counts} in {elapsed}: {settings.url}" if done else nothing)


def _say_rehearsal(rehearsed: Sequence[Rehearsed], settings: Settings) -> None:
    for step in rehearsed:
        _say(f"-- {step.name}")
        if step.statements is None:
            _say("-- not tried: it runs outside of a transaction (atomic = False)")
        for statement in step.statements or ():
            _say(f"{statement.strip().rstrip(';')};")
    _say(f"-- dry run, nothing was changed: {settings.url}")


def _say_status(steps: Sequence[Step], settings: Settings) -> None:
    for step in steps:
        _say(f"{_when(step.applied_at)}  {step.name}")
    for step in steps:
        if step.problem:
            _say(f"! {step.said()}")
    applied = sum(step.applied for step in steps)
    _say(f"{applied} applied, {len(steps) - applied} pending on {settings.url}")


def _as_json(step: Step) -> dict[str, str | None]:
    return {
        "name": step.name,
        "state": "applied" if step.applied else "pending",
        "applied_at": step.applied_at.isoformat() if step.applied_at else None,
        "problem": step.problem,
    }


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _when(applied_at: datetime | None) -> str:
    if applied_at is None:
        return "pending".ljust(len("0000-00-00 00:00:00 UTC"))
    return f"{applied_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
