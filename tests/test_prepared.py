"""Prepared statements: once a connection, and never in the caller's way."""

import logging

import pytest
from peewee import DataError, IntegrityError, InterfaceError, ProgrammingError

from models import SessionStore
from tests.conftest import execute
from toolkit.database import dedicated
from toolkit.prepared import Prepared

TEN = Prepared("SELECT %s + 10")
LOOK = Prepared("SELECT value FROM things WHERE name LIKE 'a%%s' AND id = %s")
WRITE = Prepared("UPDATE things SET value = %s")
THINGS = "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT, value TEXT)"


@pytest.fixture
def connection(pool):
    """The pool, with a connection for the length of the test."""
    with pool.connection_context():
        yield pool


@pytest.fixture
def things(connection):
    """The same, with a table of two things."""
    connection.execute_sql(THINGS)
    connection.execute_sql("INSERT INTO things VALUES (1, 'abs', '7'), (2, 'b', '8')")
    return connection


def ten(db, value=1):
    return db.execute_sql(TEN, (value,)).fetchall()


def look(db):
    return db.execute_sql(LOOK, (1,)).fetchall()


def known(db):
    """What the thread's connection has prepared, and how often each ran."""
    query = "SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements"
    return db.execute_sql(query).fetchall()


def sent(caplog):
    """The statements that were sent, without their values."""
    return [record.msg[0] for record in caplog.records]


@pytest.fixture
def log(caplog):
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        yield caplog


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


def test_what_is_about_one_session_is_prepared(pool):
    store = SessionStore()
    for _ in range(2):
        store.set("one", {"a": 1})
        store.get("one")
        store.save("one", {"a": 2})
        store.touch("one")
        store.destroy(store.regenerate("one") or "")
        store.all()
        store.count()
    with pool.connection_context():
        assert [runs for _, runs in known(pool)] == [2] * 6


def test_the_name_tells_one_text_from_another():
    assert Prepared("SELECT %s").execution != TEN.execution
    assert Prepared("SELECT %s + 10").execution == TEN.execution


def test_a_percent_sign_is_written_twice_as_ever(things):
    assert [look(things), look(things)] == [[("7",)], [("7",)]]
    assert len(known(things)) == 1
    with things.atomic():
        assert look(things) == [("7",)]


def test_there_may_be_no_values(connection):
    one = Prepared("SELECT 1")
    assert [connection.execute_sql(one).fetchall() for _ in range(2)] == [[(1,)], [(1,)]]
    assert len(known(connection)) == 1


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
        connection.execute_sql("DEALLOCATE ALL")
        assert ten(connection) == [(11,)]


def test_so_it_is_on_a_connection_out_of_autocommit(connection):
    ten(connection)
    connection.execute_sql("DEALLOCATE ALL")
    connection.connection().autocommit = False
    assert ten(connection) == [(11,)]


def test_it_connects_no_sooner_than_any_statement(pool):
    pool.autoconnect = False
    try:
        with pytest.raises(InterfaceError, match="not opened"):
            ten(pool)
    finally:
        pool.autoconnect = True


def test_who_discards_it_goes_on_without(connection, log):
    ten(connection)
    connection.execute_sql("DISCARD ALL")
    assert ten(connection) == [(11,)]
    assert known(connection) == []
    log.clear()
    assert ten(connection) == [(11,)]
    assert sent(log) == [TEN]


def test_one_that_is_there_already_is_no_failure(connection):
    connection.execute_sql(TEN.preparation)
    assert [ten(connection), ten(connection)] == [[(11,)], [(11,)]]


@pytest.mark.parametrize(
    ("column", "found"), [("value", [(7,)]), ("id", [("7",)])], ids=["returned", "compared"]
)
def test_another_type_of_a_column_is_no_failure(things, column, found):
    assert look(things) == [("7",)]
    kind = "INTEGER" if column == "value" else "TEXT"
    things.execute_sql(f"ALTER TABLE things ALTER {column} TYPE {kind} USING {column}::{kind}")
    where = (1,) if column == "value" else ("1",)
    for _ in range(2):
        assert things.execute_sql(LOOK, where).fetchall() == found


def test_nor_of_a_column_that_is_written(things):
    things.execute_sql(WRITE, ("7",))
    things.execute_sql("ALTER TABLE things ALTER value TYPE INTEGER USING value::INTEGER")
    assert things.execute_sql(WRITE, ("9",)).rowcount == 2
    assert look(things) == [(9,)]


def test_a_table_made_anew_is_read(connection, settings):
    for value in ("7", "8"):
        execute(settings, "DROP TABLE IF EXISTS things")
        execute(settings, THINGS)
        execute(settings, "INSERT INTO things VALUES (1, 'abs', %s)", value)
        assert look(connection) == [(value,)]


def test_what_cannot_be_prepared_is_plain_sql(connection):
    isnt = Prepared("SELECT %s IS NULL")
    assert [connection.execute_sql(isnt, (1,)).fetchall() for _ in range(2)] == [[(False,)]] * 2
    assert known(connection) == []


def test_what_fails_fails_as_plain_sql_does(connection):
    with pytest.raises(ProgrammingError, match='relation "things" does not exist'):
        look(connection)
    connection.execute_sql(THINGS)
    assert look(connection) == []


def test_what_was_run_and_failed_is_not_run_again(things, log):
    add = Prepared("INSERT INTO things (id) VALUES (%s)")
    with pytest.raises(IntegrityError):
        things.execute_sql(add, (1,))
    with pytest.raises(DataError):
        things.execute_sql(add, ("x",))
    assert sent(log)[-2:] == [add.execution] * 2


def test_nor_is_what_a_function_of_it_says_it_cannot_do(things):
    things.execute_sql("CREATE SEQUENCE calls")
    things.execute_sql(
        "CREATE FUNCTION refuse(INTEGER) RETURNS INTEGER LANGUAGE plpgsql AS $$ BEGIN "
        "PERFORM nextval('calls'); RAISE feature_not_supported; END $$"
    )
    with pytest.raises(Exception, match="feature_not_supported"):
        things.execute_sql(Prepared("SELECT refuse(%s)"), (1,))
    assert things.execute_sql("SELECT nextval('calls')").fetchall() == [(2,)]
