"""Fixtures beside those of dbfoundation: a database without the migrations."""

import pytest
from dbfoundation.runtime.connection import dedicated
from dbfoundation.testing import fresh_database


@pytest.fixture
def empty_database(test_database):
    """Settings of an empty database, which is dropped after the test."""
    with fresh_database(test_database) as settings:
        yield settings


@pytest.fixture
def empty_db(empty_database):
    """A connection to the empty database, outside of the pool."""
    connection = dedicated(empty_database, "tests")
    with connection.connection_context():
        yield connection
