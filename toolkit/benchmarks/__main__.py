"""python -m benchmarks [--quick] [--json FILE]: the program of `invoke bench`.

Exit codes: 0 measured, whatever the verdicts are; 2 an error; 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import LIBRARY, checks, drafts, migrations, own_tests, peers, rows, sessions
from benchmarks.programs import output_of
from benchmarks.results import BenchError
from benchmarks.run import FULL, QUICK, Run, Scope
from benchmarks.server import create_tables, private_server
from dbfoundation.errors import FoundationError
from dbfoundation.server import binaries
from dbfoundation.tasks.signals import end_on_first_signal
from models import database

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PICTURE = Path(__file__).with_name("migrations.svg")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="invoke bench")
    parser.add_argument("--quick", action="store_true", help="measure less, in about a minute")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args(arguments)
    try:
        if options.json:
            # A file that cannot be written ends the run at once. Its content stays until the end.
            options.json.open("a").close()
        run = measure(QUICK if options.quick else FULL)
        print("\n".join(run.markdown()))
        if options.json:
            options.json.write_text(run.json())
        if not options.quick:
            draw(run)
    except (BenchError, FoundationError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def measure(scope: Scope) -> Run:
    """Measure everything on a private server; raises BenchError."""
    if reason := binaries.unavailable_reason():
        raise BenchError(f"no private server can be started: {reason}\nFix: {binaries.ADVICE}")
    report("installing the other tools")
    run = Run(scope, peers.install())
    with temporary_folder() as folder, private_server(report) as (settings, programs):
        if not (programs / sessions.PGBENCH).exists():
            run.peers.left_out[sessions.PGBENCH] = f"{programs} has no such program"
        run.peers.versions["PostgreSQL"] = create_tables(settings)
        migrating = migrations.Migrations(folder, settings, programs, run.peers, run.results)
        projects = migrating.projects(scope.sizes)
        using = sessions.Sessions(folder, settings, programs, run.peers, run.results)
        adding = rows.Rows(folder, settings, programs, run.results)
        testing = own_tests.OwnTests(folder, settings, run.peers, run.results)
        checking = checks.Checks(settings, run.results)
        drafting = drafts.Drafts(folder, settings, run.peers, run.results)
        drafted = drafting.projects(scope.tables, report)
        for number in range(scope.rounds):
            report_case = partial(report, f"round {number + 1} of {scope.rounds}: ")
            migrating.round(number, projects, report_case)
            using.round(number, scope.seconds, report_case)
            adding.round(number, scope.rows, report_case)
            testing.round(number, scope.tests, report_case)
            checking.round(number, scope.calls, report_case)
            drafting.round(number, drafted, report_case)
        checking.close()
        database.close_all()
    return run


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder for the block, which is removed after a signal, too."""
    with end_on_first_signal(), tempfile.TemporaryDirectory(prefix="bench-") as name:
        yield Path(name)


def draw(run: Run) -> None:
    """Draw the picture with the peers' matplotlib; print the reason where that fails to install."""
    try:
        peers.pip_install("matplotlib>=3.8,<4")
    except BenchError as error:
        print(f"no picture: {error}")
        return
    python = peers.PYTHON / "bin" / "python"
    script = Path(__file__).with_name("picture.py")
    output_of("picture.py", [python, script, PICTURE], input=run.json())
    print(f"picture: {PICTURE.relative_to(LIBRARY)}")


def report(*texts: str) -> None:
    print("".join(texts), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
