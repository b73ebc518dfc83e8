"""The fixtures: one server and one database a worker, which is emptied for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from dbfoundation.errors import ServerError
from dbfoundation.migrations.engine import Engine
from dbfoundation.runtime.connection import dedicated
from dbfoundation.server import binaries
from dbfoundation.server.databases import create_database, drop_database
from dbfoundation.server.local import LocalServer
from dbfoundation.testing import URL_VARIABLE, empty_database, running_server
from models import database
from tests.containers import runs
from tests.existing import SCRATCH_DATABASES, TABLES
from tests.support import (
    IS_CI,
    PASSWORD,
    PROJECT,
    SERVER_DATA,
    Project,
    at_database,
    clean_environment,
    copy_project,
    copy_server_data,
    execute,
    free_port,
    ignore,
    local_home,
    local_server,
    make_settings,
    remove,
)

# The most cases of one test that a person runs; CI runs all of them.
SAMPLE = 4


def pytest_configure(config):
    """Remove exported settings, which the tests' own would contradict.

    Name the folder of the shared data, which pytest-xdist's workers inherit.
    """
    for name in os.environ.keys() - clean_environment().keys():
        del os.environ[name]
    if not is_worker(config):
        os.environ[SERVER_DATA] = tempfile.mkdtemp(prefix="dbfoundation-test-data-")


def pytest_collection_modifyitems(config, items):
    """Outside of CI, run a sample of each long table of cases, unless the command selects tests."""
    if IS_CI or config.option.keyword or any("::" in argument for argument in config.args):
        return
    counts = Counter(_table_of(item) for item in items)
    seen: Counter[str] = Counter()
    dropped = []
    for item in items:
        table = _table_of(item)
        if seen[table] % -(-counts[table] // SAMPLE):
            dropped.append(item)
        seen[table] += 1
    items[:] = [item for item in items if item not in {*dropped}]
    config.hook.pytest_deselected(items=dropped)


def _table_of(item) -> str:
    """The test of a case."""
    return item.nodeid.partition("[")[0]


def pytest_unconfigure(config):
    if not is_worker(config):
        remove(LocalServer(Path(os.environ.pop(SERVER_DATA)), make_settings()))


def is_worker(config) -> bool:
    return hasattr(config, "workerinput")


@pytest.fixture(scope="session")
def server():
    """Settings of a running server, on which tests create databases of their own."""
    if not os.environ.get(URL_VARIABLE) and not binaries.unavailable_reason():
        with local_server() as local:
            yield at_database(local.settings, "postgres")
        return
    try:
        with running_server(PASSWORD) as settings:
            yield replace(settings, application_name="tests")
    except ServerError as error:
        pytest.exit(str(error), returncode=2)


@pytest.fixture
def private_server():
    """A private server of the test's own, running."""
    with local_server() as local:
        yield local


@pytest.fixture
def server_without_data(private_server):
    """A private server that was never started."""
    private_server.stop(ignore)
    shutil.rmtree(private_server.data)
    return private_server


@pytest.fixture
def project_with_server_data(project):
    """A copy of the project with the data of a private server, a free port and an odd password."""
    copy_server_data(local_home(project))
    exported = {"DB_PORT": str(free_port()), "DB_PASSWORD": PASSWORD}
    return replace(project, environment=project.environment | exported)


@pytest.fixture(scope="session")
def worker_database(server):
    """Settings of a database of the worker's own."""
    fresh = at_database(server, f"test {uuid4().hex[:8]}")
    create_database(fresh)
    yield fresh
    drop_database(fresh)


@pytest.fixture
def settings(worker_database):
    """Settings of an empty database."""
    empty_database(worker_database)
    return worker_database


@pytest.fixture(scope="module")
def module_connection(worker_database):
    """A connection to an empty database, for all tests of a module."""
    empty_database(worker_database)
    connection = dedicated(worker_database, "test")
    with connection.connection_context():
        yield connection


@pytest.fixture
def db(settings):
    """A connection to the test's database, outside of the pool."""
    connection = dedicated(settings, "test")
    with connection.connection_context():
        yield connection


@pytest.fixture
def write(tmp_path):
    """Writes a migration into the test's folder, by its name and its text."""
    return lambda name, text: (tmp_path / f"{name}.py").write_text(text)


@pytest.fixture
def migrated(db):
    """The test's database with every migration applied."""
    Engine(db, PROJECT / "migrations").up()
    return db


@pytest.fixture
def pool(migrated, settings):  # noqa: ARG001 # the tables have to exist
    """The models' pool on the migrated database, not connected yet."""
    database.configure(settings)
    yield database
    database.close_all()


@pytest.fixture
def project(tmp_path):
    """A copy of the tests' project without settings in the environment.

    A server that db-up starts there ends with the test.
    """
    copy = Project(copy_project(tmp_path), clean_environment())
    yield copy
    remove(local_home(copy))


@pytest.fixture
def app(project, settings):
    """A copy of the project whose exported DATABASE_URL is the test's empty database."""
    url = settings.url.render(with_password=True)
    return replace(
        project, environment=project.environment | {"DATABASE_URL": url, "APP_ENV": "test"}
    )


@pytest.fixture
def existing(app, settings):
    """The project at a database that another tool created with the same tables.

    Afterwards the server has no scratch database.
    """
    execute(settings, TABLES)
    yield app
    assert execute(settings, SCRATCH_DATABASES) == [(0,)]


@pytest.fixture
def contained(project):
    """The project with a compose project, a volume and a port of its own."""
    exported = {
        "COMPOSE_PROJECT_NAME": f"dbfoundation-test-{uuid4().hex[:8]}",
        "DB_PORT": str(free_port()),
    }
    copy = replace(project, environment=project.environment | exported)
    yield copy
    tool = ["docker", "compose"] if runs("docker", "compose", "version") else ["docker-compose"]
    down = [*tool, "down", "--volumes", "--timeout", "1"]
    subprocess.run(down, check=True, capture_output=True, cwd=copy.folder, env=copy.environment)


@pytest.fixture
def generate(app, settings):
    """Runs models-from-database after some statements."""
    app.invoke("migrate-up")

    def run(statements, *flags):
        execute(settings, statements)
        return app.invoke("models-from-database", *flags)

    return run


@pytest.fixture
def source(generate):
    """Returns the source that models-from-database prints without any complaint."""

    def run(statements, *flags):
        done = generate(statements, *flags)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    return run
