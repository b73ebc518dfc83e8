"""The recorded statements: parameters are redacted in errors; a single % has a fix."""

import logging

import pytest

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.engine import Engine
from tests.migration_files import migration

SECRET = "hunter2-hunter2"
LEAKS = {
    "quoted value": f"database.execute_sql('SELECT %s::int', ('{SECRET}',))",
    "list": f"database.execute_sql('SELECT %s::int[]', (['{SECRET}'],))",
    "tuple": f"database.execute_sql('SELECT 1 WHERE 1 IN %s', (('{SECRET}', 'x'),))",
    "cursor": f"database.connection().cursor().execute('SELECT %s::int', ('{SECRET}',))",
    "earlier statement": f"""migrator.sql('CREATE TABLE t (e TEXT)')
    migrator.sql('INSERT INTO t VALUES (%s)', '{SECRET}')
    migrator.sql('ALTER TABLE t ALTER e TYPE INTEGER USING e::integer')""",
    "unquoted value": f"""migrator.sql("SELECT set_config('x.y', %s, true)", '{SECRET}')
    migrator.sql("DO $$ BEGIN RAISE 'it is %%', current_setting('x.y'); END $$")""",
    "unique key": f"""migrator.sql('CREATE TABLE t (e TEXT UNIQUE)')
    for _ in range(2):
        migrator.sql('INSERT INTO t VALUES (%s)', '{SECRET}')""",
}


@pytest.fixture
def engine(db, tmp_path):
    return Engine(db, tmp_path)


@pytest.mark.parametrize("migrate", LEAKS.values(), ids=LEAKS)
def test_an_error_redacts_the_parameters_of_statements(engine, write, migrate, caplog):
    caplog.set_level(logging.INFO)
    write("001_a", migration(migrate))
    with pytest.raises(MigrationFailedError) as caught:
        engine.up()
    error = caught.value
    assert "hunter2" not in str(error)
    assert "hunter2" not in caplog.text
    assert error.__cause__ is None
    assert "statement: " in str(error)


@pytest.mark.parametrize(
    "call", ["migrator.sql(\"SELECT 'a%'\")", "database.execute_sql(\"SELECT 'a%', %s\", (1,))"]
)
def test_a_single_percent_sign_fails_with_a_fix(engine, write, call):
    write("001_a", migration(call))
    with pytest.raises(MigrationFailedError, match=r"SELECT 'a%'.*\n  Fix: write a single % as %%"):
        engine.up()
