"""The memory of a run does not grow with the number of its statements and their parameters."""

import tracemalloc

import pytest

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.engine import Engine
from tests.migration_files import migration

MEGABYTE = 2**20
SENT_MEGABYTES = 40
ROWS = """database.execute_sql('CREATE TABLE t (n INTEGER, v TEXT)')
    for number in range({rows}):
        database.execute_sql('INSERT INTO t VALUES (%s, %s)', (number, f'{{number:020480}}'))"""
BEYOND_THE_BOUND = ROWS.format(rows=60)


@pytest.fixture
def engine(db, tmp_path):
    return Engine(db, tmp_path)


def peak_megabytes(work):
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / MEGABYTE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("verb", ["up", "dry_run_up"])
def test_forty_megabytes_of_parameters_take_a_few(engine, write, verb):
    write("001_x", migration(ROWS.format(rows=SENT_MEGABYTES * 1024 // 20)))
    assert peak_megabytes(getattr(engine, verb)) < SENT_MEGABYTES / 4


LEAKS = {
    "quoted": "SELECT repeat(v, 1)::date FROM t WHERE n = {}",
    "unquoted": "DO $$ BEGIN RAISE ''it is %%'', (SELECT v FROM t WHERE n = {}); END $$",
    "a row": "ALTER TABLE t ADD CHECK (n <> {})",
    "a key": "UPDATE t SET v = left(v, 100); CREATE UNIQUE INDEX ON t ((left(v, 1)))",
}


@pytest.mark.parametrize("number", [0, 30, 59])
@pytest.mark.parametrize("statement", LEAKS.values(), ids=LEAKS)
def test_beyond_the_bound_no_error_has_a_parameter(engine, write, statement, number):
    fails = statement.format(number).replace("''", "\\'")
    write("001_x", migration(f"{BEYOND_THE_BOUND}\n    database.execute_sql('{fails}')"))
    with pytest.raises(MigrationFailedError, match="SQLSTATE") as caught:
        engine.up()
    assert "00000" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_beyond_the_bound_an_error_has_its_kind_and_its_objects(engine, write):
    unique = "database.execute_sql('CREATE UNIQUE INDEX only_once ON t ((left(v, 1)))')"
    write("001_x", migration(f"{BEYOND_THE_BOUND}\n    {unique}"))
    with pytest.raises(MigrationFailedError) as caught:
        engine.up()
    assert "UniqueViolation of public.t.only_once (SQLSTATE 23505)" in str(caught.value)
    assert "the server's text is not shown" in str(caught.value)
