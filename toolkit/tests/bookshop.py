"""The models of a bookshop, for the tests of drift."""

from peewee import (
    SQL,
    AutoField,
    CharField,
    Check,
    DecimalField,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)
from playhouse.postgres_ext import BinaryJSONField, DateTimeTZField

from dbfoundation.schema.drift import find_drift
from tests.support import execute

BOOKS = '"Order Books"'
CUSTOMERS = "shop.customers"


class Author(Model):
    """A table that others refer to."""

    email = CharField(max_length=100, unique=True)
    name = TextField(default="")

    class Meta:
        table_name = "authors"


class Book(Model):
    """A table with everything that a model can declare, and a name that needs quotes."""

    id = AutoField()
    author = ForeignKeyField(Author, on_delete="CASCADE")
    title = CharField(max_length=200)
    price = DecimalField(10, 2, constraints=[Check("price >= 0", name="price_is_positive")])
    stock = IntegerField(constraints=[SQL("DEFAULT 1")])
    made = DateTimeTZField(constraints=[SQL("DEFAULT now()")])
    tags = BinaryJSONField(null=True)
    shelf = TextField(null=True, collation='"C"')

    class Meta:
        table_name = "Order Books"
        table_settings = ("WITH (fillfactor=70)",)
        indexes = ((("title", "price"), True),)


Book.add_index(Book.made, name="in_stock", where=(Book.stock > 0))
Book.add_index(SQL('CREATE INDEX lower_title ON "Order Books" (lower(title))'))


class Customer(Model):
    """A table in another schema."""

    id = IntegerField(primary_key=True, sequence="customer_numbers")
    name = TextField(index=True)
    favourite = ForeignKeyField(Book)

    class Meta:
        schema = "shop"
        table_name = "customers"


Customer.add_index(Customer.name, Customer.favourite, name="by_both")


class Namesake(Model):
    """A table of the same name in the session's schema."""

    number = IntegerField(null=True)

    class Meta:
        table_name = "customers"


BOOKSHOP = [Author, Book]
ALL = [*BOOKSHOP, Customer, Namesake]


def create_tables(db, *models):
    with db.bind_ctx(models):
        db.create_tables(models)


def describe_drift(db, models=BOOKSHOP, ignored=()):
    """A sentence for each difference."""
    return [
        difference.describe("the database", "the model")
        for difference in find_drift(db, models, ignored)
    ]


def catalog_names(settings):
    """The names of all schemas, tables, indexes and sequences."""
    query = "SELECT nspname FROM pg_namespace UNION ALL SELECT relname FROM pg_class ORDER BY 1"
    return execute(settings, query)
