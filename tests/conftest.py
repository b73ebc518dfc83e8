"""The fixtures: one server, a new database for each test, and the models' pool on it."""

from pathlib import Path

import pytest
from dbfoundation.migrations.engine import Engine
from dbfoundation.runtime.connection import dedicated
from dbfoundation.testing import fresh_database, running_server

from models import database

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def server():
    """Settings of a running server: that of TEST_DATABASE_URL, or one for these tests."""
    with running_server() as settings:
        yield settings


@pytest.fixture
def settings(server):
    """Settings of an empty database."""
    with fresh_database(server) as fresh:
        yield fresh


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
