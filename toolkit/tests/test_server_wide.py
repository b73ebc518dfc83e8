"""A proof changes nothing outside of its scratch database: it refuses server-wide statements."""

import re
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from dbfoundation.errors import ServerWideError
from dbfoundation.migrations.engine import Engine
from dbfoundation.migrations.verification import Scratch, Verification
from dbfoundation.runtime.connection import dedicated
from dbfoundation.server import binaries
from dbfoundation.server.compose import Compose
from dbfoundation.server.local import LocalServer
from dbfoundation.testing import empty_database
from tests.migration_files import creates, migration
from tests.support import execute, only_in_ci, until

# The parts of a server that all databases share, and the other databases.
SERVER = """
SELECT (SELECT json_agg(r ORDER BY rolname) FROM pg_authid r),
    (SELECT json_agg(m ORDER BY roleid, member) FROM pg_auth_members m),
    (SELECT json_agg(s ORDER BY setdatabase, setrole) FROM pg_db_role_setting s),
    (SELECT json_agg(row_to_json(d)::jsonb - 'datfrozenxid' - 'datminmxid' ORDER BY datname)
        FROM pg_database d WHERE datname <> current_database()),
    (SELECT json_agg(c ORDER BY objoid) FROM pg_shdescription c),
    (SELECT json_agg(p ORDER BY oid) FROM pg_parameter_acl p),
    (SELECT json_agg(t ORDER BY oid) FROM pg_tablespace t),
    (SELECT json_agg(f ORDER BY seqno) FROM pg_file_settings f)
"""
DO = "DO $$ BEGIN EXECUTE 'CREATE ' || 'ROLE proof_new'; END $$"
DEFINED = """
CREATE FUNCTION make() RETURNS integer LANGUAGE plpgsql AS
$$ BEGIN EXECUTE 'CREATE ' || 'ROLE proof_new'; RETURN 1; END $$;
CREATE PROCEDURE make_too() LANGUAGE plpgsql AS
$$ BEGIN EXECUTE 'CREATE ' || 'ROLE proof_new'; COMMIT; END $$
"""
STATEMENTS = {
    "a new role": "CREATE ROLE proof_new",
    "a new user": "/* a /* nested */ comment */ create user proof_new PASSWORD 'not shown'",
    "a second statement": "CREATE TABLE more (id integer); DROP ROLE proof_role",
    "a role's password": "ALTER ROLE proof_role PASSWORD 'not shown'",
    "a role's setting": "ALTER ROLE proof_role SET work_mem = '1MB'",
    "a setting of all roles": "ALTER ROLE ALL SET work_mem = '1MB'",
    "a role's name": "ALTER GROUP proof_role RENAME TO proof_new",
    "a membership": 'GRANT "proof_role" TO proof_member',
    "a lost membership": "REVOKE ADMIN OPTION FOR proof_role FROM proof_member",
    "a comment on a role": "COMMENT ON ROLE proof_role IS 'changed'",
    "a database's setting": "ALTER DATABASE postgres SET work_mem = '1MB'",
    "a comment on a database": "COMMENT ON DATABASE postgres IS 'changed'",
    "a privilege on a database": "GRANT CREATE ON DATABASE postgres TO proof_role",
    "a privilege on a tablespace": "GRANT CREATE ON TABLESPACE pg_default TO proof_role",
    "a privilege on a parameter": "GRANT SET ON PARAMETER log_statement TO proof_role",
    "the objects of a role": "DROP OWNED BY proof_role",
    "another owner": "REASSIGN OWNED BY proof_role TO proof_member",
    "a program": "COPY (SELECT 1) TO PROGRAM 'cat'",
    "a file": "COPY (SELECT 1) TO '/tmp/proof_new'",
    "the end of sessions": "SELECT pg_terminate_backend(0)",
    "a slot": "DO $$ BEGIN PERFORM pg_create_physical_replication_slot('proof_new'); END $$",
    "a block": DO,
    "a function": "SELECT make()",
    "a function in a table": "CREATE TABLE made AS SELECT make()",
    "a block with another database": (
        "DO $$ BEGIN EXECUTE 'GRANT CREATE ON DATABASE ' || 'postgres TO proof_role'; END $$"
    ),
    "a block that catches": (
        "DO $$ BEGIN BEGIN EXECUTE 'ALTER ROLE ' || 'proof_role LOGIN'; "
        "EXCEPTION WHEN others THEN END; END $$"
    ),
}
OUTSIDE = {
    "a setting after comments": "-- a\n/* b /* c */ d */ ALTER SYSTEM SET work_mem = '1MB'",
    "a procedure after a comment": "/* a */ CALL make_too()",
    "a block after a comment": (
        "-- a\nDO $$ BEGIN EXECUTE 'CREATE ' || 'ROLE proof_new'; COMMIT; END $$"
    ),
    "a setting of the server": "ALTER SYSTEM SET work_mem = '1MB'",
    "a new database": "CREATE DATABASE proof_new",
    "no database": "DROP DATABASE IF EXISTS proof_new",
    "a procedure": "CALL make_too()",
    "a block that commits": "DO $$ BEGIN EXECUTE 'CREATE ' || 'ROLE proof_new'; COMMIT; END $$",
    "a transaction of its own": f"BEGIN; {DO}; COMMIT",
}
HARMLESS = {
    "a privilege": "GRANT SELECT ON t TO proof_role; REVOKE ALL ON t FROM proof_role",
    "a default privilege": "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO proof_role",
    "an owner": "ALTER TABLE t OWNER TO proof_role",
    "a text": "INSERT INTO t (name) VALUES ('CREATE ROLE proof_new; GRANT a TO b')",
    "a comment": "-- CREATE ROLE proof_new;\nSELECT 1",
    "a body": "CREATE FUNCTION never() RETURNS void LANGUAGE sql AS 'CREATE ROLE proof_new'",
    "a policy": "CREATE POLICY own ON t TO proof_role USING (true)",
    "a setting of this database": (
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET work_mem = ''1MB''', "
        "current_database()); END $$"
    ),
    "a reset of this database": (
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET work_mem = ''1MB''', "
        "current_database()); EXECUTE format('ALTER DATABASE %%I RESET ALL', current_database()); "
        "END $$"
    ),
    "a privilege on this database": (
        "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %%I TO proof_role', "
        "current_database()); END $$"
    ),
}
FIRST = f"migrator.sql('CREATE TABLE t (id serial, name text)')\n    migrator.sql('''{DEFINED}''')"
FIRST_DOWN = "migrator.sql('DROP TABLE t; DROP FUNCTION make(); DROP PROCEDURE make_too()')"
ATOMIC, NOT_ATOMIC = "", "atomic = False"


@pytest.fixture
def roles(settings):
    """Two roles, one of them a member of the other."""
    execute(settings, "CREATE ROLE proof_role; CREATE ROLE proof_member IN ROLE proof_role")
    yield
    execute(settings, "DROP OWNED BY proof_role; DROP ROLE proof_member, proof_role")
    execute(settings, "DROP ROLE IF EXISTS proof_new")


@pytest.fixture
def prove(settings, tmp_path, write):
    """Proves a first migration and some others, on a server that others use."""

    @contextmanager
    def scratch():
        empty_database(settings)
        database, second = dedicated(settings, "test"), dedicated(settings, "second")
        with database.connection_context(), second.connection_context():
            yield Scratch(Engine(database, tmp_path), second)
        empty_database(settings)

    def run(*files):
        write("001_first", migration(FIRST, FIRST_DOWN))
        for number, text in enumerate(files, 2):
            write(f"{number:03}_next", text)
        proofs = Verification(lambda _: None)
        before = execute(settings, SERVER)
        try:
            proofs.run(scratch)
        finally:
            empty_database(settings)
            assert execute(settings, SERVER) == before
        return proofs.results

    return run


def sends(text, options=ATOMIC, down="SELECT 1"):
    return migration(f"migrator.sql({text!r})", f"migrator.sql({down!r})", options)


def assert_refused(prove, *files):
    with pytest.raises(ServerWideError, match="takes effect on the whole server") as raised:
        prove(*files)
    assert raised.value.name == "002_next"
    assert "not shown" not in str(raised.value)
    return str(raised.value)


@pytest.mark.usefixtures("roles")
@pytest.mark.parametrize("options", [ATOMIC, NOT_ATOMIC])
@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
def test_a_server_wide_statement_is_refused(prove, statement, options):
    assert_refused(prove, sends(statement, options))


@pytest.mark.usefixtures("roles")
@pytest.mark.parametrize("statement", OUTSIDE.values(), ids=OUTSIDE)
def test_a_server_wide_statement_outside_of_a_transaction_is_refused(prove, statement):
    assert_refused(prove, sends(statement, NOT_ATOMIC))


@pytest.mark.usefixtures("roles")
@pytest.mark.parametrize("options", [ATOMIC, NOT_ATOMIC])
@pytest.mark.parametrize("statement", HARMLESS.values(), ids=HARMLESS)
def test_a_statement_on_the_scratch_database_is_not_refused(prove, statement, options):
    prove(sends(statement, f"irreversible = True\n{options}"))


@pytest.mark.usefixtures("roles")
def test_a_server_wide_statement_of_a_rollback_is_refused(prove):
    assert_refused(prove, sends("SELECT 1", down="DROP ROLE proof_role"))
    assert_refused(prove, sends("SELECT 1", NOT_ATOMIC, down=DO))


CATCHES = f"""
    try:
        with database.atomic():
            database.execute_sql({DO!r})
    except Exception:
        database.execute_sql("SELECT 1")
"""
COMMITS = f"""
    with database.connection() as connection, connection.cursor() as cursor:
        cursor.execute({DO!r})
"""


@pytest.mark.parametrize("options", [ATOMIC, NOT_ATOMIC])
@pytest.mark.parametrize("body", [CATCHES, COMMITS])
def test_a_refusal_that_a_file_catches_or_would_commit_changes_nothing(prove, body, options):
    assert_refused(prove, migration(body.strip(), options=options))


COMMITS_IN_ONE_STRING = f"""
    database.execute_sql("BEGIN")
    database.execute_sql({f"{DO}; COMMIT"!r})
"""


def test_a_commit_in_the_same_string_is_refused(prove):
    assert_refused(prove, migration(COMMITS_IN_ONE_STRING.strip(), options=NOT_ATOMIC))


def test_the_error_has_the_statement_without_its_literals(prove):
    text = assert_refused(prove, sends("CREATE ROLE \"A b\" LOGIN PASSWORD 'not shown'"))
    assert (
        text
        == '002_next: CREATE ROLE "A b" LOGIN PASSWORD ...: it takes effect on the whole server'
    )


def test_the_error_has_the_catalog_that_a_block_would_have_changed(prove):
    assert "DO ..., which changes pg_authid: it takes" in assert_refused(prove, sends(DO))


def test_transactions_of_a_file_without_one_still_work(prove):
    body = """
    database.execute_sql("BEGIN")
    database.execute_sql("LOCK TABLE t")
    database.execute_sql("INSERT INTO t (name) VALUES ('a')")
    database.execute_sql("COMMIT")
    with database.atomic():
        database.execute_sql("INSERT INTO t (name) VALUES ('b')")
    database.execute_sql("CREATE INDEX CONCURRENTLY i ON t (name)")
    database.execute_sql("VACUUM t")
    database.execute_sql("DO $$ BEGIN COMMIT; END $$")
    """
    down = "migrator.sql('DROP INDEX CONCURRENTLY i')\n    migrator.sql('DELETE FROM t')"
    results = prove(migration(body.strip(), down, NOT_ATOMIC))
    assert [result.problems for result in results] == [[], [], []]


def test_a_statement_that_needs_a_transaction_still_fails_without_one(prove):
    with pytest.raises(Exception, match="LOCK TABLE can only be used in transaction blocks"):
        prove(sends("LOCK TABLE t", NOT_ATOMIC))


# The task

ROLE = migration(
    "migrator.sql('CREATE ROLE proof_new NOLOGIN')\n"
    "    migrator.sql('GRANT SELECT ON sessions TO proof_new')",
    "migrator.sql('DROP OWNED BY proof_new; DROP ROLE proof_new')",
)
# Changes the role's attributes where it exists.
IDEMPOTENT = migration(
    "migrator.sql('''DO $$ BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'proof_role') "
    "THEN ALTER ROLE proof_role SUPERUSER; ELSE CREATE ROLE proof_role; END IF; END $$''')",
    "migrator.sql('DROP ROLE proof_role')",
)


@pytest.fixture
def verify(app, settings):
    """Runs migrate-verify; afterwards the server is as it was, without a scratch database."""

    def run(*flags):
        before = execute(settings, SERVER)
        done = app.invoke("migrate-verify", *flags)
        assert execute(settings, SERVER) == before
        return done

    return run


def lines(done):
    return [re.sub(r"  \d+ ms$|, in \d+ ms", "", line) for line in done.stdout.splitlines()]


needs_a_server = pytest.mark.skipif(
    bool(binaries.unavailable_reason()), reason="this machine can start no server"
)


@only_in_ci
@needs_a_server
@pytest.mark.usefixtures("roles")
@pytest.mark.parametrize("flags", [(), ("--with-seed",), ("--since", "3")])
@pytest.mark.parametrize("text", [ROLE, IDEMPOTENT])
def test_roles_are_proven_on_a_server_of_the_proofs_own(verify, app, flags, text):
    app.write("migrations/004_roles.py", text)
    app.write("migrations/005_after.py", creates("later"))
    done = verify(*flags)
    assert done.returncode == 0, done
    target = "003_index_audit_log" if "--since" in flags else "empty"
    assert lines(done)[-4:-1] == [
        "verified 004_roles",
        "verified 005_after",
        f"verified all in a row, down to {target} and up",
    ]
    assert len(lines(done)) == (4 if "--since" in flags else 7)
    assert "004_roles: " in done.stderr
    assert "it takes effect on the whole server\nThe proof goes on with" in done.stderr


@needs_a_server
def test_a_faulty_rollback_of_a_role_is_found(verify, app):
    app.write("migrations/004_roles.py", ROLE.replace("; DROP ROLE proof_new", ""))
    done = verify()
    assert done.returncode == 1, done
    assert "faulty 004_roles" in lines(done)
    assert "! role proof_new: only the schema after its rollback has ROLE" in lines(done)


LEAVES = {
    "a role": (
        "DO $$ BEGIN CREATE ROLE proof_new; EXCEPTION WHEN duplicate_object THEN END $$",
        "SELECT 1",
        "only the schema after its rollback has ROLE",
    ),
    "an attribute": (
        "ALTER ROLE proof_made LOGIN PASSWORD 'x'",
        "ALTER ROLE proof_made NOLOGIN",
        "ROLE PASSWORD, the schema before it ROLE",
    ),
    "a membership": (
        "GRANT pg_monitor TO proof_made",
        "SELECT 1",
        "ROLE IN ROLE pg_monitor, the schema before it ROLE",
    ),
}


@only_in_ci
@needs_a_server
@pytest.mark.parametrize(("up", "down", "problem"), LEAVES.values(), ids=LEAVES)
def test_a_rollback_that_leaves_a_change_of_a_role_is_faulty(verify, app, up, down, problem):
    app.write(
        "migrations/004_made.py", sends("CREATE ROLE proof_made", down="DROP ROLE proof_made")
    )
    app.write("migrations/005_leaves.py", sends(up, down=down))
    done = verify("--since", "3")
    assert done.returncode == 1, done
    assert lines(done)[:2] == ["verified 004_made", "faulty 005_leaves"]
    assert lines(done)[2].startswith("! role proof_")
    assert lines(done)[2].endswith(problem)


@only_in_ci
@needs_a_server
@pytest.mark.usefixtures("roles")
def test_a_role_that_no_migration_creates_is_missing_on_that_server(verify, app):
    app.write("migrations/004_grant.py", sends("GRANT SELECT ON sessions TO proof_role"))
    app.write("migrations/005_roles.py", ROLE)
    done = verify()
    assert done.returncode == 2, done
    assert 'role "proof_role" does not exist' in done.stderr
    assert "on a new server, which has no role but those of the migrations" in done.stderr


SLEEPS = """
    if database.execute_sql("SELECT 1 FROM pg_roles WHERE rolname = 'proof_new'").fetchone():
        open("sleeps", "w").close()
        database.execute_sql("SELECT pg_sleep(60)")
"""


@only_in_ci
@needs_a_server
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_other_server(app, settings, number):
    app.write("migrations/004_roles.py", ROLE)
    app.write("migrations/005_sleeps.py", migration(SLEEPS.strip()))
    before = execute(settings, SERVER)
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is private to this account
        Path(folder).chmod(0o755)
        process = app.start("migrate-verify", env=app.environment | {"TMPDIR": folder})
        try:
            until((app.folder / "sleeps").exists, 120)
            assert list(Path(folder).glob("dbfoundation-server-*"))
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
        assert list(Path(folder).iterdir()) == []
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert execute(settings, SERVER) == before


def test_without_another_server_the_file_is_not_tried(verify, app, monkeypatch):
    monkeypatch.setattr(LocalServer, "unavailable_reason", lambda _: "no programs")
    monkeypatch.setattr(Compose, "unavailable_reason", lambda _: "no engine")
    app.write("migrations/004_roles.py", ROLE)
    app.write("migrations/005_after.py", creates("later"))
    done = verify()
    assert done.returncode == 1, done
    assert lines(done)[2:6] == [
        "verified 003_index_audit_log",
        "not tried 004_roles, and those after it",
        "! CREATE ROLE proof_new NOLOGIN: it takes effect on the whole server",
        "! no PostgreSQL can be started here: no programs; no engine.",
    ]
    assert lines(done)[6].startswith("! Fix: install PostgreSQL 15")
    assert lines(done)[7].startswith("not tried: 004_roles: scratch database beside ")
