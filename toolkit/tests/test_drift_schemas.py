"""Drift with several schemas: the models' tables are found, and nothing else is taken for them."""

import pytest
from peewee import IntegerField, Model

from dbfoundation.runtime.connection import dedicated
from dbfoundation.schema.drift import find_drift, read_sides
from dbfoundation.schema.placement import find_placement
from tests.bookshop import (
    ALL,
    BOOKS,
    BOOKSHOP,
    CUSTOMERS,
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


def test_a_table_without_a_model_is_a_difference_in_the_first_schema_and_the_models_schema(live):
    live.execute_sql("CREATE SCHEMA mine; SET search_path = mine, public")
    assert describe_drift(live) == []
    live.execute_sql("CREATE TABLE public.of_others (id integer)")
    assert describe_drift(live) == ["of_others: only the database has this table"]
    live.execute_sql("CREATE TABLE mine.more (id integer)")
    assert describe_drift(live, ignored=["of_others"]) == ["more: only the database has this table"]
    live.execute_sql("CREATE TABLE mine.authors (id integer)")
    assert "authors.email: only the model has this column" in describe_drift(live)


def test_an_empty_schema_with_the_users_name_hides_no_table(live):
    live.execute_sql("CREATE TABLE more (id integer)")
    live.execute_sql("CREATE SCHEMA AUTHORIZATION CURRENT_USER")
    assert describe_drift(live) == ["more: only the database has this table"]


def test_a_schema_with_names_of_pg_catalog_hides_no_difference(live):
    live.execute_sql("CREATE SCHEMA evil; CREATE TABLE evil.pg_class (oid oid, relname name)")
    live.execute_sql(
        "CREATE FUNCTION evil.format_type(oid, integer) RETURNS text LANGUAGE sql AS "
        "$$SELECT 'anything'$$"
    )
    live.execute_sql("SET search_path = evil, pg_catalog, public")
    live.execute_sql(f"ALTER TABLE public.{BOOKS} ALTER title TYPE text")
    sentence = f"{BOOKS}.title: the database has text, the model character varying(200)"
    assert sentence in describe_drift(live)


def test_a_function_that_matches_an_argument_better_hides_no_difference(live):
    for name in ("quote_ident(name)", "pg_get_expr(pg_node_tree, integer)"):
        live.execute_sql(
            f"CREATE FUNCTION public.{name} RETURNS text LANGUAGE sql AS $$SELECT 'x'$$"
        )
    live.execute_sql(
        "CREATE FUNCTION glued(regclass, text) RETURNS text LANGUAGE sql AS $$SELECT 'x'$$; "
        "CREATE OPERATOR || (FUNCTION = glued, LEFTARG = regclass, RIGHTARG = text)"
    )
    live.execute_sql(f"ALTER TABLE {BOOKS} ALTER stock SET DEFAULT 2, ADD more integer")
    assert describe_drift(live) == [
        f"{BOOKS}.more: only the database has this column",
        f"{BOOKS}.stock: the database has DEFAULT 2, the model DEFAULT 1",
    ]


def test_tables_are_found_in_the_schema_of_the_search_path(db):
    db.execute_sql('CREATE SCHEMA "My App"; SET search_path = "My App"')
    create_tables(db, *BOOKSHOP)
    assert describe_drift(db) == []
    db.execute_sql(f"ALTER TABLE {BOOKS} DROP stock; CREATE TABLE public.of_others (id integer)")
    assert f"{BOOKS}.stock: only the model has this column" in describe_drift(db)


def test_a_sequence_is_found_in_a_later_schema_of_the_search_path(db):
    class Ticket(Model):
        id = IntegerField(primary_key=True, sequence="ticket_numbers")

    db.execute_sql("CREATE SCHEMA later; SET search_path = public, later")
    create_tables(db, Ticket)
    db.execute_sql("ALTER SEQUENCE ticket_numbers SET SCHEMA later")
    db.execute_sql("CREATE SEQUENCE later.others; CREATE TABLE later.of_others (id integer)")
    assert describe_drift(db, [Ticket]) == []


# Models of two schemas


@pytest.fixture
def schemas(live):
    live.execute_sql("CREATE SCHEMA shop")
    create_tables(live, Customer, Namesake)
    return live


def test_tables_of_one_name_in_two_schemas_are_compared_without_a_lock(schemas, settings):
    before = catalog_names(settings)
    other = dedicated(settings, "other")
    schemas.execute_sql("SET lock_timeout = '1s'")
    with other.connection_context(), other.atomic():
        other.execute_sql(f"LOCK TABLE {CUSTOMERS}, public.customers IN EXCLUSIVE MODE")
        assert describe_drift(schemas, ALL) == []
    assert catalog_names(settings) == before


def test_the_seam_of_a_models_schema_and_indexes_is_as_before(schemas):
    assert describe_drift(schemas, ALL) == []
    assert Customer._meta.schema == "shop"
    assert Customer._meta.indexes[0]._table is Customer._meta.table


def test_a_session_or_a_database_that_quotes_every_name_causes_no_difference(schemas, settings):
    schemas.execute_sql("SET quote_all_identifiers = on")
    assert describe_drift(schemas, ALL) == []
    assert schemas.execute_sql("SHOW quote_all_identifiers").fetchone() == ("on",)
    execute(settings, f'ALTER DATABASE "{settings.url.name}" SET quote_all_identifiers = on')
    other = dedicated(settings, "other")
    with other.connection_context():
        assert describe_drift(other, ALL) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (f"ALTER TABLE {CUSTOMERS} DROP favourite_id", f"{CUSTOMERS}.favourite_id: only the model"),
        ("ALTER TABLE public.customers DROP number", "customers.number: only the model has this"),
        ("DROP INDEX shop.by_both", f"{CUSTOMERS}, index by_both: only the model has this index"),
        ("DROP INDEX shop.customer_name", f"{CUSTOMERS}, index customer_name: only the model"),
        ("CREATE TABLE shop.more ()", "shop.more: only the database has this table"),
        (
            f"ALTER TABLE {CUSTOMERS} SET SCHEMA other",
            f"{CUSTOMERS}: only the model has this table",
        ),
        ("DROP SCHEMA shop CASCADE", f"{CUSTOMERS}: only the model has this table"),
        ("ALTER SEQUENCE shop.customer_numbers INCREMENT 7", "customer_numbers: the database"),
    ],
)
def test_a_change_in_a_models_own_schema_is_a_difference(schemas, change, sentence):
    schemas.execute_sql("CREATE SCHEMA other")
    schemas.execute_sql(change)
    sentences = describe_drift(schemas, ALL)
    assert [line for line in sentences if sentence in line], sentences


def test_the_models_tables_are_created_once_while_their_schemas_stay_the_same(live):
    sides = read_sides(live, BOOKSHOP, ())
    with live.atomic():
        assert sides.read_again(live).differences() == []
        assert live.execute_sql("SELECT pg_current_xact_id_if_assigned()").fetchone() == (None,)
    live.execute_sql(f"ALTER TABLE {BOOKS} ALTER title TYPE text")
    found = sides.read_again(live).differences()
    assert found
    assert found == find_drift(live, BOOKSHOP, ())


def test_the_models_tables_are_created_again_after_one_has_moved_to_another_schema(live):
    live.execute_sql("CREATE SCHEMA mine; SET search_path = mine, public")
    sides = read_sides(live, BOOKSHOP, ())
    live.execute_sql("ALTER TABLE public.authors SET SCHEMA mine")
    again = sides.read_again(live)
    assert {again.models.placement.schemas[model] for model in BOOKSHOP} == {"mine", "public"}
    assert again.differences() == []


def test_a_table_is_found_by_a_name_that_the_server_shortens(db):
    class Long(Model):
        class Meta:
            table_name = "long_" * 14

    db.execute_sql("CREATE SCHEMA mine")
    create_tables(db, Long)
    db.execute_sql("SET search_path = mine, public")
    assert find_placement(db, [Long]).schemas == {Long: "public"}
