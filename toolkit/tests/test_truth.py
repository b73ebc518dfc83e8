"""The message about a step beside the rows that another session sees, whatever a file does.

A file inserts the mark "before", does something to its connection, may insert the mark "after", and
may fail. Every sentence of the message about what remains is compared with the marks and with the
history as a second connection reads them.
"""

import pytest

from dbfoundation.errors import MigrationFailedError
from dbfoundation.migrations.engine import Engine
from dbfoundation.runtime.connection import dedicated
from tests.migration_files import creates, migration
from tests.support import execute

HEADER = """
import psycopg2
import io
from psycopg2.extensions import cursor
from psycopg2.extras import DictCursor, NamedTupleCursor, RealDictCursor, execute_batch
from psycopg2.extras import execute_values


def unseen(database, sql):
    "Run SQL by a cursor that no method of the connection has made."
    cursor(database.connection()).execute(sql)


def with_connection(database, error):
    try:
        with database.connection():
            database.execute_sql("SELECT 1")
            if error:
                raise error
    except LookupError:
        pass


def caught(call, *arguments):
    try:
        call(*arguments)
    except Exception:
        pass
"""
MARK = "database.execute_sql(\"INSERT INTO marks VALUES ('{}')\")"
# By an API that the engine sees, and refuses.
SQL = {
    sql: f"database.execute_sql({sql!r})"
    for sql in (
        "COMMIT",
        "END",
        "ABORT",
        "ROLLBACK",
        "COMMIT AND CHAIN",
        "ROLLBACK AND CHAIN",
        "PREPARE TRANSACTION 'x'",
        "/* a /* b */ c */ COMMIT",
        "SELECT '/*'; COMMIT; SELECT '*/'",
        "CREATE FUNCTION f() RETURNS integer BEGIN ATOMIC SELECT 1; END; COMMIT",
        "SAVEPOINT s; RELEASE SAVEPOINT s",
        "SAVEPOINT s; ROLLBACK TO SAVEPOINT s",
        "ROLLBACK TO SAVEPOINT unknown",
        "DO $$ BEGIN COMMIT; END $$",
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$; CALL p()",
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SET TRANSACTION READ ONLY",
        "SELECT pg_terminate_backend(pg_backend_pid())",
        "SELECT nonsense",
    )
}
# By an API that the engine does not see.
UNSEEN = {
    f"unseen {sql}": f"unseen(database, {sql!r})"
    for sql in (
        "COMMIT",
        "ROLLBACK",
        "COMMIT; BEGIN",
        "ROLLBACK; BEGIN",
        "COMMIT AND CHAIN",
        "ROLLBACK AND CHAIN",
        "ROLLBACK; BEGIN; INSERT INTO marks VALUES ('after'); COMMIT; BEGIN",
        "COMMIT; BEGIN; INSERT INTO marks VALUES ('after')",
        "PREPARE TRANSACTION 'x'",
    )
}
UNSEEN |= {
    "an unseen error after an unseen COMMIT": (
        "unseen(database, 'COMMIT; BEGIN')\n    caught(unseen, database, 'SELECT nonsense')"
    ),
    "unseen work between two transactions": (
        "unseen(database, 'ROLLBACK')\n"
        "    unseen(database, \"INSERT INTO marks VALUES ('after')\")\n"
        "    unseen(database, 'BEGIN')\n    caught(unseen, database, 'SELECT nonsense')"
    ),
    "with connection": "with_connection(database, None)",
    "with connection, and an error": "with_connection(database, LookupError())",
    "with connection, then a new transaction": (
        "with_connection(database, None)\n    unseen(database, 'BEGIN')"
    ),
    "with connection, then close()": (
        "with_connection(database, None)\n    database.connection().close()"
    ),
    "connection.close()": "database.connection().close()",
    "connection.reset()": "database.connection().reset()",
    "autocommit, commit()": (
        "database.connection().autocommit = False\n"
        "    database.execute_sql('SELECT 1')\n    database.connection().commit()"
    ),
    "autocommit, rollback()": (
        "database.connection().autocommit = False\n"
        "    database.execute_sql('SELECT 1')\n    database.connection().rollback()"
    ),
}
PYTHON = {
    name: call.format(c="database.connection()", cursor="database.connection().cursor")
    for name, call in {
        "migrator.sql": "migrator.sql('COMMIT')",
        "cursor()": "{cursor}().execute('COMMIT')",
        "cursor_factory": "{cursor}(cursor_factory=cursor).execute('COMMIT')",
        "DictCursor": "{cursor}(cursor_factory=DictCursor).execute('ROLLBACK')",
        "RealDictCursor": "{cursor}(None, RealDictCursor).execute('COMMIT')",
        "NamedTupleCursor": "{cursor}(cursor_factory=NamedTupleCursor).execute('COMMIT')",
        "named cursor": "{cursor}(name='n').execute('SELECT 1')",
        "named cursor with hold": "{cursor}(name='n', withhold=True).execute('SELECT 1')",
        "execute_batch": "execute_batch({cursor}(), 'COMMIT', [()])",
        "execute_values": (
            "execute_values({cursor}(), \"INSERT INTO marks VALUES %s; COMMIT\", [('v',)])"
        ),
        "copy_expert": "{cursor}().copy_expert('COPY marks TO STDOUT', io.StringIO())",
        "callproc": "{cursor}().callproc('now')",
        "lobject": "{c}.lobject(0, 'wb')",
        "connection.commit()": "{c}.commit()",
        "connection.rollback()": "{c}.rollback()",
        "connection.cancel()": "{c}.cancel()",
        "connection.set_session()": "{c}.set_session(readonly=True)",
        "connection.isolation_level": "{c}.isolation_level = 'SERIALIZABLE'",
        "connection.set_isolation_level(1)": "{c}.set_isolation_level(1)",
        "connection.set_isolation_level(3)": "{c}.set_isolation_level(3)",
        "connection.tpc_begin()": "{c}.tpc_begin({c}.xid(1, 'x', 'y'))",
        "database.commit()": "database.commit()",
        "database.rollback()": "database.rollback()",
        "database.begin()": "database.begin()",
        "database.close()": "database.close()",
        "database.dispose()": "database.dispose()",
        "database without its transaction": "database.pop_transaction()\n    database.close()",
        "database.session_commit()": "database.session_commit()",
        "database.session_rollback()": "database.session_rollback()",
        "database.manual_commit()": "with database.manual_commit(): pass",
        "database.atomic()": "with database.atomic() as t: t.commit()",
        "database.transaction()": "with database.transaction() as t: t.commit()",
        "database.savepoint()": "with database.savepoint() as t: t.rollback()",
        "a second connection": (
            "psycopg2.connect(**database.connect_params).cursor().execute('COMMIT')"
        ),
        "sys.exit()": "raise SystemExit(3)",
    }.items()
}
WAYS = SQL | UNSEEN | PYTHON
ENDS = {
    "an error": "raise ValueError('at the end')",
    "a server's error": "database.execute_sql('SELECT nonsense')",
    "work": MARK.format("after"),
    "work and an error": MARK.format("after") + "\n    raise ValueError('at the end')",
}
UNDONE = "the step is undone"
COMMITTED = "the file committed its transaction: its work up to that point remains"
ROLLED_BACK = "transaction is rolled back"
LATER = ("what it committed later remains", "what the file committed outside of it remains")


NOTHING = "nothing was changed"
STEPS_BEFORE = "the steps before it are done and recorded: 002_first"


@pytest.fixture
def engine(settings, tmp_path, write):
    """An engine that has applied 001_marks, on a connection that a file may close."""
    write("001_marks", migration("migrator.sql('CREATE TABLE marks (mark TEXT)')"))
    database = dedicated(settings, "test")
    database.connect()
    engine = Engine(database, tmp_path)
    engine.up()
    yield engine
    database.close()


def body(way, end):
    return f"{MARK.format('before')}\n    {WAYS[way]}\n    {ENDS[end]}"


def seen(settings):
    """The marks and the history, as another session sees them."""
    marks = {mark for (mark,) in execute(settings, "SELECT mark FROM marks")}
    history = [name for (name,) in execute(settings, "SELECT name FROM migratehistory")]
    return marks, history


def assert_true(message, marks):
    """Every claim of the message about the marks is true, and there is exactly one."""
    assert "unknown: " not in message
    [claim] = [claim for claim in (UNDONE, NOTHING, COMMITTED, ROLLED_BACK) if claim in message]
    if claim == COMMITTED:
        assert "before" in marks
    else:
        assert "before" not in marks
    if marks - {"before"}:
        assert any(words in message for words in LATER)


# Where the engine sees the way, it refuses the end of the transaction, or nothing has ended.
ENDED = [(way, "work") for way in WAYS]
ENDED += [(way, end) for way in UNSEEN for end in ("an error", "a server's error")]
ENDED += [(way, "work and an error") for way in UNSEEN]


@pytest.mark.parametrize(("way", "end"), ENDED)
def test_the_message_of_up_is_true(engine, write, settings, way, end):
    write("002_x", migration(body(way, end), options=HEADER))
    try:
        engine.up()
    except MigrationFailedError as error:
        marks, history = seen(settings)
        assert history == ["001_marks"]
        assert_true(str(error), marks)
    else:
        assert end == "work"
        assert {"before", "after"} <= seen(settings)[0]
        assert seen(settings)[1] == ["001_marks", "002_x"]


@pytest.mark.parametrize("way", UNSEEN)
def test_the_message_of_down_is_true(engine, write, settings, way):
    work = "migrator.sql('SELECT 1')"
    write("002_x", migration(work, body(way, "work and an error"), options=HEADER))
    engine.up()
    with pytest.raises(MigrationFailedError) as caught:
        engine.down()
    marks, history = seen(settings)
    assert history == ["001_marks", "002_x"]
    assert_true(str(caught.value), marks)
    assert "not recorded" not in str(caught.value)


@pytest.mark.parametrize("way", UNSEEN)
def test_the_message_of_a_dry_run_is_true(engine, write, settings, way):
    write("002_first", creates("first"))
    write("003_x", migration(body(way, "work"), options=HEADER))
    with pytest.raises(MigrationFailedError) as caught:
        engine.dry_run_up()
    message = str(caught.value)
    marks, history = seen(settings)
    assert_true(message, marks)
    assert "done before" not in message
    assert (history == ["001_marks"]) is (STEPS_BEFORE not in message)
    assert history in (["001_marks"], ["001_marks", "002_first"])


OUTSIDE = {
    "committed": "pass",
    "an open transaction": "database.execute_sql('BEGIN')",
    "a connection with psycopg2's transactions": "database.connection().autocommit = False",
    "database.atomic()": "with database.atomic(): raise LookupError",
    "a closed connection": "database.connection().close()",
    "a database that is closed": "database.close()",
    "a session that is terminated": SQL["SELECT pg_terminate_backend(pg_backend_pid())"],
}


@pytest.mark.parametrize("way", OUTSIDE)
def test_the_message_of_a_file_without_a_transaction_is_true(engine, write, settings, way):
    work = f"{MARK.format('before')}\n    {OUTSIDE[way]}\n    {ENDS['work and an error']}"
    write("002_x", migration(work, options="atomic = False"))
    with pytest.raises(MigrationFailedError) as caught:
        engine.up()
    marks, history = seen(settings)
    assert "what the file committed remains, and the step is not recorded" in str(caught.value)
    assert "before" in marks
    assert history == ["001_marks"]


def test_a_step_that_has_committed_is_not_retried_after_a_lock_timeout(engine, write, settings):
    holder = dedicated(settings, "holder")
    waits = "database.execute_sql(\"SET LOCAL lock_timeout = '10ms'; LOCK TABLE marks\")"
    committed = "unseen(database, 'COMMIT; BEGIN')"
    write(
        "002_x", migration(f"{MARK.format('before')}\n    {committed}\n    {waits}", options=HEADER)
    )
    with holder.connection_context(), holder.atomic():
        holder.execute_sql("LOCK TABLE marks IN SHARE UPDATE EXCLUSIVE MODE")
        with pytest.raises(MigrationFailedError, match="lock timeout") as caught:
            engine.up()
    assert_true(str(caught.value), {"before"})
    assert execute(settings, "SELECT mark FROM marks") == [("before",)]
