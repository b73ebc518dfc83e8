"""A function that sends no statement is an error, unless it states that it has nothing to do."""

import pytest

from dbfoundation.errors import MigrationFailedError, PlanError
from dbfoundation.migrations.engine import Engine
from tests.migration_files import applied, creates, migration

SENDS_NOTHING = {
    "without the call": "migrator.sql",
    "a lambda": "lambda: migrator.sql('SELECT 1')",
    "a nested function": "def inner():\n        migrator.sql('SELECT 1')",
    "an inner generator": "def inner():\n        yield migrator.sql('SELECT 1')\n    inner()",
    "a loop over nothing": "for name in []:\n        migrator.sql(name)",
    "a condition": "if fake:\n        migrator.sql('SELECT 1')",
    "a print": "print('rolled back')",
    "mogrify": "database.connection().cursor().mogrify('SELECT %s', (1,))",
    "an empty transaction of psycopg2": "with database.connection(): pass",
    "a statement on another connection": (
        "other = type(database)(database.database, **database.connect_params)\n"
        "    with other.connection_context(): other.execute_sql('SELECT 1')"
    ),
}
SENDS = {
    "execute_sql": "database.execute_sql('SELECT 1')",
    "a cursor": "database.connection().cursor().execute('SELECT 1')",
    "executemany": "database.connection().cursor().executemany('SELECT %s', [(1,), (2,)])",
    "another class of cursors": (
        "database.connection().cursor(cursor_factory=DictCursor).execute('SELECT 1')"
    ),
    "COPY": "database.connection().cursor().copy_expert('COPY (SELECT 1) TO STDOUT', StringIO())",
    "copy_from": "database.connection().cursor().copy_from(StringIO('1'), 'a')",
    "a function": "database.connection().cursor().callproc('now')",
    "a cursor that the engine does not see": "cursor(database.connection()).execute('SELECT 1')",
    "a model": "migrator.create_model(type('M', (Model,), {'id': AutoField()}))",
    "noop": "migrator.noop()",
}
IMPORTS = """
from io import StringIO
from peewee import AutoField, Model
from psycopg2.extensions import cursor
from psycopg2.extras import DictCursor
{}"""


@pytest.fixture
def engine(db, tmp_path, write):
    """An engine that has applied 001_a."""
    write("001_a", creates("a"))
    engine = Engine(db, tmp_path)
    engine.up()
    return engine


@pytest.mark.parametrize("options", ["", "atomic = False"])
@pytest.mark.parametrize("body", SENDS_NOTHING.values(), ids=SENDS_NOTHING)
def test_a_function_that_sends_nothing_is_an_error(engine, write, body, options):
    write("002_x", migration(body, options=options))
    with pytest.raises(MigrationFailedError, match=r"migrate\(\) sent no statement") as caught:
        engine.up()
    assert "\n  Fix: write its statements, or `migrator.noop()`" in str(caught.value)
    assert applied(engine) == ["001_a"]


@pytest.mark.parametrize("body", SENDS_NOTHING.values(), ids=SENDS_NOTHING)
def test_a_rollback_that_sends_nothing_is_an_error(engine, write, body):
    write("002_x", migration("migrator.sql('SELECT 1')", body))
    engine.up()
    with pytest.raises(MigrationFailedError, match=r"rollback\(\) sent no statement"):
        engine.down()
    assert applied(engine) == ["001_a", "002_x"]


def test_a_dry_run_has_the_same_verdict(engine, write):
    write("002_x", migration("migrator.sql"))
    with pytest.raises(MigrationFailedError, match=r"migrate\(\) sent no statement") as caught:
        engine.dry_run_up()
    assert "nothing was changed" in str(caught.value)


@pytest.mark.parametrize("options", ["", "atomic = False"])
@pytest.mark.parametrize("body", SENDS.values(), ids=SENDS)
def test_a_statement_counts_whichever_api_sends_it(engine, write, body, options):
    write("002_x", migration(body, body, options=IMPORTS.format(options)))
    engine.up()
    assert applied(engine) == ["001_a", "002_x"]


def test_noop_rolls_back_nothing_and_its_record_is_removed(engine, write):
    write("002_x", migration("migrator.sql('ANALYZE a')", "migrator.noop()"))
    engine.up()
    engine.down()
    assert applied(engine) == ["001_a"]


def test_noop_holds_for_its_own_function_only(engine, write):
    write("002_x", migration("migrator.noop()"))
    write("003_y", migration("migrator.sql"))
    with pytest.raises(MigrationFailedError, match=r"003_y.* sent no statement"):
        engine.up()
    assert applied(engine) == ["001_a", "002_x"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (migration("yield migrator.sql('SELECT 1')"), "has a yield"),
        (migration("for x in (yield): pass"), "has a yield"),
        (migration("pass").replace("def migrate", "async def migrate"), "is async"),
    ],
)
def test_a_function_of_which_a_call_runs_nothing_is_refused_before_anything_runs(
    engine, write, text, problem
):
    write("002_b", creates("b"))
    write("003_x", text)
    with pytest.raises(PlanError, match=problem):
        engine.up()
    assert applied(engine) == ["001_a"]
