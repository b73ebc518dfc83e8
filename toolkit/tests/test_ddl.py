"""The DDL between two schemas: each change is made, and undone to the same schema."""

import pytest

from dbfoundation.schema.catalog import read
from dbfoundation.schema.comparison import compare
from dbfoundation.schema.ddl.facts import read_facts
from dbfoundation.schema.ddl.plan import plan
from dbfoundation.schema.drift import read_sides
from tests.bookshop import BOOKS, BOOKSHOP, create_tables, describe_drift
from tests.test_drift import CHANGES

# Undoing a draft does not make an index invalid again, nor disable a foreign key.
NOT_RESTORED = {"index invalid", "FK not enforced"}


def plan_for(database, models):
    sides = read_sides(database, models, ())
    return plan(sides.live, sides.wanted, sides.renamed, read_facts(database, sides))


def run(database, statement):
    """Run a statement in a transaction, which accepts no CONCURRENTLY."""
    database.execute_sql(statement.replace(" CONCURRENTLY", "").replace("%", "%%"))


@pytest.fixture(scope="module")
def bookshop(module_connection):
    create_tables(module_connection, *BOOKSHOP)
    return module_connection


@pytest.fixture
def live(bookshop):
    with bookshop.atomic() as transaction:
        yield bookshop
        transaction.rollback()


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_made_and_undone(live, name):
    statement, _ = CHANGES[name]
    live.execute_sql(statement.format(t=BOOKS))
    before = read(live)
    changes = plan_for(live, BOOKSHOP)
    assert changes
    for change in changes:
        run(live, change.sql)
    assert describe_drift(live) == []
    for change in reversed(changes):
        for undo in change.undo:
            run(live, undo)
    if name not in NOT_RESTORED:
        assert compare(before, read(live)) == []
