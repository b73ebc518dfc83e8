"""A transaction that begins and ends along with other statements."""

import pytest
from peewee import IntegrityError

from tests.conftest import execute
from toolkit.transaction import Transaction

ROWS = "SELECT n FROM numbers ORDER BY n"


@pytest.fixture
def numbers(db):
    db.execute_sql("CREATE TABLE numbers (n integer UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    return db


def add(db, transaction, *values):
    """Insert the values in one transaction."""
    db.execute_sql(f"{transaction.begin}SELECT 1")
    for value in values[:-1]:
        db.execute_sql("INSERT INTO numbers VALUES (%s)", (value,))
    db.execute_sql(f"INSERT INTO numbers VALUES (%s){transaction.end}", (values[-1],))


def test_it_commits_with_its_last_statement(numbers, settings):
    with Transaction(numbers) as transaction:
        add(numbers, transaction, 1, 2)
        assert execute(settings, ROWS) == [(1,), (2,)]
    assert not numbers.in_transaction()


def test_what_fails_is_undone(numbers, settings):
    def fail():
        with Transaction(numbers) as transaction:
            numbers.execute_sql(f"{transaction.begin}INSERT INTO numbers VALUES (1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert execute(settings, ROWS) == []
    assert not numbers.in_transaction()
    assert not numbers.connection().info.transaction_status


def test_what_fails_at_the_commit_is_undone(numbers, settings):
    with pytest.raises(IntegrityError), Transaction(numbers) as transaction:
        add(numbers, transaction, 1, 1)
    assert execute(settings, ROWS) == []
    with Transaction(numbers) as transaction:
        add(numbers, transaction, 1)
    assert execute(settings, ROWS) == [(1,)]


def test_peewees_own_transactions_are_savepoints_in_it(numbers, settings):
    with Transaction(numbers) as transaction:
        numbers.execute_sql(f"{transaction.begin}SELECT 1")
        with numbers.atomic() as inner:
            numbers.execute_sql("INSERT INTO numbers VALUES (1)")
            inner.rollback()
        numbers.execute_sql(f"INSERT INTO numbers VALUES (2){transaction.end}")
    assert execute(settings, ROWS) == [(2,)]


def test_in_a_transaction_it_is_a_savepoint(numbers, settings):
    def fail():
        with Transaction(numbers) as transaction:
            numbers.execute_sql(f"{transaction.begin}INSERT INTO numbers VALUES (2)")
            raise ZeroDivisionError

    with numbers.atomic():
        with Transaction(numbers) as transaction:
            add(numbers, transaction, 1)
        with pytest.raises(ZeroDivisionError):
            fail()
        assert execute(settings, ROWS) == []
    assert execute(settings, ROWS) == [(1,)]


def test_what_waits_for_a_commit_is_called_after_it_and_forgotten_without(numbers, settings):
    seen = []

    def fail():
        with Transaction(numbers):
            numbers.after_commit(lambda: seen.append("never"))
            raise ZeroDivisionError

    with Transaction(numbers) as transaction:
        numbers.after_commit(lambda: seen.extend(execute(settings, ROWS)))
        add(numbers, transaction, 1)
    assert seen == [(1,)]
    with pytest.raises(ZeroDivisionError):
        fail()
    with Transaction(numbers) as transaction:
        add(numbers, transaction, 2)
    assert seen == [(1,)]
