"""One step: what commits together, what a failure leaves and says, and what a dry run shows."""

from threading import Event, Thread

import pytest
from peewee_migrate import Router

from tests.conftest import execute
from toolkit.database import dedicated
from toolkit.engine import Engine
from toolkit.errors import LockError, LockTimeoutError, MigrationFailedError, PlanError
from toolkit.history import History
from toolkit.lock import MigrationLock

FILE = """{head}
def migrate(migrator, database, *, fake=False):
    {migrate}

def rollback(migrator, database, *, fake=False):
    {rollback}
"""


def text(migrate, rollback="migrator.sql('SELECT 1')", head=""):
    return FILE.format(migrate=migrate, rollback=rollback, head=head)


def table(name):
    create, drop = f"CREATE TABLE {name} (id INTEGER)", f"DROP TABLE {name}"
    return text(f"migrator.sql('{create}')", f"migrator.sql('{drop}')")


@pytest.fixture
def engine(db, tmp_path):
    return Engine(db, tmp_path, lock_timeout=0.2)


def names(db):
    return [name for name in db.get_tables() if name != "migratehistory"]


def applied(engine):
    return [step.name for step in engine.plan().applied]


def test_the_third_of_five_fails(engine, db, write):
    for number, name in enumerate("abcde", start=1):
        write(f"00{number}_{name}", table(name))
    write("003_c", text("migrator.sql('CREATE TABLE c (id INTEGER)')\n    migrator.sql('oops')"))
    told = []
    with pytest.raises(MigrationFailedError) as caught:
        engine.up(on_step=told.append)
    message = str(caught.value)
    assert "003_c.py:4: it failed: syntax error" in message
    assert "statement: oops" in message
    assert "its own work is undone; done before it: 001_a, 002_b" in message
    assert [done.name for done in told] == applied(engine) == ["001_a", "002_b"]
    assert names(db) == ["a", "b"]
    write("003_c", table("c"))
    assert [done.name for done in engine.up()] == ["003_c", "004_d", "005_e"]


def test_the_hint_of_the_server_is_told(engine, write):
    write("001_x", text("migrator.sql(\"SELECT 'a' = 1 + '{}'::text\")"))
    with pytest.raises(MigrationFailedError, match="hint: No operator matches"):
        engine.up()


@pytest.mark.parametrize("word", ["COMMIT", "rollback", "END", "BEGIN", "/* x */ commit work"])
def test_sql_that_ends_the_transaction_is_not_sent(engine, db, write, word):
    write("001_x", text(f"migrator.sql('CREATE TABLE x (id INTEGER); {word}; SELECT 1')"))
    with pytest.raises(MigrationFailedError, match="begins or ends a transaction itself"):
        engine.up()
    assert names(db) == []
    assert applied(engine) == []


def test_what_looks_like_the_end_of_a_transaction_is_none(engine, db, write):
    statements = [
        "CREATE TABLE x (y TEXT DEFAULT E'it\\'s; commit', z TEXT DEFAULT '; end')",
        "SAVEPOINT s; ROLLBACK TO SAVEPOINT s",
        "DO $$ BEGIN PERFORM 1; END $$",
        "SELECT 1; -- commit; end",
        "CREATE FUNCTION f() RETURNS integer BEGIN ATOMIC SELECT 1; END",
    ]
    calls = [f"migrator.sql({statement!r})" for statement in statements]
    write("001_x", text("\n    ".join(calls)))
    engine.up()
    assert names(db) == ["x"]


def test_a_transaction_that_ends_behind_our_back_is_noticed(engine, write):
    """By a cursor that is not the one that notes what it is told."""
    write(
        "001_x",
        text(
            "database.execute_sql('CREATE TABLE x (id INTEGER)')\n"
            "    database.connection().cursor(cursor_factory=cursor).execute('COMMIT')",
            head="from psycopg2.extensions import cursor",
        ),
    )
    with pytest.raises(MigrationFailedError, match="ended the transaction it ran in") as caught:
        engine.up()
    assert "stays as far as it came, and is not recorded" in str(caught.value)
    assert applied(engine) == []


CONCURRENTLY = "migrator.sql('CREATE {} INDEX CONCURRENTLY t_id ON t (id)')"


def test_a_file_may_run_outside_of_a_transaction(engine, db, write):
    write("001_t", table("t"))
    drop = "migrator.sql('DROP INDEX CONCURRENTLY t_id')"
    write("002_i", text(CONCURRENTLY.format(""), drop, head="atomic = False"))
    engine.up()
    assert [index.name for index in db.get_indexes("t")] == ["t_id"]
    engine.down()
    assert db.get_indexes("t") == []


def test_inside_of_one_the_error_is_told(engine, write):
    write("001_t", table("t"))
    write("002_i", text(CONCURRENTLY.format("")))
    with pytest.raises(MigrationFailedError, match="cannot run inside a transaction block"):
        engine.up()


def test_an_index_left_invalid_is_a_failure_with_the_drop_to_run(engine, db, write):
    write("001_t", table("t"))
    engine.up()
    db.execute_sql("INSERT INTO t VALUES (1), (1)")
    write("002_i", text(CONCURRENTLY.format("UNIQUE"), head="atomic = False"))
    with pytest.raises(MigrationFailedError) as caught:
        engine.up()
    assert 'could not create unique index "t_id"' in str(caught.value)
    assert "`DROP INDEX CONCURRENTLY t_id` before the next try" in str(caught.value)
    assert applied(engine) == ["001_t"]

    again = CONCURRENTLY.format("UNIQUE").replace("CONCURRENTLY", "CONCURRENTLY IF NOT EXISTS")
    write("002_i", text(again, head="atomic = False"))
    with pytest.raises(MigrationFailedError, match="leaves an index INVALID"):
        engine.up()
    assert applied(engine) == ["001_t"]


@pytest.fixture
def holder(settings):
    """Another session that holds the table t, until it is told to let go."""
    held, let_go = Event(), Event()
    other = dedicated(settings, "holder")

    def hold():
        with other.connection_context(), other.atomic():
            other.execute_sql("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            held.set()
            let_go.wait(60)

    thread = Thread(target=hold)

    def start():
        thread.start()
        assert held.wait(10)
        return let_go

    yield start
    let_go.set()
    if thread.ident:
        thread.join()


def test_a_lock_that_cannot_be_had_names_who_has_it(engine, write, holder):
    engine.lock_timeout = 1.0
    write("001_t", table("t"))
    engine.up()
    holder()
    write("002_c", text("migrator.sql('ALTER TABLE t ADD COLUMN c INTEGER')"))
    with pytest.raises(LockTimeoutError) as caught:
        engine.up()
    assert "canceling statement due to lock timeout" in str(caught.value)
    assert "it waited for tests/holder (pid " in str(caught.value)
    assert "LOCK TABLE t IN ACCESS EXCLUSIVE MODE" in str(caught.value)
    assert applied(engine) == ["001_t"]


def test_a_lock_that_is_given_up_in_time_is_taken_at_a_later_try(
    engine, write, holder, monkeypatch
):
    write("001_t", table("t"))
    engine.up()
    let_go = holder()
    monkeypatch.setattr("toolkit.runner.sleep", lambda _: let_go.set())
    write("002_c", text("migrator.sql('ALTER TABLE t ADD COLUMN c INTEGER')"))
    engine.up()
    assert applied(engine) == ["001_t", "002_c"]


def test_a_later_try_begins_afresh(engine, db, write, holder, monkeypatch):
    """What the first try had queued when it failed is not run by the second."""
    write("001_t", table("t"))
    engine.up()
    let_go = holder()
    monkeypatch.setattr("toolkit.runner.sleep", lambda _: let_go.set())
    queued = "migrator.sql('CREATE TABLE once (id INTEGER)')"
    write("002_c", text(f"{queued}\n    database.execute_sql('ALTER TABLE t ADD c INTEGER')"))
    engine.up()
    assert names(db) == ["once", "t"]


def test_a_file_may_set_its_own_lock_timeout_and_it_stays_inside(engine, db, write):
    seen = "database.execute_sql(\"INSERT INTO seen SELECT current_setting('lock_timeout')\")"
    write("001_s", text("migrator.sql('CREATE TABLE seen (value TEXT)')"))
    write("002_default", text(seen))
    write("003_own", text(seen, head="lock_timeout = 1.5"))
    before = db.execute_sql("SHOW lock_timeout").fetchone()
    engine.up()
    assert db.execute_sql("SHOW lock_timeout").fetchone() == before
    write("004_outside", text(seen, head="lock_timeout = 2\natomic = False"))
    engine.up()
    values = [value for (value,) in db.execute_sql("SELECT value FROM seen").fetchall()]
    assert values == ["200ms", "1500ms", "2s"]
    assert db.execute_sql("SHOW lock_timeout").fetchone() == before


def test_a_lock_that_another_session_has_stops_the_work(engine, write, settings):
    """As behind a pooler in transaction mode, where a session's lock is another session's."""
    write("001_a", text("migrator.sql('SELECT pg_advisory_unlock_all()')"))
    write("002_b", table("b"))
    other = dedicated(settings, "other")
    with other.connection_context():
        lock = MigrationLock(other, "migratehistory")
        take = "SELECT pg_advisory_lock(%s)"
        with pytest.raises(MigrationFailedError, match="MIGRATION_DATABASE_URL") as caught:
            engine.up(on_step=lambda _: other.execute_sql(take, (lock.key,)))
    assert isinstance(caught.value.__cause__, LockError)
    assert applied(engine) == ["001_a"]


@pytest.mark.parametrize("head", ["", "atomic = False"])
def test_a_server_that_goes_away_is_told_in_its_words(engine, write, settings, head):
    write("001_a", table("a"))
    end = "migrator.sql('SELECT pg_terminate_backend(pg_backend_pid())')"
    write("002_b", text(f"migrator.sql('CREATE TABLE b (id INTEGER)')\n    {end}", head=head))
    with pytest.raises(MigrationFailedError, match=r"002_b.*server closed the connection"):
        engine.up()
    assert execute(settings, "SELECT name FROM migratehistory") == [("001_a",)]
    assert execute(settings, "SELECT to_regclass('b') IS NULL") == [(not head,)]


def test_a_dry_run_shows_sql_that_psql_takes_and_changes_nothing(app, settings):
    app.write(
        "migrations/004_fill.py",
        text(
            "migrator.sql('INSERT INTO audit_log (action) VALUES (%s)', \"it's; \\\\\\\\ 100%\")",
            "migrator.sql('DELETE FROM audit_log')",
        ),
    )
    app.write(
        "migrations/006_comment.py",
        text("migrator.sql('CREATE TABLE c () -- first')\n    migrator.sql('SELECT 1')"),
    )
    app.write(
        "migrations/005_outside.py",
        text(
            "migrator.sql('CREATE INDEX CONCURRENTLY i ON sessions (sess)')", head="atomic = False"
        ),
    )
    done = app.invoke("migrate-up", "--dry-run")
    assert done.returncode == 0, done
    assert execute(settings, "SELECT to_regclass('migratehistory')") == [(None,)]
    assert "-- 005_outside\n-- not tried: it runs outside of a transaction" in done.stdout
    shell = app.invoke("db-shell", stdin="\\set ON_ERROR_STOP 1\n" + done.stdout)
    assert shell.returncode == 0, shell
    assert execute(settings, "SELECT action FROM audit_log") == [("it's; \\\\ 100%",)]


def test_a_dry_run_of_the_way_down(engine, db, write):
    write("001_a", table("a"))
    write("002_b", table("b"))
    engine.up()
    [rehearsed] = engine.rehearse_down()
    assert (rehearsed.name, rehearsed.statements) == ("002_b", ["DROP TABLE b"])
    assert names(db) == ["a", "b"]
    assert applied(engine) == ["001_a", "002_b"]


def test_a_dry_run_that_fails_says_so_and_changes_nothing(engine, db, write):
    write("001_a", table("a"))
    write("002_b", text("migrator.sql('COMMIT')"))
    with pytest.raises(MigrationFailedError, match="002_b"):
        engine.rehearse_up()
    assert db.get_tables() == []


def test_a_history_that_peewee_migrate_wrote_is_taken_over(engine, db, tmp_path, write):
    write("001_a", table("a"))
    write("002_b", table("b"))
    Router(db, tmp_path).run("001_a")
    assert applied(engine) == ["001_a"]
    assert [done.name for done in engine.up()] == ["002_b"]
    assert Router(db, tmp_path).done == ["001_a", "002_b"]
    assert engine.accept("001_a").name == "001_a"
    engine.down("zero")
    assert names(db) == []


def test_a_history_with_a_name_twice_is_taken_over(engine, db, tmp_path, write):
    write("001_a", table("a"))
    write("002_b", table("b"))
    router = Router(db, tmp_path)
    router.run("001_a")
    router.model.create(name="001_a")
    assert applied(engine) == ["001_a"]
    engine.up()
    assert applied(engine) == ["001_a", "002_b"]
    rows = db.execute_sql("SELECT count(*) FROM migratehistory WHERE name = '001_a'").fetchone()
    assert rows == (1,)


# Ctrl-C, and what is left of what it meets


def interrupting(monkeypatch, name):
    """Let Ctrl-C come as a call of the history ends."""
    real = getattr(History, name)

    def late(*values):
        real(*values)
        raise KeyboardInterrupt

    monkeypatch.setattr(History, name, late)


@pytest.mark.parametrize("head", ["", "atomic = False"])
def test_ctrl_c_behind_the_commit_does_not_say_undone(engine, write, monkeypatch, head):
    write("001_a", text("migrator.sql('CREATE TABLE a (id INTEGER)')", head=head))
    interrupting(monkeypatch, "add")
    with pytest.raises(MigrationFailedError, match="its own work is done and recorded"):
        engine.up()
    assert applied(engine) == ["001_a"]
    interrupting(monkeypatch, "remove")
    with pytest.raises(MigrationFailedError, match="its own work is done and recorded"):
        engine.down()
    assert applied(engine) == []


def test_a_connection_that_is_lost_at_the_end_leaves_it_open_what_was_done(
    engine, db, write, monkeypatch
):
    write("001_a", table("a"))

    def lost(*_):
        db.execute_sql("SELECT pg_terminate_backend(pg_backend_pid())")

    monkeypatch.setattr(History, "add", lost)
    with pytest.raises(MigrationFailedError, match="`invoke migrate-status` tells"):
        engine.up()


def test_no_step_begins_once_an_interruption_came(engine, write):
    write("001_a", table("a"))
    write("002_b", table("b"))
    came = Event()
    engine.is_interrupted = came.is_set
    with pytest.raises(MigrationFailedError, match=r"002_b\.py: interrupted before it") as caught:
        engine.up(on_step=lambda _: came.set())
    assert "done before: 001_a" in str(caught.value)
    assert applied(engine) == ["001_a"]


# What a file leaves behind in its session


LEFT_OPEN = [
    "migrator.sql('BEGIN')\n    migrator.sql('CREATE TABLE a (id INTEGER)')",
    "database.begin()\n    migrator.sql('CREATE TABLE a (id INTEGER)')",
    "database.connection().autocommit = False\n    migrator.sql('CREATE TABLE a (id INTEGER)')",
]


@pytest.mark.parametrize("migrate", LEFT_OPEN)
def test_a_file_that_leaves_a_transaction_open_has_done_nothing(engine, db, write, migrate):
    write("001_a", text(migrate, head="atomic = False"))
    with pytest.raises(MigrationFailedError, match="it leaves a transaction open, which is undone"):
        engine.up()
    assert applied(engine) == names(db) == []
    write("001_a", table("a"))
    engine.up()
    assert applied(engine) == ["001_a"]


@pytest.mark.parametrize("head", ["", "atomic = False"])
def test_what_a_file_sets_for_its_session_is_not_the_next_ones(engine, db, write, head):
    db.execute_sql("CREATE SCHEMA shop")
    before = settings_of(db)
    sets = "SET search_path = shop; SET ROLE pg_monitor; SET statement_timeout = '1h'"
    write("001_sets", text(f'migrator.sql("{sets}")', head=head))
    write("002_table", table("a"))
    engine.up()
    assert names(db) == ["a"]
    assert settings_of(db) == before
    assert db.execute_sql("SHOW client_connection_check_interval").fetchone() == ("2s",)


def settings_of(db):
    settings = ("role", "search_path", "statement_timeout")
    return {name: db.execute_sql(f"SHOW {name}").fetchone() for name in settings}


def test_what_pg_dump_writes_first_does_not_hide_the_history(engine, write):
    empty = "migrator.sql(\"SELECT pg_catalog.set_config('search_path', '', false)\")"
    write("001_dump", text(f"{empty}\n    migrator.sql('CREATE TABLE public.a (id INTEGER)')"))
    engine.up()
    assert applied(engine) == ["001_dump"]


def test_an_error_that_is_caught_is_told_as_what_it_is(engine, db, write):
    tried = """migrator.sql('CREATE TABLE a (id INTEGER)')
    migrator()
    try:
        database.execute_sql('SELECT nonsense')
    except Exception:
        pass"""
    write("001_a", text(tried))
    with pytest.raises(MigrationFailedError, match=r"it caught an error of the server") as caught:
        engine.up()
    assert "its own work is undone" in str(caught.value)
    assert names(db) == []


# No parameter in an error


SECRET = "hunter2-hunter2"
LEAKS = [
    f"database.execute_sql('SELECT %s::int', ('{SECRET}',))",
    f"database.execute_sql('SELECT %s::int[]', (['{SECRET}'],))",
    f"database.execute_sql('SELECT 1 WHERE 1 IN %s', (('{SECRET}', 'x'),))",
    f"database.connection().cursor().execute('SELECT %s::int', ('{SECRET}',))",
    f"""migrator.sql('CREATE TABLE t (e TEXT)')
    migrator.sql('INSERT INTO t VALUES (%s)', '{SECRET}')
    migrator.sql('ALTER TABLE t ALTER e TYPE INTEGER USING e::integer')""",
    f"""migrator.sql("SELECT set_config('x.y', %s, true)", '{SECRET}')
    migrator.sql("DO $$ BEGIN RAISE 'it is %%', current_setting('x.y'); END $$")""",
    f"""migrator.sql('CREATE TABLE t (e TEXT UNIQUE)')
    for _ in range(2):
        migrator.sql('INSERT INTO t VALUES (%s)', '{SECRET}')""",
]


@pytest.mark.parametrize("migrate", LEAKS)
def test_no_parameter_is_in_an_error(engine, write, migrate):
    write("001_a", text(migrate))
    with pytest.raises(MigrationFailedError) as caught:
        engine.up()
    error = caught.value
    assert "hunter2" not in str(error)
    assert error.__cause__ is None
    assert "statement: " in str(error)


@pytest.mark.parametrize(
    "call", ["migrator.sql(\"SELECT 'a%'\")", "database.execute_sql(\"SELECT 'a%', %s\", (1,))"]
)
def test_a_lone_percent_sign_is_told(engine, write, call):
    write("001_a", text(call))
    with pytest.raises(MigrationFailedError, match=r"a lone % is written %%: SELECT 'a%'"):
        engine.up()


# An INVALID index


def test_an_invalid_index_whose_name_the_file_builds_is_found_again(engine, db, write):
    write("001_t", table("t"))
    engine.up()
    db.execute_sql("INSERT INTO t VALUES (1), (1)")
    build = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS t_{column} ON t ({column})"
    write(
        "002_i",
        text(f"for column in ['id']:\n        migrator.sql(f'{build}')", head="atomic = False"),
    )
    for _ in range(2):
        with pytest.raises(MigrationFailedError, match="`DROP INDEX CONCURRENTLY t_id`"):
            engine.up()
    assert applied(engine) == ["001_t"]


def test_an_index_that_waits_for_its_parts_is_none_that_failed(engine, write):
    waiting = """migrator.sql('CREATE TABLE p (id INTEGER) PARTITION BY RANGE (id)')
    migrator.sql('CREATE TABLE p1 PARTITION OF p DEFAULT')
    migrator.sql('CREATE INDEX p_id ON ONLY p (id)')"""
    write("001_p", text(waiting, head="atomic = False"))
    engine.up()
    assert applied(engine) == ["001_p"]


def test_a_lock_that_is_given_up_stops_what_runs_outside_of_a_transaction(engine, write):
    write("001_a", text("migrator.sql('SELECT pg_advisory_unlock_all()')"))
    write("002_b", text("migrator.sql('SELECT 1')", head="atomic = False"))
    with pytest.raises(MigrationFailedError, match="MIGRATION_DATABASE_URL"):
        engine.up()
    assert applied(engine) == ["001_a"]


# The plan behind the lock


def meanwhile(engine, work):
    """Let something happen between the plan and the lock."""
    real = engine.history.prepare

    def prepare():
        engine.history.prepare = real
        work()
        real()

    engine.history.prepare = prepare


@pytest.mark.parametrize("verb", ["down", "redo"])
def test_what_another_runner_changed_meanwhile_is_not_rolled_back(engine, settings, write, verb):
    for name in "abc":
        write(f"00{ord(name) - 96}_{name}", table(name))
    engine.up("002_b")
    other = dedicated(settings, "other")
    add = "INSERT INTO migratehistory (name, migrated_at) VALUES ('003_c', now())"
    with other.connection_context():
        meanwhile(engine, lambda: other.execute_sql(add))
        with pytest.raises(PlanError, match="another runner changed the history meanwhile"):
            getattr(engine, verb)()
    assert applied(engine) == ["001_a", "002_b", "003_c"]


def test_a_file_that_is_edited_or_gone_meanwhile_is_refused(engine, db, write, tmp_path):
    write("001_a", table("a"))
    engine.up()
    meanwhile(engine, lambda: write("001_a", text("pass", "migrator.sql('DROP TABLE b')")))
    with pytest.raises(PlanError, match="edited"):
        engine.down()
    write("001_a", table("a"))
    meanwhile(engine, (tmp_path / "001_a.py").unlink)
    with pytest.raises(PlanError, match="its file is gone"):
        engine.down()
    assert names(db) == ["a"]


def test_a_file_that_was_renamed_and_applied_meanwhile_is_not_run_again(
    engine, db, write, tmp_path
):
    write("001_a", table("a"))
    engine.up()
    write("002_b", table("b"))

    def rename():
        (tmp_path / "002_b.py").rename(tmp_path / "002_c.py")
        db.execute_sql("INSERT INTO migratehistory (name, migrated_at) VALUES ('002_c', now())")

    meanwhile(engine, rename)
    assert engine.up(allow_out_of_order=True) == []
    assert names(db) == ["a"]


def test_a_dry_run_says_that_what_it_leaves_out_may_be_needed(engine, write):
    write("001_a", text("migrator.sql('CREATE TABLE a (id INTEGER)')", head="atomic = False"))
    write("002_b", text("migrator.sql('ALTER TABLE a ADD b INTEGER')"))
    with pytest.raises(MigrationFailedError, match="a dry run leaves out 001_a"):
        engine.rehearse_up()
