"""Two defaults of one value are no difference, whether the server or the model has them."""

import pytest
from peewee import (
    SQL,
    BigIntegerField,
    BooleanField,
    CharField,
    DateTimeField,
    DecimalField,
    IntegerField,
    Model,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from tests.bookshop import create_tables, describe_drift


@pytest.fixture(scope="module")
def original(module_connection):
    """A connection to a database with the models' tables."""
    create_tables(module_connection, Stock, Order)
    return module_connection


@pytest.fixture
def live(original):
    """The same connection, in a transaction that is rolled back after the test."""
    with original.atomic() as transaction:
        yield original
        transaction.rollback()


# Defaults that the server evaluates to the same value


class Stock(Model):
    """A table with defaults that have several spellings."""

    made = DateTimeTZField(constraints=[SQL("DEFAULT now()")])
    seen = DateTimeField(constraints=[SQL("DEFAULT CURRENT_TIMESTAMP")])
    number = IntegerField(constraints=[SQL("DEFAULT 0")])
    big = BigIntegerField(constraints=[SQL("DEFAULT '0'")])
    below = IntegerField(constraints=[SQL("DEFAULT -1")])
    price = DecimalField(10, 2, constraints=[SQL("DEFAULT 0")])
    name = CharField(constraints=[SQL("DEFAULT ''")])
    more = CharField(null=True, max_length=20)


SAME_DEFAULTS = [
    "made SET DEFAULT CURRENT_TIMESTAMP",
    "made SET DEFAULT transaction_timestamp()",
    "seen SET DEFAULT now()",
    "number SET DEFAULT '0'::bigint",
    "number SET DEFAULT '0'::smallint",
    "big SET DEFAULT 0",
    "below SET DEFAULT (-1)",
    "price SET DEFAULT '0.00'",
    "name SET DEFAULT ''::text",
    "more SET DEFAULT NULL",
]
OTHER_DEFAULTS = [
    "made SET DEFAULT clock_timestamp()",
    "number SET DEFAULT '1'",
    "number DROP DEFAULT",
    "price SET DEFAULT '0.01'",
    "name SET DEFAULT ' '",
    "name SET DEFAULT NULL",
    "more SET DEFAULT 'NULL'",
]


@pytest.mark.parametrize("change", SAME_DEFAULTS)
def test_a_default_of_the_same_value_is_no_difference(live, change):
    live.execute_sql(f"ALTER TABLE stock ALTER {change}")
    assert describe_drift(live, [Stock, Order]) == []


@pytest.mark.parametrize("change", OTHER_DEFAULTS)
def test_a_default_of_another_value_is_a_difference(live, change):
    live.execute_sql(f"ALTER TABLE stock ALTER {change}")
    (found,) = describe_drift(live, [Stock, Order])
    assert found.startswith(f"stock.{change.split()[0]}: ")


def test_no_function_is_called_to_compare_two_defaults(live):
    live.execute_sql(
        "CREATE SEQUENCE calls; CREATE FUNCTION zero() RETURNS integer IMMUTABLE LANGUAGE sql AS "
        "$$SELECT 0 * nextval('calls')::integer$$; "
        "ALTER TABLE stock ALTER number SET DEFAULT zero()"
    )
    assert describe_drift(live, [Stock, Order]) == [
        "stock.number: the database has DEFAULT zero(), the model DEFAULT 0"
    ]
    assert live.execute_sql("SELECT is_called FROM calls").fetchone() == (False,)


# A default in Python


class Order(Model):
    """A table whose model has defaults in Python."""

    count = IntegerField(default=1)
    title = CharField(max_length=50, default="it's 100%")
    tags = BinaryJSONField(default={"a": 1}, index=False)
    sent = BooleanField(default=False)
    code = CharField(default=lambda: "x")


@pytest.mark.parametrize(
    "change",
    [
        "count SET DEFAULT 1",
        "count SET DEFAULT '1'::bigint",
        "title SET DEFAULT 'it''s 100%%'",
        "tags SET DEFAULT '{\"a\": 1}'",
        "sent SET DEFAULT false",
    ],
)
def test_a_server_default_that_is_the_models_constant_is_no_difference(live, change):
    live.execute_sql(f'ALTER TABLE "order" ALTER {change}')
    assert describe_drift(live, [Stock, Order]) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("count SET DEFAULT 2", "2"),
        ("sent SET DEFAULT true", "true"),
        ("code SET DEFAULT 'x'", "'x'::character varying"),
    ],
)
def test_any_other_server_default_is_a_difference(live, change, text):
    live.execute_sql(f'ALTER TABLE "order" ALTER {change}')
    column = change.split()[0]
    assert describe_drift(live, [Stock, Order]) == [
        f'"order".{column}: only the database has DEFAULT {text}'
    ]
