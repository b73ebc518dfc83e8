"""Drafts between the schemas of real applications: to nothing, from a changed one, and back."""

import pytest

from beds.applications import APPLICATIONS
from beds.conftest import FIRST, connected
from dbfoundation.schema.catalog import read, search_path
from dbfoundation.schema.ddl.facts import read_facts
from dbfoundation.schema.ddl.plan import plan
from dbfoundation.schema.drift import find_drift, read_sides
from dbfoundation.schema.model_source.source import models_of
from dbfoundation.schema.spelling import compare_as_parsed

# A view, a trigger or a function of rows keeps a table from changing, and is no part of a model.
DEPENDENT = """
SELECT format('DROP %s IF EXISTS %s CASCADE',
    CASE relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, c.oid::regclass)
FROM pg_class c WHERE relkind IN ('v', 'm') AND relnamespace NOT IN (
    SELECT oid FROM pg_namespace WHERE nspname ~ '^pg_' OR nspname = 'information_schema'
) AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
UNION ALL SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', p.oid::regprocedure)
FROM pg_proc p WHERE EXISTS (
    SELECT FROM pg_depend d JOIN pg_type t ON t.oid = d.refobjid
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
    AND d.refclassid = 'pg_type'::regclass AND t.typrelid <> 0
)
UNION ALL SELECT format('DROP TRIGGER IF EXISTS %I ON %s', tgname, tgrelid::regclass)
FROM pg_trigger WHERE NOT tgisinternal AND tgparentid = 0
"""
# Each of them changes as many tables as it can.
CHANGES = """
SELECT format('ALTER TABLE %1$s ADD COLUMN added_one text NOT NULL DEFAULT ''x'', '
    'ADD CONSTRAINT added_check CHECK (added_one <> ''''); '
    'CREATE INDEX ON %1$s (added_one)', c.oid::regclass)
FROM pg_class c WHERE relkind = 'r' AND NOT relispartition AND relnamespace = 'public'::regnamespace
AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
UNION ALL
SELECT format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', attrelid::regclass, attname)
FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attnum = 3 AND attnotnull
AND attidentity = '' AND NOT relispartition AND NOT attisdropped AND NOT EXISTS (
    SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype = 'p' AND 3 = ANY (conkey)
)
UNION ALL
SELECT format('DROP INDEX %s', indexrelid::regclass)
FROM pg_index i JOIN pg_class c ON c.oid = indrelid
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relispartition
AND indexrelid::bigint % 3 = 0 AND NOT EXISTS (
    SELECT FROM pg_constraint WHERE conindid = indexrelid
)
UNION ALL
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
FROM pg_constraint JOIN pg_class c ON c.oid = conrelid
WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conparentid = 0
AND pg_constraint.oid::bigint % 3 = 0 AND NOT relispartition
"""


pytestmark = pytest.mark.parametrize(
    "live",
    [(application, FIRST) for application in APPLICATIONS],
    ids=lambda param: param[0].name,
    indirect=True,
)


@pytest.fixture
def database(live):
    """A connection to the schema without views and triggers, in a transaction."""
    with connected(live.settings) as connection, connection.atomic() as transaction:
        execute_each(connection, DEPENDENT)
        yield connection
        transaction.rollback()


def execute_each(database, query):
    """Run the statements that a query returns."""
    for (statement,) in database.execute_sql(query.replace("%", "%%")).fetchall():
        run(database, statement)


def run(database, statement):
    database.execute_sql(statement.replace(" CONCURRENTLY", "").replace("%", "%%"))


def plan_to(database, models):
    sides = read_sides(database, models, ())
    return plan(sides.live, sides.wanted, sides.renamed, read_facts(database, sides))


def make(database, changes):
    for change in changes:
        run(database, change.sql)


def undo(database, changes):
    for change in reversed(changes):
        for statement in change.undo:
            run(database, statement)


def differences(database, before):
    """The differences between the schema before and the one now."""
    return compare_as_parsed(database, before, read(database), search_path(database)[:1])


def test_a_changed_schema_becomes_the_models_and_is_restored(database):
    models = models_of(database).load()
    execute_each(database, CHANGES)
    before = read(database)
    changes = plan_to(database, models)
    assert changes
    make(database, changes)
    assert find_drift(database, models, ()) == []
    undo(database, changes)
    assert differences(database, before) == []


def test_every_table_is_dropped_and_created_again(database):
    models = models_of(database).load()
    sides = read_sides(database, models, ())
    before = read(database)
    changes = plan(sides.live, (), (), read_facts(database, sides))
    make(database, changes)
    assert not [thing for thing in read(database) if thing.name in {t.name for t in sides.live}]
    undo(database, changes)
    assert differences(database, before) == []
