"""pytest's fixtures for a project's own tests: `db`, `committing_db` and `test_database`.

The server is started and the migrations are applied once, at the first test that needs them. Under
pytest-xdist, the controller does that before its workers start, and each worker has a copy of the
database. An error in it ends the run: it would be that of each test.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from dbfoundation.errors import FoundationError
from dbfoundation.testing.emptied import EmptiedDatabase
from dbfoundation.testing.kept import KeptConnections
from dbfoundation.testing.plugin import DATABASE, MIGRATIONS
from dbfoundation.testing.pool import committing, find_pool, on_one_connection, refuse
from dbfoundation.testing.rolled_back import OneConnection
from dbfoundation.testing.servers import settings_at
from dbfoundation.testing.template import copy_of, migrated_template, replace_by_copy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dbfoundation.runtime.pool import Pool
    from dbfoundation.settings import Settings

WORKER_INPUT = "dbfoundation_template"
SHARED_TEMPLATE = pytest.StashKey["Settings"]()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 # pytest-xdist has no types
    """Give a worker the address of the template, which all of them share."""
    config: pytest.Config = node.config
    if SHARED_TEMPLATE not in config.stash:
        stack = ExitStack()
        config.add_cleanup(stack.close)
        config.stash[SHARED_TEMPLATE] = stack.enter_context(_template(config))
    url = config.stash[SHARED_TEMPLATE].url
    node.workerinput[WORKER_INPUT] = url.render(with_password=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Close the pool to the tests without a fixture."""
    try:
        refuse(find_pool(session.config.getini(DATABASE)))
    except FoundationError:
        return  # the fixtures report it


@contextmanager
def _template(config: pytest.Config) -> Iterator[Settings]:
    with _reported(config), migrated_template(config.rootpath / config.getini(MIGRATIONS)) as made:
        yield made


@contextmanager
def _reported(config: pytest.Config) -> Iterator[None]:
    """End the run with an error's message; a worker can only let its tests fail with it."""
    try:
        yield
    except FoundationError as error:
        if hasattr(config, "workerinput"):
            pytest.fail(f"error: {error}", pytrace=False)
        pytest.exit(f"error: {error}", returncode=2)


@pytest.fixture(scope="session")
def dbfoundation_pool(pytestconfig: pytest.Config) -> Pool:
    with _reported(pytestconfig):
        return find_pool(pytestconfig.getini(DATABASE))


@pytest.fixture(scope="session")
def dbfoundation_template(pytestconfig: pytest.Config) -> Iterator[Settings]:
    """Settings of the template."""
    workerinput = getattr(pytestconfig, "workerinput", None)
    if workerinput:
        yield settings_at(workerinput[WORKER_INPUT])
        return
    with _template(pytestconfig) as template:
        yield template


@pytest.fixture(scope="session")
def test_database(
    dbfoundation_pool: Pool,  # noqa: ARG001 # an invalid name is reported before a server starts
    dbfoundation_template: Settings,
) -> Iterator[Settings]:
    """Settings of the tests' database, with every migration applied; one for each worker."""
    with copy_of(dbfoundation_template) as settings:
        yield settings


@pytest.fixture(scope="session")
def dbfoundation_connection() -> Iterator[OneConnection]:
    one = OneConnection()
    yield one
    one.close()


@pytest.fixture(scope="session")
def dbfoundation_kept() -> Iterator[KeptConnections]:
    kept = KeptConnections()
    yield kept
    kept.close()


@pytest.fixture(scope="session")
def dbfoundation_emptied(
    test_database: Settings, dbfoundation_template: Settings
) -> Iterator[EmptiedDatabase]:
    emptied = EmptiedDatabase(test_database, dbfoundation_template)
    yield emptied
    emptied.close()


@pytest.fixture
def db(
    dbfoundation_pool: Pool,
    test_database: Settings,
    dbfoundation_template: Settings,
    dbfoundation_connection: OneConnection,
) -> Iterator[Pool]:
    """The project's pool, on one connection, whose work is rolled back after the test."""
    with on_one_connection(dbfoundation_pool, test_database, dbfoundation_connection):
        yield dbfoundation_pool
    if not dbfoundation_connection.end_test():
        replace_by_copy(test_database, dbfoundation_template)


@pytest.fixture
def committing_db(
    dbfoundation_pool: Pool,
    test_database: Settings,
    dbfoundation_kept: KeptConnections,
    dbfoundation_emptied: EmptiedDatabase,
) -> Iterator[Pool]:
    """The project's pool, which commits; the database is emptied after the test."""
    with committing(dbfoundation_pool, test_database, dbfoundation_kept):
        yield dbfoundation_pool
    dbfoundation_emptied.restore()
