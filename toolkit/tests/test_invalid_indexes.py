"""CREATE INDEX CONCURRENTLY with `atomic = False`, and the INVALID index of a failed one."""

import pytest

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.engine import Engine
from tests.migration_files import applied, creates, migration

CONCURRENTLY = "migrator.sql('CREATE {} INDEX CONCURRENTLY t_id ON t (id)')"
DROP = "migrator.sql('DROP INDEX CONCURRENTLY t_id')"
OUTSIDE = "atomic = False"


@pytest.fixture
def engine(db, tmp_path, write):
    """An engine that has applied 001_t: the table t, with the same number in two rows."""
    write("001_t", creates("t"))
    engine = Engine(db, tmp_path)
    engine.up()
    db.execute_sql("INSERT INTO t VALUES (1), (1)")
    return engine


def test_a_file_with_atomic_false_runs_outside_of_a_transaction(engine, db, write):
    write("002_i", migration(CONCURRENTLY.format(""), DROP, options=OUTSIDE))
    engine.up()
    assert [index.name for index in db.get_indexes("t")] == ["t_id"]
    engine.down()
    assert db.get_indexes("t") == []


def test_concurrently_inside_of_a_transaction_fails_with_the_error_of_the_server(engine, write):
    write("002_i", migration(CONCURRENTLY.format("")))
    with pytest.raises(MigrationFailedError, match="cannot run inside a transaction block"):
        engine.up()


def test_a_failed_concurrently_reports_the_invalid_index_and_its_drop(engine, write):
    write("002_i", migration(CONCURRENTLY.format("UNIQUE"), options=OUTSIDE))
    with pytest.raises(MigrationFailedError) as caught:
        engine.up()
    assert 'could not create unique index "t_id"' in str(caught.value)
    assert "the index t_id is INVALID" in str(caught.value)
    assert "Fix: `DROP INDEX CONCURRENTLY t_id` before the next try" in str(caught.value)
    assert applied(engine) == ["001_t"]


def test_if_not_exists_does_not_accept_an_invalid_index(engine, write):
    write("002_i", migration(CONCURRENTLY.format("UNIQUE"), options=OUTSIDE))
    with pytest.raises(MigrationFailedError):
        engine.up()
    again = CONCURRENTLY.format("UNIQUE").replace("CONCURRENTLY", "CONCURRENTLY IF NOT EXISTS")
    write("002_i", migration(again, options=OUTSIDE))
    with pytest.raises(MigrationFailedError, match="leaves an index INVALID"):
        engine.up()
    assert applied(engine) == ["001_t"]


def test_an_invalid_index_is_found_again_when_the_file_composes_its_name(engine, write):
    build = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_{column} ON t ({column})"
    loop = f"for column in ['id']:\n        migrator.sql(f'{build}')"
    write("002_i", migration(loop, options=OUTSIDE))
    for _ in range(2):
        with pytest.raises(MigrationFailedError, match="`DROP INDEX CONCURRENTLY t_id`"):
            engine.up()
    assert applied(engine) == ["001_t"]


def test_an_invalid_index_that_the_file_does_not_name_is_no_failure(engine, write):
    write("002_i", migration(CONCURRENTLY.format("UNIQUE"), options=OUTSIDE))
    with pytest.raises(MigrationFailedError):
        engine.up()
    write("002_i", migration("migrator.sql('ANALYZE t')", options=OUTSIDE))
    engine.up()
    assert applied(engine) == ["001_t", "002_i"]


def test_an_index_of_a_partitioned_table_is_no_failure(engine, write):
    """Such an index is invalid until each partition has one."""
    partitioned = """migrator.sql('CREATE TABLE p (id INTEGER) PARTITION BY RANGE (id)')
    migrator.sql('CREATE TABLE p1 PARTITION OF p DEFAULT')
    migrator.sql('CREATE INDEX p_id ON ONLY p (id)')"""
    write("002_p", migration(partitioned, options=OUTSIDE))
    engine.up()
    assert applied(engine) == ["001_t", "002_p"]
