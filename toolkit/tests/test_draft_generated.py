"""Generated pairs of model sets: the changes lead from one to the other, and back."""

import re

from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st
from psycopg2 import DataError
from psycopg2.errors import NotNullViolation

from dbfoundation.runtime.server_errors import driver_error
from dbfoundation.schema.catalog import read
from dbfoundation.schema.comparison import compare
from dbfoundation.schema.ddl.types import placeholder
from tests.bookshop import describe_drift
from tests.model_sets import model_sets
from tests.support import IS_CI
from tests.test_ddl import plan_for, run

EXAMPLES = 200 if IS_CI else 15
generated = settings(
    max_examples=EXAMPLES,
    database=None,  # no folder of found examples
    deadline=None,
    derandomize=not IS_CI,
    suppress_health_check=[*HealthCheck],
)
pairs = given(pair=st.tuples(model_sets(), model_sets()))


@generated
@pairs
def test_a_pair_of_model_sets_is_drafted_made_and_undone(module_connection, pair):
    check(module_connection, *pair, has_rows=False)


@generated
@pairs
def test_a_pair_of_model_sets_with_rows_keeps_them(module_connection, pair):
    check(module_connection, *pair, has_rows=True)


def check(database, first, second, *, has_rows):
    """Create the first models, make the changes to the second ones, and undo them."""
    with database.atomic() as transaction:
        with database.bind_ctx(first):
            database.create_tables(first)
        if has_rows:
            insert_rows(database)
        before = read(database)
        changes = plan_for(database, second)
        for change in changes:
            fill_in(database, change)
            run_or_reject(database, change.sql)
        assert describe_drift(database, second) == []
        if has_rows:
            for name in {table_of(model) for model in first} & {table_of(m) for m in second}:
                count = database.execute_sql(f'SELECT count(*) FROM "{name}"').fetchone()
                assert count == (1,)
        for change in reversed(changes):
            for statement in change.undo:
                run_or_reject(database, statement)
        assert compare(before, read(database)) == []
        transaction.rollback()


def table_of(model):
    return model._meta.table_name


def insert_rows(database):
    """A row in each table; a column of text has a number, which other types can read."""
    tables = {thing.name: [] for thing in read(database) if thing.kind == "table"}
    for thing in read(database):
        if thing.kind == "column" and not {"default", "identity"} & thing.details.keys():
            value = placeholder(thing.details["type"])
            is_text = thing.details["type"].startswith(("character", "text"))
            value = "5" if "id" in thing.name.split(".")[-1:] else "'0'" if is_text else value
            name = thing.name.removeprefix(f"{thing.table}.")
            if thing.details.get("nullability") == "NOT NULL":
                tables[thing.table].append((name, value))
    for table, columns in tables.items():
        if columns:
            names, values = (", ".join(words) for words in zip(*columns, strict=True))
            run(database, f"INSERT INTO {table} ({names}) VALUES ({values})")
        else:
            run(database, f"INSERT INTO {table} DEFAULT VALUES")


def fill_in(database, change):
    """Do the work of a person where a change needs it."""
    if not change.todo.startswith("set "):
        return
    table, column = re.fullmatch(
        r"ALTER TABLE (.+?) DROP .* CHECK \((.+) IS NOT NULL\) .*", change.sql
    ).groups()
    (kind,) = (t.details["type"] for t in read(database) if t.name == f"{table}.{column}")
    value = placeholder(kind)
    run(database, f"UPDATE {table} SET {column} = {value} WHERE {column} IS NULL")


def run_or_reject(database, statement):
    """Run a statement; a value that cannot have the new type, or a NULL, is the person's work."""
    try:
        with database.atomic():
            run(database, statement)
    except Exception as error:
        if isinstance(driver_error(error), DataError | NotNullViolation):
            reject()
        raise
