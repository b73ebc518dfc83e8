"""The verdict of a dry run is that of the run, step by step, and it names what it locked."""

import pytest

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.dry_run import NEEDS_COMMIT, TOO_MANY_LOCKS, DryRunStep
from dbfoundation.migrations.engine import Engine
from tests.migration_files import applied, creates, migration
from tests.support import execute, tables

DEFERRED = "CREATE TABLE d (n INTEGER UNIQUE DEFERRABLE INITIALLY DEFERRED)"
LATER = "DEFERRABLE INITIALLY DEFERRED"
CIRCLE = [
    "CREATE TABLE e (id INTEGER PRIMARY KEY, f INTEGER NOT NULL)",
    f"CREATE TABLE f (id INTEGER PRIMARY KEY, e INTEGER NOT NULL REFERENCES e {LATER})",
    f"ALTER TABLE e ADD FOREIGN KEY (f) REFERENCES f {LATER}",
    "INSERT INTO e VALUES (1, 1)",
    "INSERT INTO f VALUES (1, 1)",
]


@pytest.fixture
def engine(db, tmp_path):
    return Engine(db, tmp_path)


def sends(*statements):
    return migration("\n    ".join(f'migrator.sql("{statement}")' for statement in statements))


def verdict(run):
    """The message of a failure without what remains, or None."""
    try:
        run()
    except MigrationFailedError as error:
        return str(error).splitlines()[0]
    return None


SEQUENCES = {
    "a deferred constraint that is violated": [[DEFERRED], ["INSERT INTO d VALUES (1), (1)"]],
    "one that is violated and repaired in its step": [
        [DEFERRED],
        ["INSERT INTO d VALUES (1), (1)", "DELETE FROM d"],
    ],
    "one that is violated and repaired in the next step": [
        [DEFERRED, "INSERT INTO d VALUES (1), (1)"],
        ["DELETE FROM d"],
    ],
    "pending trigger events": [
        [DEFERRED, "INSERT INTO d VALUES (1)"],
        ["ALTER TABLE d ADD COLUMN c INTEGER"],
    ],
    "pending trigger events in one step": [
        [DEFERRED],
        ["INSERT INTO d VALUES (1)", "ALTER TABLE d ADD COLUMN c INTEGER"],
    ],
    "a circle of foreign keys in one step": [[DEFERRED], CIRCLE],
    "a circle of foreign keys, and its second half later": [CIRCLE[:4], CIRCLE[4:]],
    "a circle of foreign keys in the step after": [
        CIRCLE[:3],
        [*CIRCLE[3:], "UPDATE e SET f = 1"],
        ["ALTER TABLE e ADD COLUMN c INTEGER"],
    ],
    "a constraint that a step defers": [
        ["CREATE TABLE d (n INTEGER UNIQUE DEFERRABLE)"],
        ["SET CONSTRAINTS ALL DEFERRED", "INSERT INTO d VALUES (1), (1)", "DELETE FROM d"],
        ["INSERT INTO d VALUES (1), (1)", "DELETE FROM d"],
    ],
    "a search_path of one step": [
        ["CREATE SCHEMA shop", "SET LOCAL search_path = shop", "CREATE TABLE a ()"],
        ["CREATE TABLE shop.b ()", "SELECT FROM public.migratehistory", "CREATE TABLE a ()"],
    ],
    "an enum value in its own step": [
        ["CREATE TYPE color AS ENUM ('red')"],
        ["ALTER TYPE color ADD VALUE 'blue'", "SELECT 'blue'::color"],
    ],
}


@pytest.mark.parametrize("steps", SEQUENCES.values(), ids=SEQUENCES)
def test_a_dry_run_has_the_verdict_of_the_run(engine, write, settings, steps):
    for number, statements in enumerate(steps, start=1):
        write(f"00{number}_x", sends(*statements))
    dry = verdict(engine.dry_run_up)
    assert tables(settings) == []
    assert dry == verdict(engine.up)


ADD_VALUE = "ALTER TYPE color ADD VALUE 'blue'"


def test_an_enum_value_of_an_earlier_step_leaves_the_step_untried(engine, write):
    write("001_type", sends("CREATE TYPE color AS ENUM ('red')"))
    engine.up()
    write("002_value", sends(ADD_VALUE))
    write("003_use", sends("CREATE TABLE c (c color DEFAULT 'blue')"))
    write("004_other", sends("CREATE TABLE o ()"))
    _, use, other = engine.dry_run_up()
    assert use == DryRunStep("003_use", None, not_tried=NEEDS_COMMIT)
    assert other.statements == ["CREATE TABLE o ()"]
    assert [done.name for done in engine.up()] == ["002_value", "003_use", "004_other"]


def test_a_step_after_an_untried_one_may_depend_on_it(engine, write):
    write("001_type", sends("CREATE TYPE color AS ENUM ('red')"))
    write("002_value", sends(ADD_VALUE))
    write("003_use", sends("CREATE TABLE c (c color DEFAULT 'blue')"))
    write("004_more", sends("ALTER TABLE c ADD n INTEGER"))
    with pytest.raises(MigrationFailedError, match="may depend on 003_use, which a dry run does"):
        engine.dry_run_up()


def test_locks_that_fit_a_step_each_but_not_all_at_once_leave_steps_untried(engine, write):
    """max_locks_per_transaction is 64, for 100 connections."""
    lock = "SELECT count(pg_advisory_xact_lock({0}, n)) FROM generate_series(1, 6000) n"
    for number in range(1, 5):
        write(f"00{number}_x", sends(lock.format(number)))
    write("005_a", creates("a"))
    reasons = {step.not_tried for step in engine.dry_run_up()}
    assert TOO_MANY_LOCKS in reasons
    assert len(engine.up()) == 5


# The output


def test_a_failed_dry_run_prints_the_sql_up_to_the_failure(app, settings):
    app.invoke("migrate-up")
    app.write("migrations/004_a.py", creates("a"))
    app.write("migrations/005_b.py", sends("CREATE TABLE b ()", "SELECT nonsense", "SELECT 1"))
    done = app.invoke("migrate-up", "--dry-run")
    assert done.returncode == 2
    assert "-- 004_a\nCREATE TABLE a (id INTEGER);\n" in done.stdout
    assert done.stdout.endswith(
        "-- 005_b\nCREATE TABLE b ();\nSELECT nonsense;\n-- 005_b failed here\n"
    )
    assert "done before" not in done.stderr
    assert done.stderr.endswith("\n  nothing was changed\n")
    assert tables(settings) == ["audit_log", "migratehistory", "sessions"]


def test_a_dry_run_of_down_that_fails_prints_its_sql(app):
    broken = migration("migrator.sql('CREATE TABLE a ()')", "migrator.sql('DROP TABLE b')")
    app.write("migrations/004_a.py", broken)
    app.invoke("migrate-up")
    done = app.invoke("migrate-down", "--dry-run")
    assert done.returncode == 2
    assert done.stdout == "-- 004_a\nDROP TABLE b;\n-- 004_a failed here\n"
    assert "nothing was changed" in done.stderr


def test_a_dry_run_names_the_locks_that_block_other_sessions(app):
    app.invoke("migrate-up")
    app.write(
        "migrations/004_x.py",
        sends(
            "ALTER TABLE sessions ADD COLUMN n INTEGER",
            "CREATE INDEX i ON audit_log (action)",
            "CREATE TABLE mine ()",
            "INSERT INTO sessions SELECT * FROM sessions",
        ),
    )
    app.write("migrations/005_y.py", sends("CREATE TABLE r (s VARCHAR REFERENCES sessions)"))
    app.write("migrations/006_z.py", sends("DROP TABLE audit_log"))
    done = app.invoke("migrate-up", "--dry-run")
    lines = [line.partition(" until its end: ") for line in done.stdout.splitlines()]
    assert [locks for words, _, locks in lines if words == "-- locks, which a dry run holds"] == [
        "audit_log (SHARE), sessions (ACCESS EXCLUSIVE)",
        "audit_log (ACCESS EXCLUSIVE)",
    ]


def test_a_dry_run_shows_a_part_of_very_many_statements(engine, write):
    loop = "for number in range(1500):\n        migrator.sql('SELECT %s', number)"
    write("001_x", migration(loop))
    [step] = engine.dry_run_up()
    assert len(step.statements) == 1000
    assert step.not_shown == 500


def test_a_dry_run_shows_copy_as_a_comment(app):
    copy = "cursor().copy_expert('COPY sessions FROM STDIN', __import__('io').StringIO())"
    app.write("migrations/004_x.py", migration(f"database.{copy}"))
    done = app.invoke("migrate-up", "--dry-run")
    assert "-- 004_x\n-- COPY sessions FROM STDIN (COPY; its data are not shown)" in done.stdout


def test_a_dry_run_of_a_lost_session_fails_with_the_reason(engine, write, settings):
    write("001_a", creates("a"))
    write("002_x", sends("SELECT pg_terminate_backend(pg_backend_pid())"))
    with pytest.raises(MigrationFailedError, match="server closed the connection") as caught:
        engine.dry_run_up()
    assert "the dry run's transaction is rolled back" in str(caught.value)
    assert execute(settings, "SELECT to_regclass('a') IS NULL") == [(True,)]


def test_a_dry_run_records_nothing(engine, write):
    write("001_a", creates("a"))
    engine.dry_run_up()
    assert applied(engine) == []
