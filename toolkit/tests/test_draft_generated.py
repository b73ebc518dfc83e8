"""Generated pairs of model sets: the changes lead from one to the other, and back."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbfoundation.schema.catalog import read
from dbfoundation.schema.comparison import compare
from tests.bookshop import describe_drift
from tests.model_sets import model_sets
from tests.support import IS_CI
from tests.test_ddl import plan_for, run


@settings(
    max_examples=350 if IS_CI else 25,
    deadline=None,
    derandomize=not IS_CI,
    suppress_health_check=[*HealthCheck],
)
@given(pair=st.tuples(model_sets(), model_sets()))
def test_a_pair_of_model_sets_is_drafted_made_and_undone(module_connection, pair):
    first, second = pair
    database = module_connection
    with database.atomic() as transaction:
        with database.bind_ctx(first):
            database.create_tables(first)
        before = read(database)
        changes = plan_for(database, second)
        for change in changes:
            run(database, change.sql)
        assert describe_drift(database, second) == []
        for change in reversed(changes):
            for statement in change.undo:
                run(database, statement)
        assert compare(before, read(database)) == []
        transaction.rollback()
