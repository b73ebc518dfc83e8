"""A generated column: every way of Peewee to write a row works, and none writes the column."""

import pytest
from peewee import DecimalField, IntegerField, Model, ProgrammingError, TextField
from playhouse.shortcuts import model_to_dict

from dbfoundation import generated
from dbfoundation.schema.catalog import read
from tests.bookshop import create_tables, describe_drift


class Priced(Model):
    """Two generated columns, which two tables inherit."""

    price = DecimalField(10, 2)
    amount = IntegerField()
    total = generated(DecimalField(12, 2), "price * amount")
    name = TextField(null=True)
    is_odd = generated(TextField(null=True), "CASE amount % 2 WHEN 1 THEN 'odd' END")


class Item(Priced):
    """A table with an index on a generated column's condition."""


class Offer(Priced):
    """A table without one."""


Item.add_index(Item.name, name="expensive", where=Item.total > 100)


@pytest.fixture
def live(db):
    create_tables(db, Item, Offer)
    with db.bind_ctx([Item, Offer]):
        yield db


def totals(model=Item):
    return [int(item.total) for item in model.select().order_by(model.id)]


def test_the_column_is_generated_by_the_server_and_agrees_with_the_model(live):
    details = {thing.name: thing.details for thing in read(live)}
    assert details["item.total"]["generation"] == (
        "GENERATED ALWAYS AS ((price * (amount)::numeric)) STORED"
    )
    assert details["item.total"]["type"] == "numeric(12,2)"
    assert describe_drift(live, [Item, Offer]) == []


@pytest.mark.usefixtures("live")
def test_a_row_is_created_changed_and_saved():
    item = Item.create(price=2, amount=3)
    assert item.total is None  # as every value that the server computes, until the row is read
    item.amount = 4
    item.save()
    assert totals() == [8]
    read_back = Item.get()
    read_back.amount = 5
    read_back.save()
    read_back.save(only=[Item.amount, Item.total])
    assert totals() == [10]
    assert Item.get().is_odd == "odd"


@pytest.mark.usefixtures("live")
@pytest.mark.parametrize("model", [Item, Offer])
def test_rows_are_written_in_every_way(model):
    model.insert_many([{"price": 1, "amount": 1}, {"price": 1, "amount": 2}]).execute()
    model.insert_many([(1, 3)], fields=[model.price, model.amount]).execute()
    model.bulk_create([model(price=1, amount=4), model(price=1, amount=5)])
    model.insert(price=1, amount=6).execute()
    model.insert(price=1, amount=7, total=99).execute()
    assert totals(model) == [1, 2, 3, 4, 5, 6, 7]
    model.update(price=2).where(model.total > 5).execute()
    model.update(price=3, total=99).where(model.total == 1).execute()
    items = list(model.select().where(model.amount.in_([2, 3])))
    for item in items:
        item.price = 5
    model.bulk_update(items, [model.price])
    assert totals(model) == [3, 10, 15, 4, 5, 12, 14]
    row = {"id": 1, "price": 9, "amount": 9, "total": 1}
    model.insert(row).on_conflict(
        conflict_target=[model.id], preserve=[model.price], where=model.total == 3
    ).execute()
    assert totals(model)[0] == 9


@pytest.mark.usefixtures("live")
def test_the_column_is_read_and_compared_as_any_other():
    Item.insert_many([{"price": 1, "amount": 1}, {"price": 2, "amount": 2}]).execute()
    assert Item.get(Item.total == 4).amount == 2
    assert Item.select().where(Item.total.in_([1, 4])).count() == 2
    assert Item.select().where(Item.total.between(2, 5)).count() == 1
    assert Item.select().where(Item.is_odd.is_null()).count() == 1
    assert Item.select().where(Item.is_odd == None).count() == 1  # noqa: E711 # Peewee's IS NULL
    assert Item.delete().where(Item.total == 1).execute() == 1
    assert model_to_dict(Item.get())["total"] == 4


@pytest.mark.usefixtures("live")
def test_a_returned_row_has_the_column():
    (row,) = Item.insert(price=2, amount=3).returning(Item).execute()
    assert row.total == 6


def test_a_column_that_is_only_a_field_is_rejected_by_the_server(live):
    live.execute_sql("ALTER TABLE item ADD more integer GENERATED ALWAYS AS (1) STORED")

    class Plain(Model):
        price = DecimalField(10, 2)
        amount = IntegerField()
        more = IntegerField(null=True)

        class Meta:
            table_name = "item"

    with live.bind_ctx([Plain]), pytest.raises(ProgrammingError, match="non-DEFAULT"):
        Plain.create(price=1, amount=1, more=1)
