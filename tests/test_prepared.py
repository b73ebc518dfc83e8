"""Prepared statements: once a connection, and never in the caller's way."""

import logging

import pytest
from peewee import ProgrammingError

from tests.conftest import execute
from toolkit.database import dedicated
from toolkit.prepared import Prepared

TEN = Prepared("SELECT %s + 10")
LOOK = Prepared("SELECT value FROM things WHERE name LIKE 'a%%' AND id = %s")


@pytest.fixture
def connection(pool):
    """The pool, with a connection for the length of the test."""
    with pool.connection_context():
        yield pool


def ten(db, value=1):
    return db.execute_sql(TEN, (value,)).fetchall()


def known(db):
    """What the thread's connection has prepared, and how often each ran."""
    query = "SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements"
    return db.execute_sql(query).fetchall()


def test_a_statement_is_prepared_once_a_connection(connection):
    assert [ten(connection, value) for value in (1, 2, 3)] == [[(11,)], [(12,)], [(13,)]]
    [(statement, runs)] = known(connection)
    assert statement.endswith("AS SELECT $1 + 10")
    assert runs == 3


def test_the_next_thread_finds_it_prepared(pool):
    for _ in range(2):
        with pool.connection_context():
            ten(pool)
    with pool.connection_context():
        [(_, runs)] = known(pool)
    assert runs == 2


def test_the_name_tells_one_text_from_another():
    assert Prepared("SELECT %s").execution != TEN.execution
    assert Prepared("SELECT %s + 10").execution == TEN.execution


def test_a_percent_sign_is_written_twice_as_ever(connection):
    connection.execute_sql("CREATE TABLE things (id INTEGER, name TEXT, value TEXT)")
    connection.execute_sql("INSERT INTO things VALUES (1, 'abc', 'x'), (1, 'b', 'y')")
    for _ in range(2):
        assert connection.execute_sql(LOOK, (1,)).fetchall() == [("x",)]
    with connection.atomic():
        assert connection.execute_sql(LOOK, (1,)).fetchall() == [("x",)]


def test_it_is_plain_sql_on_any_other_database(settings):
    other = dedicated(settings, "test")
    with other.connection_context():
        assert ten(other) == [(11,)]
        assert known(other) == []


def test_in_a_transaction_it_is_plain_sql_for_a_failure_would_end_that(connection):
    with connection.atomic():
        ten(connection)
        assert known(connection) == []
    ten(connection)
    with connection.atomic():
        connection.execute_sql("DISCARD PLANS; DEALLOCATE ALL")
        assert ten(connection) == [(11,)]


def test_who_discards_it_goes_on_without(connection, caplog):
    ten(connection)
    connection.execute_sql("DISCARD ALL")
    assert ten(connection) == [(11,)]
    assert known(connection) == []
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        assert ten(connection) == [(11,)]
    assert [record.msg for record in caplog.records] == [(TEN, (1,))]


def test_one_that_is_there_already_is_no_failure(connection):
    connection.execute_sql(TEN.preparation)
    assert [ten(connection), ten(connection)] == [[(11,)], [(11,)]]


def test_a_change_of_the_result_s_type_is_no_failure(connection):
    connection.execute_sql("CREATE TABLE things (id INTEGER, name TEXT, value TEXT)")
    connection.execute_sql("INSERT INTO things VALUES (1, 'abc', '7')")
    assert connection.execute_sql(LOOK, (1,)).fetchall() == [("7",)]
    connection.execute_sql("ALTER TABLE things ALTER value TYPE INTEGER USING value::INTEGER")
    for _ in range(2):
        assert connection.execute_sql(LOOK, (1,)).fetchall() == [(7,)]


def test_a_table_made_anew_is_read(connection, settings):
    for value in ("7", "8"):
        execute(settings, "DROP TABLE IF EXISTS things")
        execute(settings, "CREATE TABLE things (id INTEGER, name TEXT, value TEXT)")
        execute(settings, "INSERT INTO things VALUES (1, 'abc', %s)", value)
        assert connection.execute_sql(LOOK, (1,)).fetchall() == [(value,)]


def test_what_fails_fails_as_plain_sql_does(connection):
    with pytest.raises(ProgrammingError, match='relation "things" does not exist'):
        connection.execute_sql(LOOK, (1,))
    connection.execute_sql("CREATE TABLE things (id INTEGER, name TEXT, value TEXT)")
    assert connection.execute_sql(LOOK, (1,)).fetchall() == []
