"""The fixtures: one server, a database that is emptied for each test, and the models' pool."""

from pathlib import Path

import pytest
from dbfoundation.migrations.engine import Engine
from dbfoundation.runtime.connection import dedicated
from dbfoundation.testing import empty_database, fresh_database, running_server

from models import database

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def server():
    """Settings of a running server: that of TEST_DATABASE_URL, or one for these tests."""
    with running_server() as settings:
        yield settings


@pytest.fixture(scope="session")
def test_database(server):
    """Settings of a database for these tests."""
    with fresh_database(server) as fresh:
        yield fresh


@pytest.fixture
def settings(test_database):
    """Settings of the database, empty."""
    empty_database(test_database)
    return test_database


@pytest.fixture
def db(settings):
    """A connection to the empty database, outside of the pool."""
    connection = dedicated(settings, "tests")
    with connection.connection_context():
        yield connection


@pytest.fixture
def pool(settings, db):
    """The models' pool, on the database with every migration applied."""
    Engine(db, ROOT / "migrations").up()
    database.configure(settings)
    yield database
    database.close_all()
