"""The dry run: the SQL of each step, from running it in a transaction that is rolled back."""

import pytest

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.dry_run import DryRunStep
from dbfoundation.migrations.engine import Engine
from tests.migration_files import applied, creates, migration, tables
from tests.support import execute


@pytest.fixture
def engine(db, tmp_path):
    return Engine(db, tmp_path)


def test_the_sql_of_a_dry_run_runs_in_psql_and_a_dry_run_changes_nothing(app, settings):
    fill = "migrator.sql('INSERT INTO audit_log (action) VALUES (%s)', \"it's; \\\\\\\\ 100%\")"
    app.write("migrations/004_fill.py", migration(fill, "migrator.sql('DELETE FROM audit_log')"))
    index = "migrator.sql('CREATE INDEX CONCURRENTLY i ON sessions (sess)')"
    app.write("migrations/005_outside.py", migration(index, options="atomic = False"))
    comment = "migrator.sql('CREATE TABLE c () -- first')\n    migrator.sql('SELECT 1')"
    app.write("migrations/006_comment.py", migration(comment))
    done = app.invoke("migrate-up", "--dry-run")
    assert done.returncode == 0, done
    assert execute(settings, "SELECT to_regclass('migratehistory')") == [(None,)]
    assert "-- 005_outside\n-- not tried: it runs outside of a transaction" in done.stdout
    shell = app.invoke_process("db-shell", stdin="\\set ON_ERROR_STOP 1\n" + done.stdout)
    assert shell.returncode == 0, shell
    assert execute(settings, "SELECT action FROM audit_log") == [("it's; \\\\ 100%",)]


def test_a_dry_run_of_up_runs_each_step_after_the_earlier_ones(engine, db, write):
    write("001_a", creates("a"))
    write("002_b", migration("migrator.sql('ALTER TABLE a ADD b INTEGER')"))
    assert engine.dry_run_up() == [
        DryRunStep("001_a", ["CREATE TABLE a (id INTEGER)"]),
        DryRunStep("002_b", ["ALTER TABLE a ADD b INTEGER"]),
    ]
    assert db.get_tables() == []


def test_a_dry_run_of_down_leaves_the_migration_applied(engine, db, write):
    write("001_a", creates("a"))
    write("002_b", creates("b"))
    engine.up()
    assert engine.dry_run_down() == [
        DryRunStep("002_b", ["DROP TABLE b"], locks=("b (ACCESS EXCLUSIVE)",))
    ]
    assert tables(db) == ["a", "b"]
    assert applied(engine) == ["001_a", "002_b"]


@pytest.mark.parametrize("statement", ["COMMIT", "oops"])
def test_a_dry_run_that_fails_changes_nothing(engine, db, write, statement):
    write("001_a", creates("a"))
    write("002_b", migration(f"migrator.sql('{statement}')"))
    with pytest.raises(MigrationFailedError, match=r"002_b\.py:3.*\n.*\n  nothing was changed$"):
        engine.dry_run_up()
    assert db.get_tables() == []
    assert not db.in_transaction()


def test_a_failed_dry_run_names_the_step_that_it_left_out(engine, write):
    write(
        "001_a", migration("migrator.sql('CREATE TABLE a (id INTEGER)')", options="atomic = False")
    )
    write("002_b", migration("migrator.sql('ALTER TABLE a ADD b INTEGER')"))
    with pytest.raises(
        MigrationFailedError, match="may depend on 001_a, which a dry run does not try"
    ):
        engine.dry_run_up()
