"""The fixture `db`: a project's tests on one connection, whose work is rolled back."""

import pytest

from tests.own_tests import OwnTests

pytest_plugins = ["pytester"]


@pytest.fixture
def own_tests(pytester, server, monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", server.url.render(with_password=True))
    return OwnTests(pytester)


def test_a_row_of_a_test_is_absent_in_the_next(own_tests):
    own_tests.passes("""
def test_one(db):
    add()
    assert names() == ["a row"]

def test_two(db):
    add()
    assert names() == ["a row"]
""")


def test_rows_outlive_every_way_of_opening_and_closing_a_connection(own_tests):
    own_tests.passes("""
@database.connection_context()
def decorated():
    AuditLog.create(action="decorated")

def test_ways(db):
    decorated()
    database.connect()
    AuditLog.create(action="connect")
    database.close()
    database.connect()
    AuditLog.create(action="close_all")
    database.close_all()
    with database.connection_context(), database.connection_context(), database.atomic():
        AuditLog.create(action="nested")
    database.connect()
    AuditLog.create(action="manual_close")
    database.manual_close()
    in_thread(lambda: add("thread"))
    assert names() == ["decorated", "connect", "close_all", "nested", "manual_close", "thread"]
""")


def test_nothing_is_committed(own_tests):
    own_tests.passes("""
def test_own(db, test_database):
    with database.connection_context():
        with database.atomic():
            AuditLog.create(action="atomic")
        AuditLog.create(action="statement")
        database.execute_sql("BEGIN")
        AuditLog.create(action="SQL")
        database.execute_sql("/* with a comment */ COMMIT")
        AuditLog.record_many([{"action": "COPY"}])
    assert names() == ["atomic", "statement", "SQL", "COPY"]
    assert count_elsewhere(test_database) == 0
""")


def test_a_transaction_that_fails_is_undone_alone(own_tests):
    own_tests.passes("""
def test_own(db):
    add("before")
    with database.connection_context():
        with pytest.raises(KeyError), database.atomic():
            AuditLog.create(action="undone")
            raise KeyError
        with database.atomic() as outer:
            AuditLog.create(action="outer")
            with pytest.raises(KeyError), database.atomic():
                AuditLog.create(action="inner")
                raise KeyError
        database.execute_sql("BEGIN")
        AuditLog.create(action="undone by SQL")
        database.execute_sql("ROLLBACK")
        with database.manual_commit():
            database.begin()
            AuditLog.create(action="undone by hand")
            database.rollback()
    with database.connection_context():
        database.execute_sql("BEGIN")
        AuditLog.create(action="undone by the return of the connection")
    assert names() == ["before", "outer"]
""")


def test_a_statement_that_fails_outside_of_a_transaction_fails_alone(own_tests):
    own_tests.passes("""
WRONG = "INSERT INTO audit_log (action) VALUES (NULL)"

def test_own(db):
    with database.connection_context():
        AuditLog.create(action="before")
        with pytest.raises(IntegrityError):
            database.execute_sql(WRONG)
        with pytest.raises(psycopg2.Error):
            database.cursor().executemany("INSERT INTO audit_log (action) VALUES (%s)", [(None,)])
        with pytest.raises(psycopg2.Error):
            database.cursor().copy_expert("COPY nothing FROM STDIN", io.StringIO())
        with pytest.raises(IntegrityError):
            with database.atomic():
                database.execute_sql(WRONG)
        assert names() == ["before"]
        database.execute_sql("BEGIN")
        with pytest.raises(IntegrityError):
            database.execute_sql(WRONG)
        database.execute_sql("COMMIT")  # which rolls back
        AuditLog.create(action="after")
    assert names() == ["before", "after"]
""")


def test_a_deferred_constraint_is_checked_at_each_commit(own_tests):
    own_tests.write(
        "migrations/004_books.py",
        """
def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE authors (id integer PRIMARY KEY)")
    migrator.sql(
        "CREATE TABLE books (author integer CONSTRAINT \\"its author\\""
        " REFERENCES authors DEFERRABLE INITIALLY DEFERRED)"
    )


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE books, authors")
""",
    )
    own_tests.passes("""
BOOK, AUTHOR = "INSERT INTO books VALUES (1)", "INSERT INTO authors VALUES (1)"

def test_own(db):
    with database.connection_context():
        with pytest.raises(IntegrityError, match="its author"):
            database.execute_sql(BOOK)
        with pytest.raises(IntegrityError, match="its author"), database.atomic():
            database.execute_sql(BOOK)
        assert execute("SELECT * FROM books") == []
        with database.atomic():
            database.execute_sql(BOOK)
            database.execute_sql(AUTHOR)
        with pytest.raises(IntegrityError, match="its author"), database.atomic():
            database.execute_sql("DELETE FROM authors")
    assert execute("SELECT * FROM authors") == [(1,)]
""")


def test_a_test_that_fails_anywhere_leaves_nothing_for_the_next(own_tests):
    result = own_tests.run("""
def test_left_open(db):
    database.connect()
    AuditLog.create(action="left")
    assert False

def test_left_in_a_transaction(db):
    assert names() == []
    database.connect()
    database.session_start()
    AuditLog.create(action="left")
    assert False

def test_left_in_an_aborted_transaction(db):
    assert names() == []
    database.connect()
    database.execute_sql("BEGIN")
    database.execute_sql("nonsense")

def test_killed(db, test_database):
    assert names() == []
    database.connect()
    with other_session(test_database) as session, session.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                       "WHERE datname = current_database() AND pid <> pg_backend_pid()")
    session.close()
    database.execute_sql("SELECT 1")

def test_last(db):
    assert names() == []
    add()
    assert names() == ["a row"]
""")
    result.assert_outcomes(failed=4, passed=1)


@pytest.mark.parametrize(
    "statement", ["INSERT INTO audit_log (action) VALUES ('kept'); COMMIT", "BEGIN; SELECT 1; END"]
)
def test_a_commit_that_cannot_be_undone_is_an_error_and_leaves_nothing(own_tests, statement):
    result = own_tests.run(f"""
def test_commits(db):
    add()
    execute("{statement}")

def test_next(db):
    assert names() == []
""")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*FixtureError: a statement has ended*", "*`committing_db`*"])


def test_the_locks_of_a_session_and_its_settings_end_with_the_test(own_tests):
    own_tests.passes("""
def test_lock(db):
    execute("SELECT pg_advisory_lock(1)")
    execute("SET work_mem = '1MB'")
    execute("LISTEN news")
    assert execute("SELECT pg_listening_channels()") == []

def test_free(db, test_database):
    assert execute("SHOW work_mem") != [("1MB",)]
    assert execute("SELECT pg_listening_channels()") == []
    with other_session(test_database) as session, session.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(1)")
        assert cursor.fetchall() == [(True,)]
    session.close()
""")


def test_a_thread_that_needs_a_second_connection_is_referred_to_the_other_fixture(own_tests):
    result = own_tests.run("""
from dataclasses import replace

@pytest.fixture(scope="session")
def test_database(test_database):
    return replace(test_database, pool_wait_seconds=1)

def test_own(db):
    with database.connection_context():
        in_thread(add)
""")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*FixtureError: *", "*committing_db*"])
