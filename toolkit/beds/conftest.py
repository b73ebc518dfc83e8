"""The servers and the schemas of the test beds, and the line about each at the end of a run."""

from __future__ import annotations

from concurrent import futures
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from beds import server as servers
from beds.applications import APPLICATIONS
from beds.bed import DUMP, Bed
from beds.entries import count_dump
from beds.server import Server, UnavailableError
from dbfoundation.runtime.connection import dedicated
from dbfoundation.server.databases import create_database, drop_database

if TYPE_CHECKING:
    from pathlib import Path

    from beds.applications import Application
    from dbfoundation.settings import Settings

FIRST, LAST = "15", "18"
MAJORS = (FIRST, "16", "17", LAST)
# A bed that would begin later in a run is skipped, so that a slow machine does not hold up CI.
LAST_START_SECONDS = 12 * 60
SUMMARY = "bed"  # the name of a report's property


def pytest_addoption(parser):
    parser.addoption("--at-least", type=int, default=0, help="applications that must have run")


def pytest_configure(config):
    if config.getoption("numprocesses"):
        raise pytest.UsageError("the beds share their folders: add --numprocesses=0")


@dataclass(frozen=True)
class Live:
    """A schema that an application created, on a server of one version."""

    bed: Bed
    major: str
    server: Server
    settings: Settings


@pytest.fixture(scope="session")
def start_server():
    """Starts the server of a version, once for all beds."""
    running: dict[str, Server | UnavailableError] = {}
    with ExitStack() as stack:

        def start(major):
            if major not in running:
                try:
                    running[major] = stack.enter_context(contextmanager(servers.start)(major))
                except UnavailableError as error:
                    running[major] = error
            found = running[major]
            if isinstance(found, UnavailableError):
                pytest.skip(f"{found}")
            return found

        yield start


def dump(server: Server, settings: Settings, file: Path) -> Path:
    """Write a database's schema into pg_dump's archive."""
    server.run("pg_dump", *DUMP, "-Fc", "-f", file, database=settings)
    return file


def counts_of_dump(server: Server, archive: Path):
    """The objects of an archive by kind."""
    text = server.run("pg_restore", "-f", "-", archive)
    return count_dump(server.run("pg_restore", "-l", archive), text)


@contextmanager
def connected(settings: Settings):
    database = dedicated(settings, "beds")
    with database.connection_context():
        yield database


@pytest.fixture(scope="module", params=MAJORS)
def server(request, start_server):
    """A server of each version."""
    return start_server(request.param)


@contextmanager
def new_database(server: Server, name: str):
    settings = replace(server.settings, url=replace(server.settings.url, name=name))
    create_database(settings)
    try:
        yield settings
    finally:
        drop_database(settings)


@pytest.fixture(scope="session")
def install(request):
    """Waits for the installation of an application; all begin at once, in two threads."""
    deadline = monotonic() + LAST_START_SECONDS
    calls = [item.callspec.params for item in request.session.items if hasattr(item, "callspec")]
    wanted = {call["live"][0].name for call in calls if "live" in call}
    with futures.ThreadPoolExecutor(max_workers=2) as pool:
        beds = [Bed(application) for application in APPLICATIONS if application.name in wanted]
        running = {bed.folder: pool.submit(bed.install) for bed in beds}

        def wait(bed):
            done, _ = futures.wait([running[bed.folder]], max(0, deadline - monotonic()))
            if not done or monotonic() > deadline:
                raise UnavailableError("no time is left")
            running[bed.folder].result()

        yield wait
        pool.shutdown(cancel_futures=True)


@pytest.fixture(
    scope="module",
    params=[(application, major) for application in APPLICATIONS for major in MAJORS],
    ids=lambda param: f"{param[0].name}-{param[1]}",
)
def live(request, start_server, install):
    """The schema of an application on a version of the server."""
    application, major = request.param
    server, bed = start_server(major), Bed(application)
    with new_database(server, application.name) as settings:
        try:
            if migrates_on(major, application):
                install(bed)
            create_schema(bed, server, settings, major)
        except UnavailableError as error:
            pytest.skip(f"{application.name}: {error}")
        yield Live(bed, major, server, settings)


def migrates_on(major: str, application: Application) -> bool:
    return major == FIRST or (major == LAST and application.is_quick)


def create_schema(bed: Bed, server: Server, settings: Settings, major: str):
    """Let the application migrate on the first version; the others load its dump of that."""
    if migrates_on(major, bed.application):
        bed.migrate(server, settings)
        if major == FIRST:
            fresh = bed.folder / "schema.new"
            fresh.write_text(server.run("pg_dump", *DUMP, database=settings))
            fresh.replace(bed.dump)  # another run may read it
    elif bed.dump.exists():
        bed.load(server, settings)
    else:
        raise UnavailableError(f"no {bed.dump}: the tests on PostgreSQL {FIRST} write it")


def summaries(reporter):
    """The lines that the tests have recorded, one for each schema."""
    return sorted(
        str(value)
        for report in reporter.getreports("passed")
        for name, value in report.user_properties
        if name == SUMMARY and report.when == "call"
    )


def too_few(reporter):
    """A sentence when fewer applications have run than must have."""
    ran = sorted({line.split()[0] for line in summaries(reporter)})
    wanted = reporter.config.getoption("--at-least")
    if len(ran) < wanted:
        return f"only {len(ran)} of at least {wanted} applications have run: {', '.join(ran)}"
    return None


def pytest_terminal_summary(terminalreporter):
    for line in [*summaries(terminalreporter), too_few(terminalreporter)]:
        if line:
            terminalreporter.write_line(line)


def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == pytest.ExitCode.OK and too_few(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
