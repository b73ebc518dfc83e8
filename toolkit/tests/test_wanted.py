"""The wanted schema is created for a moment: it changes nothing and reads no live table."""

from contextlib import contextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from peewee import (
    SQL,
    Check,
    CompositeKey,
    ForeignKeyField,
    IntegerField,
    Model,
    OperationalError,
    TextField,
)

from dbfoundation.errors import AccessDeniedError, DatabaseError
from dbfoundation.migrations.history import TABLE
from dbfoundation.runtime.connection import dedicated
from dbfoundation.schema.drift import find_drift
from models import MODELS
from tests.bookshop import (
    BOOKS,
    BOOKSHOP,
    CUSTOMERS,
    Book,
    Customer,
    Namesake,
    catalog_names,
    create_tables,
    describe_drift,
)
from tests.support import execute


@pytest.fixture
def live(db):
    create_tables(db, *BOOKSHOP)
    return db


def test_the_migrations_create_the_wanted_schema(migrated):
    assert describe_drift(migrated, MODELS, {TABLE}) == []
    assert describe_drift(migrated, MODELS) == [f"{TABLE}: only the database has this table"]


def test_the_wanted_schema_is_rolled_back_and_waits_for_no_table_lock(live, settings):
    before = catalog_names(settings)
    other = dedicated(settings, "other")
    live.execute_sql("SET lock_timeout = '1s'")
    with other.connection_context(), other.atomic():
        other.execute_sql(f"LOCK TABLE {BOOKS}, authors IN EXCLUSIVE MODE")
        assert describe_drift(live) == []
    assert catalog_names(settings) == before
    assert live.execute_sql("SHOW search_path").fetchone() == ('"$user", public',)


def test_models_that_the_server_rejects_are_an_error_and_leave_no_table(live, settings):
    class Odd(Model):
        number = IntegerField(constraints=[SQL("DEFAULT 'one'::no_such_type")])

    before = catalog_names(settings)
    with pytest.raises(DatabaseError, match=r"the server rejects the models: .*no_such_type"):
        find_drift(live, [Odd], ())
    assert catalog_names(settings) == before


def test_a_single_percent_sign_in_a_model_is_an_error_with_its_fix(db):
    class Odd(Model):
        name = TextField(constraints=[Check("name LIKE 'a%'")])

    with pytest.raises(
        DatabaseError, match=r"the driver rejects the models: .*\nFix: .*write % as %%"
    ):
        find_drift(db, [Odd], ())


# Users and locks


class Review(Model):
    """A table that refers to others, which refer to more."""

    book = ForeignKeyField(Book)
    customer = ForeignKeyField(Customer)


@pytest.fixture
def schemas(live):
    live.execute_sql("CREATE SCHEMA shop")
    create_tables(live, Customer, Namesake)
    return live


@pytest.fixture
def visitor(settings):
    """A connection of a user that owns nothing and has no privilege."""
    name = f"visitor_{uuid4().hex[:8]}"
    execute(settings, f"CREATE ROLE {name} LOGIN PASSWORD %s", settings.url.password)
    connection = dedicated(replace(settings, url=replace(settings.url, user=name)), "check")
    with connection.connection_context():
        yield connection
    execute(settings, f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_user_without_create_on_the_database_gets_an_error_with_the_fix(live, settings, visitor):
    live.execute_sql(f"ALTER TABLE {BOOKS} ALTER stock SET DEFAULT 2")
    with pytest.raises(AccessDeniedError, match="permission denied for database") as raised:
        find_drift(visitor, BOOKSHOP, ())
    grant = f'GRANT CREATE ON DATABASE "{settings.url.name}" TO "{visitor.connection().info.user}"'
    assert f"\nFix: {grant}." in str(raised.value)
    execute(settings, grant)
    assert describe_drift(visitor) == [
        f"{BOOKS}.stock: the database has DEFAULT 2, the model DEFAULT 1"
    ]


@pytest.mark.usefixtures("schemas")
def test_a_user_without_references_on_a_table_may_compare(settings, visitor):
    user = visitor.connection().info.user
    execute(settings, f'GRANT CREATE ON DATABASE "{settings.url.name}" TO {user}')
    assert "review: only the model has this table" in describe_drift(visitor, [Review])


def test_a_table_that_a_model_refers_to_is_not_locked(schemas, settings):
    create_tables(schemas, Review)
    others = {"authors", "Order Books", "customers"}
    other = dedicated(settings, "other")
    schemas.execute_sql("SET lock_timeout = '1s'")
    with other.connection_context(), other.atomic():
        other.execute_sql("INSERT INTO authors (email, name) VALUES ('a', 'a')")
        other.execute_sql(f"LOCK TABLE {BOOKS}, {CUSTOMERS} IN ROW EXCLUSIVE MODE")
        assert describe_drift(schemas, [Review], others) == []
    schemas.execute_sql(
        "ALTER TABLE review DROP CONSTRAINT review_customer_id_fkey, "
        "ADD FOREIGN KEY (customer_id) REFERENCES authors (id)"
    )
    assert describe_drift(schemas, [Review], others) == [
        (
            "review, constraint review_customer_id_fkey: the database has "
            "FOREIGN KEY (customer_id) REFERENCES authors(id), "
            f"the model FOREIGN KEY (customer_id) REFERENCES {CUSTOMERS}(id)"
        )
    ]


def test_a_lock_of_another_session_is_awaited_for_the_table_lock_timeout(live, settings):
    visitor = dedicated(replace(settings, migrate_table_lock_timeout_seconds=1), "check")
    with live.atomic(), visitor.connection_context():
        live.execute_sql(f"LOCK TABLE {BOOKS}")
        with pytest.raises(OperationalError, match="lock timeout"):
            find_drift(visitor, BOOKSHOP, ())


# SQL() that names a schema


class Low(Model):
    """A table with an index that names its schema."""

    name = TextField()


Low.add_index(SQL("CREATE INDEX low_name ON public.low (lower(name))"))


class Pointer(Model):
    """A table with a foreign key that names a schema."""

    author = IntegerField(constraints=[SQL("REFERENCES public.authors (id)")])


@contextmanager
def raises_and_changes_nothing(settings, reason):
    before = catalog_names(settings)
    with pytest.raises(DatabaseError, match=f"{reason}\nFix: .*Meta.schema"):
        yield
    assert catalog_names(settings) == before


def test_a_missing_index_that_names_the_live_schema_is_not_taken_for_agreement(live, settings):
    live.execute_sql("CREATE TABLE low (id serial PRIMARY KEY, name text NOT NULL)")
    with raises_and_changes_nothing(settings, "the models' SQL uses live tables: public.low"):
        find_drift(live, [*BOOKSHOP, Low], ())


def test_an_index_that_names_the_live_schema_and_exists_is_an_error(live, settings):
    live.execute_sql("CREATE TABLE low (name text); CREATE INDEX low_name ON low (lower(name))")
    with raises_and_changes_nothing(settings, 'relation "low_name" already exists'):
        find_drift(live, [Low], ())


def test_a_foreign_key_that_names_the_live_schema_is_an_error(live, settings):
    with raises_and_changes_nothing(settings, "the models' SQL uses live tables: authors"):
        find_drift(live, [Pointer], ())


class Room(Model):
    """A table with a key of two columns."""

    house = IntegerField()
    number = IntegerField()

    class Meta:
        primary_key = CompositeKey("house", "number")


class Booking(Model):
    """A table that refers to that key, by SQL()."""

    house = IntegerField()
    number = IntegerField()

    class Meta:
        constraints = (SQL("FOREIGN KEY (house, number) REFERENCES room (house, number)"),)


class SortedBooking(Booking):
    """The same, created after the table that it refers to."""

    class Meta:
        table_name = "booking"
        depends_on = (Room,)


def test_sql_that_refers_to_the_table_of_another_model_needs_depends_on(live):
    with pytest.raises(DatabaseError, match=r'"room" does not exist\nFix: .*Meta\.depends_on'):
        find_drift(live, [Booking, Room], ())
    create_tables(live, Room, SortedBooking)
    with pytest.raises(
        DatabaseError, match=r"uses live tables: public.room\nFix: .*Meta\.depends_on"
    ):
        find_drift(live, [Booking, Room], ())
    assert describe_drift(live, [*BOOKSHOP, SortedBooking, Room]) == []
