"""The fixture `committing_db`: a project's tests that commit, on a database that is emptied."""

import pytest

from tests.own_tests import OwnTests

pytest_plugins = ["pytester"]

SHOP = '''
def migrate(migrator, database, *, fake=False):
    migrator.sql("""
        CREATE TABLE countries (code text PRIMARY KEY, name text);
        INSERT INTO countries VALUES ('fr', 'France'), ('pe', 'Peru');
        CREATE TABLE managers (id integer PRIMARY KEY);
        CREATE TABLE shops (manager integer REFERENCES managers);
        INSERT INTO shops VALUES (NULL);
        CREATE TABLE users (id serial PRIMARY KEY, country text REFERENCES countries);
        CREATE TABLE posts (id serial PRIMARY KEY, "user" integer REFERENCES users);
        CREATE TABLE "odd Name" (id serial PRIMARY KEY, parent integer REFERENCES "odd Name");
        CREATE SCHEMA shop;
        CREATE TABLE shop.days (id serial, day date) PARTITION BY LIST (day);
        CREATE TABLE shop.rest PARTITION OF shop.days DEFAULT;
        CREATE TABLE base (id integer);
        CREATE TABLE derived () INHERITS (base);
        INSERT INTO derived VALUES (1);
    """)


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP SCHEMA public, shop CASCADE")
'''


@pytest.fixture
def own_tests(pytester, server, monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", server.url.render(with_password=True))
    own = OwnTests(pytester)
    own.write("migrations/004_shop.py", SHOP)
    return own


def test_rows_are_committed_and_absent_in_the_next_test_with_their_numbers(own_tests):
    own_tests.passes("""
def test_one(committing_db, test_database):
    add()
    assert count_elsewhere(test_database) == 1

def test_two(committing_db):
    assert names() == []
    assert execute("INSERT INTO audit_log (action) VALUES ('a') RETURNING id") == [(1,)]
    execute("INSERT INTO sessions VALUES ('a', '{}', now())")
    execute('INSERT INTO "odd Name" VALUES (1, 1)')
    execute("INSERT INTO shop.days (day) VALUES (now())")
    execute("INSERT INTO base VALUES (2)")

def test_three(committing_db):
    for table in ("audit_log", "sessions", '"odd Name"', "shop.days", "ONLY base"):
        assert execute(f"SELECT FROM {table}") == []
    assert execute("SELECT * FROM base") == [(1,)]
    assert execute("INSERT INTO audit_log (action) VALUES ('a') RETURNING id") == [(1,)]

def test_rolled_back(db):
    assert names() == []
""")


def test_a_database_that_can_be_emptied_is_not_replaced(own_tests):
    own_tests.passes("""
DATABASE = "SELECT oid, datname FROM pg_database WHERE datname = current_database()"
seen = set()

def test_one(committing_db):
    seen.update(execute(DATABASE))
    execute("INSERT INTO users (country) VALUES ('fr')")
    with pytest.raises(KeyError), database.connection_context(), database.atomic():
        database.execute_sql("INSERT INTO countries VALUES ('it')")
        database.execute_sql("CREATE TABLE undone ()")
        raise KeyError

def test_two(committing_db):
    assert execute("SELECT * FROM users") == []
    execute("INSERT INTO users (country) VALUES ('fr')")
    execute("INSERT INTO posts (\\"user\\") VALUES (1)")

def test_three(committing_db):
    assert execute("SELECT * FROM users, posts") == []
    seen.update(execute(DATABASE))
    assert len(seen) == 1
""")


def test_what_the_migrations_have_made_is_restored(own_tests):
    own_tests.passes("""
CHANGES = [
    "INSERT INTO countries VALUES ('it', 'Italy')",
    "DELETE FROM countries WHERE code = 'pe'",
    "UPDATE countries SET name = 'Pérou' WHERE code = 'pe'",
    "TRUNCATE countries CASCADE",
    "DROP TABLE countries CASCADE",
    "DROP TABLE users CASCADE",
    "INSERT INTO derived VALUES (2)",
    "INSERT INTO managers VALUES (1)",
    "CREATE TABLE left_over (id integer)",
    "ALTER TABLE users ADD COLUMN left_over integer",
    'ALTER TABLE posts ALTER COLUMN "user" SET NOT NULL',
    "CREATE FUNCTION left_over() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "SELECT 1",
]

@pytest.mark.parametrize("change", CHANGES)
def test_own(committing_db, change):
    add()
    assert names() == ["a row"]
    assert execute("SELECT * FROM countries") == [("fr", "France"), ("pe", "Peru")]
    assert execute("SELECT * FROM base") == [(1,)]
    assert execute("SELECT * FROM shops") == [(None,)]
    assert execute("SELECT * FROM managers") == []
    assert execute("SELECT to_regclass('left_over'), to_regproc('left_over')") == [(None, None)]
    execute("INSERT INTO users (country) VALUES ('fr')")
    execute('INSERT INTO posts ("user") VALUES (NULL)')
    assert len(execute("SELECT * FROM users")[0]) == 2
    execute("DELETE FROM users; DELETE FROM posts")
    execute(change)
""")


def test_a_test_that_fails_anywhere_leaves_nothing_for_the_next(own_tests):
    result = own_tests.run(
        """
def test_left_open(committing_db):
    database.connect()
    AuditLog.create(action="left")
    database.session_start()
    AuditLog.create(action="left in a transaction")
    assert False

def test_locked_by_another_session(committing_db, test_database):
    assert names() == []
    add()
    session = other_session(test_database)
    session.cursor().execute("SELECT * FROM audit_log")
    assert False

def test_killed(committing_db, test_database):
    assert names() == []
    add()
    with other_session(test_database) as session, session.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                       "WHERE datname = current_database() AND pid <> pg_backend_pid()")
    session.close()
    assert False

def test_last(committing_db):
    assert names() == []
    add()
""",
        "-W",
        "ignore::ResourceWarning",
    )
    result.assert_outcomes(failed=3, passed=1)


def test_threads_have_connections_of_their_own(own_tests):
    own_tests.passes("""
def test_own(committing_db):
    with database.connection_context(), database.atomic():
        AuditLog.create(action="not committed")
        in_thread(add)
    assert sorted(names()) == ["a row", "not committed"]

def test_next(committing_db):
    assert names() == []
""")


def test_a_connection_is_as_new_in_the_next_test(own_tests):
    own_tests.passes("""
pids = set()

def test_one(committing_db):
    with database.connection_context():
        pids.update(execute("SELECT pg_backend_pid()"))
        execute("LISTEN news")
        execute("NOTIFY news")
        execute("SELECT pg_advisory_lock(1)")
        execute("SET work_mem = '1MB'")
        execute("CREATE TEMPORARY TABLE left_over ()")

def test_two(committing_db, test_database):
    with database.connection_context():
        pids.update(execute("SELECT pg_backend_pid()"))
        execute("SELECT 1")
        assert database.connection().notifies == []
        assert execute("SELECT pg_listening_channels()") == []
        assert execute("SELECT to_regclass('left_over')") == [(None,)]
        assert execute("SHOW work_mem") != [("1MB",)]
        with other_session(test_database) as session, session.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(1)")
            assert cursor.fetchall() == [(True,)]
        session.close()
    assert len(pids) == 1
""")


def test_a_thread_that_outlives_its_test_keeps_no_connection_of_the_next(own_tests):
    own_tests.passes("""
left, end, errors = threading.Event(), threading.Event(), []

def outlive():
    database.connect()
    left.set()
    end.wait(30)
    try:
        AuditLog.create(action="late")
    except Exception as error:
        errors.append(error)

thread = threading.Thread(target=outlive)

def test_one(committing_db):
    thread.start()
    assert left.wait(30)

def test_two(committing_db):
    end.set()
    thread.join()
    assert names() == []
    assert len(errors) == 1
""")
