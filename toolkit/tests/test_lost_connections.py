"""A connection that ends while it is in use: a typed error, and no trace in the next context."""

import os

import pytest
from peewee import OperationalError, PeeweeException

from dbfoundation import SessionStore
from dbfoundation.errors import (
    AccessDeniedError,
    ConnectionLostError,
    DatabaseError,
    NoDatabaseError,
    PoolTimeoutError,
    UnavailableError,
)
from dbfoundation.runtime.pool import Pool
from models import Session
from tests.pools import backend, small_pool, take_all, take_one, terminate
from tests.process_usage import usage_of
from tests.support import PROJECT, at_database, free_port, make_settings


@pytest.fixture
def own_pool(server):
    with small_pool(server) as own:
        yield own


def select(pool):
    pool.execute_sql("SELECT 1")


def transaction(pool):
    with pool.atomic():
        pytest.fail("BEGIN has succeeded")


@pytest.mark.parametrize("use", [select, transaction, take_one])
def test_a_lost_connection_is_an_error_of_the_library_until_the_context_ends(own_pool, server, use):
    with own_pool.connection_context():
        terminate(server, backend(own_pool))
        for _ in range(2):
            with pytest.raises(ConnectionLostError, match=r"connection to postgres on .* was lost"):
                use(own_pool)
    take_all(own_pool)


def lose_in_a_transaction(pool, settings, then):
    """Insert a row, end the connection, and do something in the same transaction."""
    with pool.connection_context(), pool.atomic():
        Session.create(sid="one", sess={}, expire="2030-01-01")
        terminate(settings, backend(pool))
        then()


def insert_another():
    Session.create(sid="two", sess={}, expire="2030-01-01")


@pytest.mark.parametrize("then", [insert_another, lambda: None], ids=["statement", "commit"])
def test_a_connection_that_is_lost_in_a_transaction_undoes_it(pool, settings, then):
    with pytest.raises(ConnectionLostError):
        lose_in_a_transaction(pool, settings, then)
    with pool.connection_context():
        assert Session.select().count() == 0


def test_a_session_store_on_a_lost_connection_raises_the_same_error(pool, settings):
    store = SessionStore(Session)
    with pool.connection_context():
        store.set("one", {})
        terminate(settings, backend(pool))
        with pytest.raises(ConnectionLostError):
            store.get("one")
    assert store.get("one") == {}


def test_an_error_of_a_statement_stays_peewees(own_pool):
    with own_pool.connection_context():
        with pytest.raises(PeeweeException, match="nonsense"):
            own_pool.execute_sql("SELECT nonsense")
        backend(own_pool)


def test_a_lost_connection_shows_no_password(own_pool, server):
    with own_pool.connection_context():
        terminate(server, backend(own_pool))
        with pytest.raises(ConnectionLostError) as caught:
            select(own_pool)
    assert server.url.password not in str(caught.value)


def test_a_pool_that_cannot_connect_raises_the_typed_error_of_its_cause(server):
    causes = {
        UnavailableError: make_settings(port=free_port()),
        NoDatabaseError: at_database(server, "missing"),
    }
    for kind, settings in causes.items():
        with small_pool(settings) as pool:
            for _ in range(3):  # more often than the pool has places
                with pytest.raises(kind, match="Fix: "):
                    pool.connect()
            assert pool.is_closed()


def test_a_refused_connection_keeps_no_socket_while_its_error_is_kept(private_server):
    server = private_server.settings
    with small_pool(at_database(server, "nowhere")) as pool:
        kept = []
        for _ in range(3):
            with pytest.raises(NoDatabaseError) as refused:
                take_one(pool)
            kept.append(refused)
        assert usage_of(os.getpid(), server.url.port).connections == 0


def test_a_pool_that_peewees_init_configures_raises_peewees_error():
    own = Pool(PROJECT / ".env")
    own.init("app", **make_settings(port=free_port()).connect_kwargs())
    with pytest.raises(OperationalError, match="refused"):
        own.connect()


def test_the_errors_of_the_pool_are_database_errors():
    """So an application answers 503 to one class."""
    for kind in (PoolTimeoutError, ConnectionLostError, UnavailableError, AccessDeniedError):
        assert issubclass(kind, DatabaseError)
