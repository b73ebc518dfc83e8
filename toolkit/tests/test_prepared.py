"""Prepared statements: prepared once a connection, and run as plain SQL where that is safer."""

import logging

import pytest
from peewee import DataError, IntegrityError, ProgrammingError

from dbfoundation import Prepared, SessionStore
from dbfoundation.errors import NotConnectedError
from dbfoundation.runtime.connection import dedicated
from models import Session
from tests.support import execute

ADD = Prepared("SELECT %s + 10")
READ = Prepared("SELECT value FROM things WHERE name LIKE 'a%%s' AND id = %s")
WRITE = Prepared("UPDATE things SET value = %s")
THINGS = "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT, value TEXT)"


@pytest.fixture
def connection(pool):
    """The pool, with a connection for the length of the test."""
    with pool.connection_context():
        yield pool


@pytest.fixture
def things(connection):
    """The pool with a connection, and a table of two things."""
    connection.execute_sql(THINGS)
    connection.execute_sql("INSERT INTO things VALUES (1, 'abs', '7'), (2, 'b', '8')")
    return connection


def add(db, value=1):
    return db.execute_sql(ADD, (value,)).fetchall()


def read(db):
    return db.execute_sql(READ, (1,)).fetchall()


def prepared_statements(db):
    """The prepared statements of the thread's connection, and the number of runs of each."""
    query = "SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements"
    return db.execute_sql(query).fetchall()


@pytest.fixture
def log(caplog):
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        yield caplog


def sent_statements(log):
    """The statements in Peewee's log, without their values."""
    return [record.msg[0] for record in log.records]


def test_a_statement_is_prepared_once_a_connection(connection):
    assert [add(connection, value) for value in (1, 2, 3)] == [[(11,)], [(12,)], [(13,)]]
    [(statement, runs)] = prepared_statements(connection)
    assert statement.endswith("AS SELECT $1 + 10")
    assert runs == 3


def test_a_pooled_connection_keeps_its_prepared_statements(pool):
    for _ in range(2):
        with pool.connection_context():
            add(pool)
    with pool.connection_context():
        [(_, runs)] = prepared_statements(pool)
    assert runs == 2


def test_peewees_hooks_receive_a_prepared_statement(connection):
    add(connection)
    events = []
    connection.query_hooks.append(events.append)
    try:
        add(connection, 2)
    finally:
        connection.query_hooks.clear()
    assert [(event.sql, event.params) for event in events] == [(ADD.execution, (2,))]


def test_the_statements_on_one_session_are_prepared(pool):
    store = SessionStore(Session)
    for _ in range(2):
        store.set("one", {"a": 1})
        store.get("one")
        store.save("one", {"a": 2})
        store.touch("one")
        store.destroy(store.regenerate("one") or "")
        store.all()
        store.count()
    with pool.connection_context():
        assert [runs for _, runs in prepared_statements(pool)] == [2] * 6


def test_the_text_of_a_statement_decides_its_name():
    assert Prepared("SELECT %s").execution != ADD.execution
    assert Prepared("SELECT %s + 10").execution == ADD.execution


def test_a_percent_sign_is_written_twice_as_in_plain_sql(things):
    assert [read(things), read(things)] == [[("7",)], [("7",)]]
    assert len(prepared_statements(things)) == 1
    with things.atomic():
        assert read(things) == [("7",)]


def test_a_statement_may_have_no_values(connection):
    one = Prepared("SELECT 1")
    assert [connection.execute_sql(one).fetchall() for _ in range(2)] == [[(1,)], [(1,)]]
    assert len(prepared_statements(connection)) == 1


# Plain SQL instead


def test_any_other_database_runs_plain_sql(settings):
    other = dedicated(settings, "test")
    with other.connection_context():
        assert add(other) == [(11,)]
        assert prepared_statements(other) == []


def test_a_transaction_runs_plain_sql_because_a_failure_would_end_it(connection):
    with connection.atomic():
        add(connection)
        assert prepared_statements(connection) == []
    add(connection)
    with connection.atomic():
        connection.execute_sql("DEALLOCATE ALL")
        assert add(connection) == [(11,)]


def test_a_connection_without_autocommit_runs_plain_sql(connection):
    add(connection)
    connection.execute_sql("DEALLOCATE ALL")
    connection.connection().autocommit = False
    assert add(connection) == [(11,)]


def test_a_prepared_statement_needs_a_context_as_plain_sql_does(pool):
    with pytest.raises(NotConnectedError):
        add(pool)


def test_a_discarded_statement_runs_as_plain_sql_from_then_on(connection, log):
    add(connection)
    connection.execute_sql("DISCARD ALL")
    assert add(connection) == [(11,)]
    assert prepared_statements(connection) == []
    log.clear()
    assert add(connection) == [(11,)]
    assert sent_statements(log) == [ADD]


def test_a_statement_that_the_server_cannot_prepare_runs_as_plain_sql(connection):
    is_null = Prepared("SELECT %s IS NULL")
    assert [connection.execute_sql(is_null, (1,)).fetchall() for _ in range(2)] == [[(False,)]] * 2
    assert prepared_statements(connection) == []


def test_a_statement_that_is_already_prepared_is_no_error(connection):
    connection.execute_sql(ADD.preparation)
    assert [add(connection), add(connection)] == [[(11,)], [(11,)]]


# A changed schema


@pytest.mark.parametrize(
    ("column", "kind", "key", "rows"),
    [("value", "INTEGER", 1, [(7,)]), ("id", "TEXT", "1", [("7",)])],
    ids=["returned", "compared"],
)
def test_a_new_type_of_a_read_column_is_no_error(things, column, kind, key, rows):
    assert read(things) == [("7",)]
    things.execute_sql(f"ALTER TABLE things ALTER {column} TYPE {kind} USING {column}::{kind}")
    for _ in range(2):
        assert things.execute_sql(READ, (key,)).fetchall() == rows


def test_a_new_type_of_a_written_column_is_no_error(things):
    things.execute_sql(WRITE, ("7",))
    things.execute_sql("ALTER TABLE things ALTER value TYPE INTEGER USING value::INTEGER")
    assert things.execute_sql(WRITE, ("9",)).rowcount == 2
    assert read(things) == [(9,)]


def test_a_table_that_was_dropped_and_created_again_is_read(connection, settings):
    for value in ("7", "8"):
        execute(settings, "DROP TABLE IF EXISTS things")
        execute(settings, THINGS)
        execute(settings, "INSERT INTO things VALUES (1, 'abs', %s)", value)
        assert read(connection) == [(value,)]


# Errors


def test_an_error_is_that_of_plain_sql(connection):
    with pytest.raises(ProgrammingError, match='relation "things" does not exist'):
        read(connection)
    connection.execute_sql(THINGS)
    assert read(connection) == []


def test_a_statement_that_ran_and_failed_is_not_repeated(things, log):
    insert = Prepared("INSERT INTO things (id) VALUES (%s)")
    with pytest.raises(IntegrityError):
        things.execute_sql(insert, (1,))
    with pytest.raises(DataError):
        things.execute_sql(insert, ("x",))
    assert sent_statements(log)[-2:] == [insert.execution] * 2


def test_a_statement_is_not_repeated_after_an_unsupported_feature_in_its_function(things):
    things.execute_sql("CREATE SEQUENCE calls")
    things.execute_sql(
        "CREATE FUNCTION refuse(INTEGER) RETURNS INTEGER LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM nextval('calls'); RAISE feature_not_supported; END $$"
    )
    with pytest.raises(Exception, match="feature_not_supported"):
        things.execute_sql(Prepared("SELECT refuse(%s)"), (1,))
    assert things.execute_sql("SELECT nextval('calls')").fetchall() == [(2,)]
