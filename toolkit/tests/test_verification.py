"""Verification: a rollback that does not undo its migration is faulty, and no other one is."""

from contextlib import contextmanager

import pytest

from dbfoundation.errors import MigrationFailedError, PlanError
from dbfoundation.migrations.engine import Engine
from dbfoundation.migrations.verification import Scratch, Verification
from dbfoundation.runtime.connection import dedicated
from dbfoundation.testing import empty_database
from tests.support import execute

UP = "def migrate(migrator, database, *, fake=False):\n    migrator.sql({!r})\n\n\n"
DOWN = "def rollback(migrator, database, *, fake=False):\n    migrator.sql({!r})\n"


def file(up, down):
    return UP.format(up) + DOWN.format(down)


BEFORE = file(
    """
    CREATE TABLE audit_log (
        id serial PRIMARY KEY, action varchar(100), timestamp timestamptz DEFAULT now()
    );
    CREATE TABLE sessions (
        sid varchar PRIMARY KEY, sess jsonb NOT NULL, expire timestamp(6) NOT NULL
    );
    CREATE VIEW live AS SELECT sid FROM sessions;
    CREATE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 1'
    """,
    "DROP FUNCTION one(); DROP VIEW live; DROP TABLE sessions, audit_log",
)
AFTER = file("CREATE TABLE later (id integer)", "DROP TABLE later")
FAULTY = {
    "an index is left": (
        "CREATE INDEX by_action ON audit_log (action); CREATE TABLE more (id integer)",
        "DROP TABLE more",
        ["audit_log, index by_action: only the schema after its rollback has this index"],
    ),
    "a view is dropped": (
        "ALTER TABLE sessions ADD more integer",
        "DROP VIEW live; ALTER TABLE sessions DROP more",
        ["view live: only the schema before it has this view"],
    ),
    "a default is dropped": (
        "ALTER TABLE audit_log ALTER timestamp SET DEFAULT clock_timestamp()",
        "ALTER TABLE audit_log ALTER timestamp DROP DEFAULT",
        ['audit_log."timestamp": only the schema before it has DEFAULT now()'],
    ),
    "an enum type is left": (
        "CREATE TYPE mood AS ENUM ('good'); ALTER TABLE sessions ADD feels mood",
        "ALTER TABLE sessions DROP feels",
        ["type mood: only the schema after its rollback has this type"],
    ),
    "a replaced function is not restored": (
        "CREATE OR REPLACE FUNCTION one() RETURNS integer LANGUAGE sql AS 'SELECT 2'",
        "SELECT 1",
        ["function one(): the schema after its rollback has CREATE OR REPLACE FUNCTION"],
    ),
    "a table in another schema is left": (
        "CREATE SCHEMA other; CREATE TABLE other.things (id integer)",
        "SELECT 1",
        ["schema other: only", "other.things: only"],
    ),
    "a rule is left": (
        "CREATE RULE kept AS ON DELETE TO sessions DO INSTEAD NOTHING",
        "SELECT 1",
        ["sessions, rule kept: only the schema after its rollback has this rule"],
    ),
    "a type is changed": (
        "ALTER TABLE sessions ALTER expire TYPE timestamptz(6)",
        "ALTER TABLE sessions ALTER expire TYPE timestamp",
        ["has timestamp without time zone, the schema before it timestamp(6) without time zone"],
    ),
    "a rollback fails": (
        "CREATE TABLE more (id integer)",
        "DROP TABLE mroe",
        ['table "mroe" does not exist'],
    ),
    "a row is left, so that up fails": (
        "INSERT INTO sessions VALUES ('one', '{}', now())",
        "SELECT 1",
        ["duplicate key value"],
    ),
}


@pytest.fixture
def prove(settings, tmp_path, write):
    """Proves the migrations of a folder, after writing some files; returns the results."""

    @contextmanager
    def scratch():
        empty_database(settings)
        database, second = dedicated(settings, "test"), dedicated(settings, "second")
        with database.connection_context(), second.connection_context():
            yield Scratch(Engine(database, tmp_path), second, run.seed)

    def run(files, seed=None, since=None):
        for name, text in files.items():
            write(name, text)
        run.seed = seed
        reported = []
        proofs = Verification(reported.append, since)
        proofs.run(scratch)
        assert proofs.results == reported
        return proofs.results

    return run


def names(results):
    return [result.name for result in results]


def faulty(results):
    return [result.name for result in results if result.problems]


@pytest.mark.parametrize(("up", "down", "expected"), FAULTY.values(), ids=FAULTY)
def test_a_rollback_that_does_not_undo_its_migration_is_faulty(prove, up, down, expected):
    results = prove({"001_before": BEFORE, "002_faulty": file(up, down), "003_after": AFTER})
    assert names(results) == ["001_before", "002_faulty", "003_after"]
    assert faulty(results) == ["002_faulty"]
    problems = results[1].problems
    assert len(problems) == len(expected), problems
    for problem, text in zip(problems, expected, strict=True):
        assert text in problem


def test_a_schema_with_the_users_name_changes_the_name_of_no_other_object(prove, settings):
    user = f'"{settings.url.user}"'  # "$user" is the first schema of the search_path
    up = f"CREATE SCHEMA {user}; CREATE TABLE {user}.more (id integer)"
    down = f"SET search_path = {user}, public"
    results = prove({"001_before": BEFORE, "002_faulty": file(up, down), "003_after": AFTER})
    assert faulty(results) == ["002_faulty"]
    subjects = sorted(problem.partition(": only the schema")[0] for problem in results[1].problems)
    user = settings.url.user
    assert subjects == [f"{user}.more", f"schema {user}"]


def test_every_faulty_rollback_is_found_in_one_run(prove):
    results = prove(
        {
            "001_a": file("CREATE TABLE a (id integer)", "SELECT 1"),
            "002_b": file("CREATE TABLE b (id integer)", "DROP TABLE b"),
            "003_c": file("CREATE TABLE c (id integer)", "DROP TABLE c, b"),
        }
    )
    assert names(results) == ["001_a", "002_b", "003_c"]
    assert [result.problems for result in results] == [
        ["a: only the schema after its rollback has this table"],
        [],
        ["b: only the schema before it has this table"],
    ]


def test_all_in_a_row_are_rolled_back_to_an_empty_database(prove):
    results = prove({"001_before": BEFORE, "002_after": AFTER})
    assert names(results) == ["001_before", "002_after", "all in a row, down to empty and up"]
    assert faulty(results) == []


def test_all_in_a_row_are_rolled_back_to_the_last_irreversible_migration(prove):
    irreversible = f"irreversible = True\n\n\n{UP.format('CREATE TABLE a (id integer)')}"
    results = prove({"001_before": BEFORE, "002_a": irreversible, "003_after": AFTER})
    assert names(results)[2:] == ["003_after", "all in a row, down to 002_a and up"]
    assert [result.irreversible for result in results] == [False, True, False, False]
    assert faulty(results) == []


def test_nothing_is_rolled_back_in_a_row_if_the_last_migration_is_irreversible(prove):
    seeded = []
    irreversible = f"irreversible = True\n\n\n{file('SELECT 1', 'SELECT 1')}"
    results = prove({"001_before": BEFORE, "002_a": irreversible}, lambda: seeded.append(1))
    assert names(results) == ["001_before", "002_a", "all in a row"]
    assert [result.irreversible for result in results] == [False, True, True]
    assert seeded == [1]


def test_a_rollback_that_fails_on_rows_is_faulty_with_a_seed(prove, settings):
    narrower = file(
        "ALTER TABLE audit_log ALTER action TYPE text",
        "ALTER TABLE audit_log ALTER action TYPE varchar(100); "
        "ALTER TABLE audit_log ADD CONSTRAINT few CHECK (action <> 'login'); "
        "ALTER TABLE audit_log DROP CONSTRAINT few",
    )
    files = {"001_before": BEFORE, "002_narrower": narrower}
    assert faulty(prove(files)) == []
    insert = "INSERT INTO audit_log (action) VALUES ('login')"
    results = prove(files, lambda: execute(settings, insert))
    assert faulty(results) == ["002_narrower, all in a row"]
    assert "is violated by some row" in results[-1].problems[0]


KNOWN = """
    ALTER TABLE sessions ADD state varchar(10),
        ADD CONSTRAINT known CHECK (state IN ('new', 'sent'));
    CREATE VIEW known_ones AS SELECT sid FROM sessions WHERE state IN ('new', 'sent')
"""
KNOWN_AS_PRINTED = """
    ALTER TABLE sessions ADD CONSTRAINT known CHECK (state::text = ANY (
        ARRAY['new'::character varying, 'sent'::character varying]::text[]));
    CREATE VIEW known_ones AS SELECT sessions.sid FROM sessions WHERE state::text = ANY (
        ARRAY['new'::character varying, 'sent'::character varying]::text[])
"""


def test_a_rollback_that_restores_definitions_as_the_server_prints_them_is_verified(prove):
    drop = "DROP VIEW known_ones; ALTER TABLE sessions DROP CONSTRAINT known"
    other = KNOWN_AS_PRINTED.replace("sent", "lost")
    files = {
        "001_before": BEFORE,
        "002_known": file(KNOWN, f"{drop}, DROP state"),
        "003_drop": file(drop, KNOWN_AS_PRINTED),
    }
    assert faulty(prove(files)) == []
    results = prove(files | {"003_drop": file(drop, other)})
    assert [len(result.problems) for result in results] == [0, 0, 2]


def test_a_temporary_table_is_no_problem(prove):
    moving = file("CREATE TEMP TABLE moving AS SELECT 1", "SELECT 1")
    assert faulty(prove({"001_moving": moving, "002_after": AFTER})) == []


def test_a_migration_outside_of_a_transaction_is_proven(prove):
    text = file("CREATE INDEX CONCURRENTLY i ON audit_log (action)", "DROP INDEX CONCURRENTLY i")
    results = prove({"001_before": BEFORE, "002_index": f"atomic = False\n\n\n{text}"})
    assert names(results)[1:] == ["002_index", "all in a row, down to empty and up"]
    assert faulty(results) == []


def test_a_migration_that_cannot_be_applied_raises(prove):
    with pytest.raises(MigrationFailedError, match=r"002_bad\.py"):
        prove({"001_before": BEFORE, "002_bad": file("CREATE TABLE", "SELECT 1")})


def test_what_the_rows_in_a_row_leave_is_found_at_the_end(prove):
    """The rows of an old migration change the schema in the second round."""
    up = (
        "CREATE SEQUENCE IF NOT EXISTS kept; DO $$ BEGIN IF nextval('kept') > 2 THEN "
        "ALTER TABLE audit_log ADD more integer; END IF; END $$"
    )
    down = "ALTER TABLE audit_log DROP IF EXISTS more"
    before = BEFORE.replace("CREATE TABLE audit", "CREATE SEQUENCE kept; CREATE TABLE audit")
    before = before.replace("'DROP FUNCTION", "'DROP SEQUENCE kept; DROP FUNCTION")
    results = prove(
        {"001_before": f"irreversible = True\n\n\n{before}", "002_more": file(up, down)}
    )
    assert faulty(results) == ["all in a row, down to 001_before and up"]
    assert results[-1].problems == [
        "audit_log.more: only the schema after it is applied again has this column"
    ]


NEW = {
    "001_before": file("CREATE TABLE old (id integer)", "SELECT 1"),
    "002_old": file("CREATE TABLE older (id integer)", "SELECT 1"),
    "003_new": file("CREATE TABLE a (id integer)", "DROP TABLE a"),
    "004_new": file("CREATE TABLE b (id integer)", "DROP TABLE b"),
}


@pytest.mark.parametrize("since", ["2", "002_old", "old"])
def test_since_a_migration_only_those_after_it_are_tried(prove, since):
    results = prove(NEW, since=since)
    assert names(results) == ["003_new", "004_new", "all in a row, down to 002_old and up"]
    assert faulty(results) == []


def test_since_a_migration_a_faulty_one_after_it_is_found(prove):
    files = NEW | {"003_new": file("CREATE TABLE a (id integer)", "DROP TABLE a, older")}
    results = prove(files, since="002")
    assert names(results) == ["003_new", "004_new"]
    assert results[0].problems == ["older: only the schema before it has this table"]


def test_since_the_last_migration_nothing_is_tried(prove):
    assert prove(NEW, since="004") == []


def test_since_an_unknown_migration_is_refused(prove):
    with pytest.raises(PlanError, match="no migration is called '9'"):
        prove(NEW, since="9")


def test_since_all_old_migrations_are_applied_once(prove, settings):
    counting = file("CREATE SEQUENCE IF NOT EXISTS public.ups; SELECT nextval('ups')", "SELECT 1")
    prove({"001_count": counting, "002_new": NEW["003_new"]}, since="1")
    assert execute(settings, "SELECT last_value FROM ups") == [(1,)]


def test_a_folder_without_migrations_has_no_result(prove):
    assert prove({}) == []
