"""What the tasks call: composes the toolkit, prints, and chooses exit codes. Nothing else does.

Exit code 0 says done; 1, something is pending or different; 2, an error, which stands on stderr in
a short paragraph (`invoke --debug` adds the traceback), or a problem that migrate-status lists.
Imports stand where they are used, so that `invoke --list` needs none of them.
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
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, ParamSpec, TextIO

from invoke.exceptions import Exit

from toolkit import report
from toolkit.errors import DatabaseError, RefusedError, ServerError, ToolkitError, driver_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from toolkit.engine import Done, Engine
    from toolkit.settings import Settings
    from toolkit.verification import Verdict

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
    cause = driver_error(error)
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
            rehearsed = engine.rehearse_up(to, count, allow_out_of_order=allow_out_of_order)
            _say_all(report.rehearsal(rehearsed, settings))
            return
        started = perf_counter()
        done = engine.up(to, count, allow_out_of_order=allow_out_of_order, on_step=_say_step)
    nothing = f"nothing to apply: {settings.url} is up to date"
    _say(report.total(done, perf_counter() - started, settings) if done else nothing)


@command
def migrate_down(*, to: str | None = None, steps: str | None = None, dry_run: bool = False) -> None:
    count = _count(steps)
    with _engine() as (engine, settings):
        if dry_run:
            _say_all(report.rehearsal(engine.rehearse_down(to, count), settings))
            return
        started = perf_counter()
        done = engine.down(to, count, on_step=_say_step)
    nothing = f"nothing to roll back: {settings.url}"
    _say(report.total(done, perf_counter() - started, settings) if done else nothing)


@command
def migrate_redo(*, steps: str | None = None) -> None:
    with _engine() as (engine, settings):
        started = perf_counter()
        done = engine.redo(_count(steps), on_step=_say_step)
    nothing = f"nothing to roll back: {settings.url}"
    _say(report.total(done, perf_counter() - started, settings) if done else nothing)


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
        _say_json(report.status_json(steps, settings))
    else:
        _say_all(report.status(steps, settings))
    if any(step.problem for step in steps):
        raise Exit(code=2)
    if not all(step.applied for step in steps):
        raise Exit(code=1)


@command
def migrate_check(models: str, *, as_json: bool) -> None:
    from toolkit.drift import drift
    from toolkit.history import TABLE

    with _engine() as (engine, settings):
        steps = engine.plan().steps
        wanted = _import(models).MODELS
        differences, obstacle = [], None
        try:
            differences = drift(engine.database, wanted, {TABLE, *settings.migrate_check_ignore})
        except DatabaseError as error:
            if all(step.applied for step in steps):
                raise
            obstacle = error.reason  # a pending migration may bring what is missing
    if as_json:
        _say_json(report.check_json(steps, differences, obstacle, settings))
    else:
        _say_all(report.check(steps, differences, obstacle, settings))
    if any(step.problem for step in steps):
        raise Exit(code=2)
    if differences or not all(step.applied for step in steps):
        raise Exit(code=1)


@command
def migrate_verify(seeds: str, *, with_seed: bool) -> None:
    from secrets import token_hex

    from toolkit.verification import verify

    settings = _settings().for_migrations()
    if settings.app_env == "production":
        raise RefusedError(
            "migrate-verify runs every rollback, and what a file does to a whole server, such as "
            "DROP ROLE, is done: APP_ENV is production"
        )
    scratch = replace(settings, url=replace(settings.url, name=f"migrate_verify_{token_hex(8)}"))
    insert = partial(_seed, scratch, seeds) if with_seed else None
    started = perf_counter()
    verdicts = verify(partial(_scratch, scratch), insert, _say_verdict)
    _say(report.verified(verdicts, perf_counter() - started, settings))
    if any(verdict.faults for verdict in verdicts):
        raise Exit(code=1)


@command
def db_schema(*, as_json: bool) -> None:
    from toolkit import catalog
    from toolkit.database import connected, dedicated

    settings = _settings()
    database = dedicated(settings, "schema")
    with connected(database, settings):
        facts = catalog.read(database)
    if as_json:
        _say_json(report.schema_json(facts, settings))
    else:
        _say_all(report.schema(facts))


@command
def seed(seeds: str) -> None:
    settings = _settings()
    if settings.app_env == "production":
        raise RefusedError("seed inserts development data: APP_ENV is production")
    result = _seed(settings, seeds)
    _say(f"seeded {settings.url}: inserted {result.inserted}, unchanged {result.unchanged}")


@command
def sessions_prune(models: str) -> None:
    from tqdm import tqdm

    settings = _settings()
    store = _import(models).SessionStore()
    with _pool(settings), tqdm(unit=" sessions", delay=1, disable=None) as bar:
        pruned = store.prune(on_batch=lambda total: bar.update(total - bar.n))
    _say(f"pruned {pruned} expired sessions: {settings.url}")


@command
def test() -> None:
    _run([sys.executable, "-m", "pytest"])


@command
def bench(*, quick: bool, json_file: str | None) -> None:
    flags = ["--quick"] * quick
    if json_file:
        flags += ["--json", str(Path(json_file).absolute())]
    _run([sys.executable, "-m", "benchmarks", *flags])


@command
def lint() -> None:
    for words in (("ruff", "check"), ("ruff", "format", "--check"), ("mypy",)):
        _run([sys.executable, "-m", *words])


def _settings() -> Settings:
    from toolkit.settings import Settings

    return Settings.load()


@contextmanager
def _engine() -> Iterator[tuple[Engine, Settings]]:
    """The engine on the database that migrations go to, and the settings with its address."""
    settings = _settings().for_migrations()
    with _engine_on(settings) as engine:
        yield engine, settings


@contextmanager
def _engine_on(settings: Settings) -> Iterator[Engine]:
    """The engine on a connection of its own, outside of the pool, that Ctrl-C can interrupt."""
    from toolkit.database import connected, dedicated
    from toolkit.engine import Engine
    from toolkit.interrupt import interruptible

    database = dedicated(settings, "migrate")
    with connected(database, settings), interruptible(database) as interrupted:
        engine = Engine(
            database,
            MIGRATIONS,
            lock_wait=settings.migrate_lock_wait_seconds,
            lock_timeout=settings.migrate_lock_timeout_seconds,
            report=_report,
        )
        engine.is_interrupted = interrupted.is_set
        yield engine


@contextmanager
def _scratch(settings: Settings) -> Iterator[Engine]:
    """The engine on a database that is made for the block, and dropped whatever happens."""
    from toolkit import maintenance
    from toolkit.interrupt import ignore_signals, terminable

    with terminable():
        try:
            maintenance.create_database(settings)
            with _engine_on(settings) as engine:
                yield engine
        finally:
            ignore_signals()
            maintenance.drop_database(settings)


@contextmanager
def _pool(settings: Settings) -> Iterator[None]:
    """The models' pool, connected for the block and emptied after it; Ctrl-C interrupts it."""
    from toolkit.database import configure, connected, database, explained
    from toolkit.interrupt import interruptible

    configure(settings)
    try:
        with connected(database, settings), interruptible(database), explained(settings):
            yield
    finally:
        database.close_all()


def _seed(settings: Settings, seeds: str) -> Any:  # noqa: ANN401 # what the module's seed() returns
    try:
        with _pool(settings):
            return _import(seeds).seed()
    except ToolkitError:
        raise
    except Exception as error:
        raise ToolkitError(
            f"{seeds}.py failed: {_words(error) or f'{type(error).__name__}: {error}'}\n"
            "`invoke --debug` shows where."
        ) from error


def _import(name: str) -> Any:  # noqa: ANN401 # a module of the project's own
    try:
        return import_module(name)
    except Exception as error:
        raise ToolkitError(
            f"{name} cannot be imported: {type(error).__name__}: {error}\n"
            "`invoke --debug` shows where."
        ) from error


def _run(words: Sequence[str], env: Mapping[str, str] | None = None) -> None:
    """Run a program on our terminal; when it fails, end with its exit code, as a shell has it."""
    with subprocess.Popen(words, cwd=ROOT, env=env) as program:
        # Ctrl-C reaches the program as well, and is its business: psql cancels a query with it.
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
        # SIGTERM reaches us alone.
        terminate = signal.signal(signal.SIGTERM, lambda *_: program.terminate())
        try:
            code = program.wait()
        finally:
            signal.signal(signal.SIGINT, interrupt)
            signal.signal(signal.SIGTERM, terminate)
    if code:
        raise Exit(code=code if code > 0 else 128 - code)


def _say(line: str) -> None:
    _print(line, sys.stdout)


def _say_all(lines: Iterable[str]) -> None:
    for line in lines:
        _say(line)


def _say_json(value: object) -> None:
    _say(json.dumps(value))


def _report(line: str) -> None:
    """Tell how far a task is; what it did goes to stdout."""
    _print(line, sys.stderr)


def _print(line: str, stream: TextIO) -> None:
    """Print a line; when nobody can read it any more, the work goes on all the same."""
    try:
        encoding = stream.encoding or "utf-8"
        print(line.encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _count(text: str | None) -> int | None:
    """A number given as a flag; 0, which is refused later, for what is none."""
    return int(text) if text and text.isdecimal() else None if text is None else 0


def _say_step(done: Done) -> None:
    _say(report.step(done))


def _say_verdict(verdict: Verdict) -> None:
    _say_all(report.verdict(verdict))
