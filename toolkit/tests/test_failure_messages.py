"""The message of a failure: the server's detail, hint and context, without parameters; fixes."""

import pytest

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.engine import Engine
from tests.migration_files import migration

SECRET = "hunter2-hunter2"
LONG = SECRET + "-and-more" * 20


@pytest.fixture
def engine(db, tmp_path):
    return Engine(db, tmp_path)


@pytest.fixture
def failure(engine, write):
    """Runs a file that fails; returns the message."""

    def fail(*calls, options=""):
        write("001_x", migration("\n    ".join(calls), options=options))
        with pytest.raises(MigrationFailedError) as caught:
            engine.up()
        return str(caught.value)

    return fail


CREATE = "database.execute_sql('CREATE TABLE t (id INTEGER, e TEXT CHECK (e <> \\'bad\\'))')"


def test_a_failure_has_the_detail_of_the_server(failure):
    message = failure(
        "database.execute_sql('CREATE TABLE a (id INTEGER PRIMARY KEY)')",
        "database.execute_sql('CREATE TABLE b (a INTEGER REFERENCES a)')",
        "database.execute_sql('DROP TABLE a')",
    )
    assert "cannot drop table a because other objects depend on it\n" in message
    assert "\n  detail: constraint b_a_fkey on table b depends on table a\n" in message
    assert "\n  hint: Use DROP ... CASCADE to drop the dependent objects too.\n" in message


def test_the_detail_has_the_rows_that_the_file_did_not_send(failure):
    message = failure(
        CREATE,
        "database.execute_sql(\"INSERT INTO t VALUES (1, 'twice'), (2, 'twice')\")",
        "database.execute_sql('CREATE UNIQUE INDEX u ON t (e)')",
    )
    assert "detail: Key (e)=(twice) is duplicated." in message


def test_a_failure_has_the_context_of_a_function(failure):
    body = "DO $$ BEGIN PERFORM 1 / 0; END $$"
    message = failure(f"database.execute_sql('{body}')")
    assert "context: SQL statement " in message
    assert "PL/pgSQL function inline_code_block line 1 at PERFORM" in message


LEAKS = {
    "a key": (
        "database.execute_sql('CREATE UNIQUE INDEX u ON t (e)')",
        "for _ in 'ab': database.execute_sql('INSERT INTO t VALUES (1, %s)', ({value!r},))",
    ),
    "a key of several columns": (
        "database.execute_sql('CREATE UNIQUE INDEX u ON t (id, e)')",
        "for _ in 'ab': database.execute_sql('INSERT INTO t VALUES (1, %s)', ({value!r},))",
    ),
    "a row that the server shortens": (
        "database.execute_sql('ALTER TABLE t ADD CHECK (id > 1)')",
        "database.execute_sql('INSERT INTO t VALUES (1, %s)', ({value!r},))",
    ),
    "an earlier row": (
        "database.execute_sql('INSERT INTO t VALUES (1, %s)', ({value!r},))",
        "database.execute_sql('INSERT INTO t SELECT 1, null FROM t')",
        "database.execute_sql('ALTER TABLE t ALTER e SET NOT NULL, ADD CHECK (id > 1)')",
    ),
    "a token of JSON": (
        "database.execute_sql('SELECT %s::json', ('{{\"password\": ' + {value!r} + '}}',))",
    ),
    "a line of COPY": (
        "from io import StringIO",
        "database.connection().cursor().copy_expert('COPY t FROM STDIN', StringIO({value!r}))",
    ),
    "a function's context": (
        "database.execute_sql('SELECT %s::xml', ('<a>' + {value!r} + '<b>',))",
    ),
    "bytes": ("database.execute_sql('SELECT %s::int', ({value!r}.encode(),))",),
    "another class of cursors": (
        "from psycopg2.extras import DictCursor",
        "cursor = database.connection().cursor(cursor_factory=DictCursor)",
        "cursor.execute('SELECT %s::int', ({value!r},))",
    ),
    "a cursor that the engine does not see": (
        "from psycopg2.extensions import cursor",
        "cursor(database.connection()).execute('SELECT %s::int', ({value!r},))",
    ),
    "callproc": ("database.connection().cursor().callproc('date', ({value!r},))",),
    "execute_values": (
        "from psycopg2.extras import execute_values",
        "cursor = database.connection().cursor()",
        "execute_values(cursor, 'INSERT INTO t VALUES %s', [({value!r}, 'e')])",
    ),
    "execute_batch": (
        "from psycopg2.extras import execute_batch",
        "cursor = database.connection().cursor()",
        "execute_batch(cursor, 'INSERT INTO t VALUES (%s)', [({value!r},)])",
    ),
    "mogrify": (
        "cursor = database.connection().cursor()",
        "cursor.execute(cursor.mogrify('SELECT %s::int', ({value!r},)))",
    ),
    "a composed statement": (
        "from psycopg2.sql import SQL, Literal",
        "query = SQL('SELECT {{}}::int').format(Literal({value!r}))",
        "database.connection().cursor().execute(query)",
    ),
    "named parameters": ("database.execute_sql('SELECT %(p)s::int', {{'p': {value!r}}})",),
    "a wrong placeholder": ("database.execute_sql('SELECT %d', ({value!r},))",),
    "an object without an adapter": (
        "shown = {{'__repr__': lambda _: {value!r}}}",
        "database.execute_sql('SELECT %s', (type('T', (), shown)(),))",
    ),
}


@pytest.mark.parametrize("value", [SECRET, LONG], ids=["short", "long"])
@pytest.mark.parametrize("calls", LEAKS.values(), ids=LEAKS)
def test_no_line_of_a_failure_has_a_parameter(failure, calls, value):
    message = failure(CREATE, *(call.format(value=value) for call in calls))
    assert "hunter2" not in message


def test_a_statement_is_shown_only_where_it_is_the_one_that_failed(failure):
    message = failure(
        "from psycopg2.extensions import cursor",
        "database.execute_sql('SELECT 1')",
        "cursor(database.connection()).execute('SELECT nonsense')",
    )
    assert "UndefinedColumn (SQLSTATE 42703)" in message
    assert "statement:" not in message


# Fixes


@pytest.mark.parametrize(
    "statement",
    ["CREATE INDEX CONCURRENTLY i ON t (id)", "VACUUM t", "CREATE DATABASE d", "REINDEX SYSTEM x"],
)
def test_a_statement_that_runs_outside_of_a_transaction_has_a_fix(failure, statement):
    message = failure(CREATE, f"database.execute_sql('{statement}')")
    assert "cannot run inside a transaction block" in message
    assert "\n  Fix: set `atomic = False` at the top of the file\n" in message


def test_in_a_file_without_a_transaction_it_has_another_fix(failure):
    message = failure(
        f"{CREATE}", "database.execute_sql('SELECT 1; VACUUM t')", options="atomic = False"
    )
    assert "\n  Fix: send it in a call of its own" in message


def test_a_named_cursor_has_a_fix(failure):
    message = failure("database.connection().cursor(name='n').execute('SELECT 1')")
    assert "can't use a named cursor outside of transactions" in message
    assert "\n  Fix: open the cursor with withhold=True" in message


PERCENT = "Fix: write a single % as %%"


@pytest.mark.parametrize(
    "call",
    [
        "database.execute_sql(\"SELECT 'a%'\")",
        "database.execute_sql(\"SELECT 1 WHERE 'a' LIKE '%some%'\")",
        "database.execute_sql(\"SELECT 'a%d', %s\", (1,))",
        "database.execute_sql(\"SELECT '%(x', %(y)s\", {'y': 1})",
    ],
)
def test_the_fix_for_a_percent_sign_appears_where_it_is_the_cause(failure, call):
    assert PERCENT in failure(call)


@pytest.mark.parametrize(
    "call",
    [
        "database.execute_sql('SELECT %s', ('a\\0b',))",
        "database.execute_sql('SELECT %(a)s', {'b': 1})",
        "database.execute_sql('SELECT %s', (object(),))",
        "database.execute_sql('SELECT %%s', (1,))",
        "int('x')",
        "[][1]",
    ],
)
def test_it_does_not_appear_for_other_errors(failure, call):
    assert PERCENT not in failure("database.execute_sql('SELECT 1')", call)


def test_a_percent_sign_in_a_long_statement_is_shown_without_the_rest(failure):
    rows = ", ".join(f"({number})" for number in range(5000))
    message = failure(f"database.execute_sql(\"INSERT INTO t VALUES {rows}; SELECT 'LIKE 50%'\")")
    assert "LIKE 50%" in message
    assert len(message) < 1000


def test_a_new_enum_value_has_a_fix(failure):
    message = failure(
        "database.execute_sql(\"CREATE TYPE c AS ENUM ('red')\")",
        "database.execute_sql(\"ALTER TYPE c ADD VALUE 'blue'\")",
        "database.execute_sql(\"SELECT 'blue'::c\")",
    )
    assert "\n  Fix: use the value in a later file" in message


def test_a_schema_without_the_right_to_create_has_a_fix(failure):
    message = failure(
        "database.execute_sql('CREATE SCHEMA closed')",
        "database.execute_sql('GRANT USAGE ON SCHEMA closed TO pg_monitor')",
        "database.execute_sql('SET LOCAL ROLE pg_monitor')",
        "database.execute_sql('CREATE TABLE closed.t ()')",
    )
    assert "permission denied for schema closed" in message
    assert "\n  Fix: let the owner run GRANT CREATE, USAGE ON SCHEMA closed TO the role" in message


def test_a_search_path_without_a_schema_has_a_fix(failure):
    message = failure(
        "database.execute_sql('SET LOCAL search_path = nowhere')",
        "database.execute_sql('CREATE TABLE t ()')",
    )
    assert "no schema has been selected to create in" in message
    assert "\n  Fix: create a schema of the search_path" in message
