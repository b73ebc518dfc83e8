"""The tasks as a user runs them: what they say, their exit codes, and bad input."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.conftest import PASSWORD, at_database, backend_is_at, execute, free_port, until
from toolkit.database import dedicated

TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


def tables(settings):
    return [name for (name,) in execute(settings, TABLES)]


def place(settings):
    return f"{settings.url}"


def assert_error(done, *words):
    """Exit code 2, and one short paragraph on stderr that has the words and no secret."""
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr + done.stdout
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) <= 6
    assert "\n\n" not in done.stderr
    assert PASSWORD not in done.stderr
    for word in words:
        assert word in done.stderr


def test_several_tasks_in_one_line(app, settings):
    done = app.invoke("migrate-up", "seed", "seed", "migrate-status")
    assert done.returncode == 0, done
    where = re.escape(place(settings))
    assert re.fullmatch(
        rf"applied 001_create_audit_log  \d+ ms\n"
        rf"applied 002_create_sessions  \d+ ms\n"
        rf"applied 003_index_audit_log  \d+ ms\n"
        rf"3 applied in \d+ ms: {where}\n"
        rf"seeded {where}: inserted 42, unchanged 0\n"
        rf"seeded {where}: inserted 0, unchanged 42\n"
        rf"[-0-9]{{10}} [:0-9]{{8}} UTC  001_create_audit_log\n"
        rf"[-0-9]{{10}} [:0-9]{{8}} UTC  002_create_sessions\n"
        rf"[-0-9]{{10}} [:0-9]{{8}} UTC  003_index_audit_log\n"
        rf"3 applied, 0 pending on {where}\n",
        done.stdout,
    )


def test_a_task_named_twice_runs_twice(app, settings):
    app.invoke("migrate-up")
    done = app.invoke("migrate-down", "migrate-down", "migrate-down")
    assert done.stdout.count("1 rolled back") == 3
    assert tables(settings) == ["migratehistory"]


def test_nothing_to_do_is_said(app, settings):
    assert "nothing to roll back" in app.invoke("migrate-down").stdout
    app.invoke("migrate-up")
    assert f"nothing to apply: {place(settings)} is up to date" in app.invoke("migrate-up").stdout


def test_status_of_an_empty_database_is_pending_and_creates_nothing(app, settings):
    done = app.invoke("migrate-status")
    assert done.returncode == 1
    assert "0 applied, 3 pending" in done.stdout
    assert done.stderr == ""
    assert tables(settings) == []


def test_check_agrees_with_what_the_migrations_made(app, settings):
    done = app.invoke("migrate-up", "migrate-check")
    assert done.returncode == 0, done
    assert f"the models and the database agree: {place(settings)}" in done.stdout


def test_check_tells_every_difference(app, settings):
    app.invoke("migrate-up")
    execute(settings, "ALTER TABLE sessions ALTER expire TYPE timestamptz")
    execute(settings, "DROP INDEX idx_sessions_expire")
    execute(settings, "CREATE TABLE others (id integer)")
    done = app.invoke("migrate-check", MIGRATE_CHECK_IGNORE="others, and_more")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        (
            "sessions.expire: the database has timestamp with time zone, "
            "the model timestamp(6) without time zone"
        ),
        "sessions, index idx_sessions_expire: only the model has this index",
        f"2 different: {place(settings)}",
    ]
    told = json.loads(app.invoke("migrate-check", "--json").stdout)
    assert told["database"] == place(settings)
    assert (told["pending"], told["problems"], told["error"]) == ([], [], None)
    assert told["differences"][0] == {
        "subject": "others",
        "database": "this table",
        "model": None,
    }
    assert len(told["differences"]) == 3


def test_check_on_an_empty_database_is_pending_and_creates_nothing(app, settings):
    done = app.invoke("migrate-check")
    assert done.returncode == 1
    assert "pending: 001_create_audit_log" in done.stdout
    assert "3 pending, 2 different" in done.stdout
    assert tables(settings) == []


def test_check_tells_what_is_pending_where_the_models_need_it(app, settings):
    app.write(
        "models/__init__.py",
        "from peewee import SQL, IntegerField, Model\n\n\n"
        "class Odd(Model):\n"
        "    number = IntegerField(constraints=[SQL('DEFAULT one()')])\n\n\n"
        "MODELS = [Odd]\n",
    )
    done = app.invoke("migrate-check")
    assert done.returncode == 1, done
    assert done.stdout.splitlines() == [
        "pending: 001_create_audit_log",
        "pending: 002_create_sessions",
        "pending: 003_index_audit_log",
        "not compared: the server does not take the models: function one() does not exist",
        f"3 pending: {place(settings)}",
    ]
    done = app.invoke("migrate-check", "--json")
    assert done.returncode == 1, done
    told = json.loads(done.stdout)
    assert len(told["pending"]) == 3
    assert told["problems"] == told["differences"] == []
    assert told["error"].endswith("function one() does not exist")
    app.invoke("migrate-up")
    done = app.invoke("migrate-check", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "or the database lacks what they use" in done.stderr


def test_models_that_cannot_be_imported_are_an_error_and_no_difference(app):
    app.write("models/__init__.py", "from models.nothing import Nothing\n")
    done = app.invoke("migrate-check")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: models cannot be imported: ModuleNotFoundError: No module named 'models.nothing'"
    )
    assert "Traceback" not in done.stderr


def test_check_of_an_edited_migration_is_a_problem(app):
    app.invoke("migrate-up")
    path = app.folder / "migrations" / "002_create_sessions.py"
    path.write_text(f"{path.read_text()}# edited\n")
    done = app.invoke("migrate-check")
    assert done.returncode == 2
    assert "! 002_create_sessions: it was edited" in done.stdout
    told = json.loads(app.invoke("migrate-check", "--json").stdout)
    assert told["problems"] == [{"name": "002_create_sessions", "problem": "edited"}]


def test_schema_lists_what_is_there(app, settings):
    app.invoke("migrate-up")
    done = app.invoke("db-schema")
    assert done.returncode == 0
    listed = done.stdout.partition("table sessions\n")[2].splitlines()
    assert listed == [
        "  sid     character varying NOT NULL",
        "  sess    jsonb NOT NULL",
        "  expire  timestamp(6) without time zone NOT NULL",
        "  constraint sessions_pkey  PRIMARY KEY (sid)",
        (
            "  index idx_sessions_expire  "
            "CREATE INDEX idx_sessions_expire ON sessions USING btree (expire)"
        ),
    ]
    told = json.loads(app.invoke("db-schema", "--json").stdout)
    assert told["database"] == place(settings)
    assert {"kind": "column", "name": "sessions.sid", "table": "sessions"}.items() <= told[
        "schema"
    ][-5].items()
    execute(settings, "DROP TABLE audit_log, migratehistory, sessions")
    app.invoke("migrate-up")
    assert app.invoke("db-schema").stdout == done.stdout


def test_sessions_prune_says_how_many_went(app, settings):
    assert_error(app.invoke("sessions-prune"), "invoke migrate-up")
    app.invoke("migrate-up", "seed")
    done = app.invoke("sessions-prune", "sessions-prune")
    assert done.returncode == 0, done
    assert done.stdout.splitlines() == [
        f"pruned 3 expired sessions: {place(settings)}",
        f"pruned 0 expired sessions: {place(settings)}",
    ]
    assert done.stderr == ""
    assert execute(settings, "SELECT count(*) FROM sessions") == [(9,)]


def test_db_reset_starts_over(app, settings):
    app.invoke("migrate-up", "seed")
    execute(settings, "CREATE TABLE left_over (id INTEGER)")
    done = app.invoke("db-reset")
    assert done.returncode == 0, done
    assert "inserted 42, unchanged 0" in done.stdout
    assert tables(settings) == ["audit_log", "migratehistory", "sessions"]


def test_db_reset_creates_a_database_that_is_missing(app, settings):
    execute(at_database(settings, "postgres"), f'DROP DATABASE "{settings.url.name}"')
    assert app.invoke("db-reset").returncode == 0
    assert "sessions" in tables(settings)


def test_db_shell_is_psql_there(app, settings):
    words = "SELECT current_database() || ' ' || current_setting('TimeZone')"
    done = app.invoke("db-shell", stdin=words)
    assert f"{settings.url.name} UTC" in done.stdout


def test_db_shell_ends_at_the_first_error_of_what_it_is_fed_with_psqls_exit_code(app):
    done = app.invoke("db-shell", stdin="SELECT x;\nSELECT 6 * 7000;\n")
    assert done.returncode == 3, done
    assert 'column "x" does not exist' in done.stderr
    assert "42000" not in done.stdout


def test_psql_ends_with_the_task_that_runs_it(app, settings):
    others = f"{SESSIONS} AND pid <> pg_backend_pid()"
    with app.start("db-shell", stdin=subprocess.PIPE) as process:
        until(lambda: execute(settings, others) == [(1,)])
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM
        until(lambda: execute(settings, others) == [(0,)])


@pytest.mark.parametrize("words", [["migrate-up", "--nope"], ["migrate-create"], ["nope"]])
def test_what_invoke_itself_does_not_understand_ends_with_1(app, settings, words):
    done = app.invoke(*words)
    assert done.returncode == 1
    assert words[-1] in done.stderr
    assert tables(settings) == []


def test_debug_adds_the_traceback_and_no_password(app):
    app.invoke("migrate-up")
    done = app.invoke("--debug", "migrate-create", "Create Sessions")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    seeded = app.invoke("--debug", "seed")
    assert seeded.returncode == 0
    assert "originalMaxAge" not in seeded.stderr  # Peewee's log of statements with parameters
    assert PASSWORD not in done.stderr + seeded.stderr


def test_migrate_create_writes_a_file_that_runs_when_it_is_filled_in(app, settings):
    done = app.invoke("migrate-create", "Add-Things")
    assert done.stdout.startswith("created migrations/004_add_things.py")
    path = app.folder / "migrations" / "004_add_things.py"
    path.write_text(re.sub(r"# (migrator.*)", r"\1", path.read_text()))
    assert "applied 004_add_things" in app.invoke("migrate-up").stdout
    assert "things" in tables(settings)
    assert "rolled back 004_add_things" in app.invoke("migrate-down").stdout
    assert "things" not in tables(settings)


@pytest.mark.parametrize(
    "task",
    [
        "migrate-up",
        "migrate-down",
        "migrate-status",
        "migrate-check",
        "migrate-verify",
        "db-schema",
        "seed",
        "db-reset",
    ],
)
def test_no_server(app, settings, task):
    url = settings.url.render(with_password=True).replace(
        f":{settings.url.port}/", f":{free_port()}/"
    )
    assert_error(app.invoke(task, DATABASE_URL=url), "Connection refused", "invoke db-up")


@pytest.mark.parametrize(
    "task", ["migrate-up", "migrate-down", "migrate-status", "migrate-check", "db-schema", "seed"]
)
def test_no_database(app, task):
    url = app.environment["DATABASE_URL"] + "gone"
    assert_error(app.invoke(task, DATABASE_URL=url), "does not exist", "invoke db-reset")


@pytest.mark.parametrize(
    ("words", "exported", "told"),
    [
        (["migrate-up"], {"DB_PASSWORD": "hidden"}, ["DATABASE_URL: contradicts DB_PASSWORD"]),
        (["migrate-up"], {"DATABASE_URL": "postgresql://app:hidden@/"}, ["DB_HOST", "DB_NAME"]),
        (["migrate-up"], {"DATABASE_URL": "nonsense"}, ["DATABASE_URL: not of the form"]),
        (["seed"], {"DATABASE_URL": "", "DB_PORT": "x"}, ["DB_PORT: not a port number"]),
        (["seed"], {"DB_POOL_MAX_CONNECTIONS": "0"}, ["DB_POOL_MAX_CONNECTIONS: must be 1"]),
        (["seed"], {"APP_ENV": "production"}, ["APP_ENV is production"]),
        (["seed"], {}, ["invoke migrate-up", "does not exist"]),
        (["db-reset"], {"APP_ENV": "production"}, ["APP_ENV is production"]),
        (["migrate-verify"], {"APP_ENV": "production"}, ["APP_ENV is production"]),
        (["db-up", "--via=podman"], {}, ["--via takes docker or local"]),
        (["migrate-create", ""], {}, ["is no name for a migration"]),
        (["migrate-create", "../x"], {}, ["is no name for a migration"]),
        (["migrate-create", "2fa"], {}, ["is no name for a migration"]),
        (["migrate-create", "create_sessions"], {}, ["002_create_sessions"]),
    ],
)
def test_bad_input_changes_nothing(app, settings, words, exported, told):
    before = sorted((app.folder / "migrations").iterdir())
    assert_error(app.invoke(*words, **exported), *told)
    assert tables(settings) == []
    assert sorted((app.folder / "migrations").iterdir()) == before


def test_a_wrong_password(app, settings):
    url = settings.url
    wrong = f"postgresql://{url.user}:hidden@{url.host}:{url.port}/{url.name.replace(' ', '%20')}"
    done = app.invoke("migrate-up", DATABASE_URL=wrong)
    assert_error(done, "authentication failed", "DB_PASSWORD")
    assert "hidden" not in done.stderr


def test_special_characters_in_user_password_and_database(app, settings):
    odd, port = "u@:/#%$ ser", str(settings.url.port)
    execute(settings, f"""CREATE ROLE "{odd}" LOGIN SUPERUSER PASSWORD '{odd}'""")
    execute(settings, f'CREATE DATABASE "{odd}"')
    coded = "u%40%3A%2F%23%25%24%20ser"
    url = f"postgresql://{coded}:{coded}@{settings.url.host}:{port}/{coded}"
    parts = {
        "DB_HOST": settings.url.host,
        "DB_USER": odd,
        "DB_PASSWORD": odd,
        "DB_NAME": odd,
        "DB_PORT": port,
    }
    try:
        for exported in ({"DATABASE_URL": url}, {"DATABASE_URL": "", **parts}):
            done = app.invoke("db-up", "db-reset", **exported)
            assert done.returncode == 0, done
            shell = app.invoke("db-shell", stdin="SELECT current_user", **exported)
            assert odd in shell.stdout
    finally:
        execute(settings, f'DROP DATABASE "{odd}"')
        execute(settings, f'DROP ROLE "{odd}"')


@pytest.mark.parametrize("name", ["PGHOSTADDR", "PGSERVICE", "PGTZ", "PGOPTIONS", "PGDATABASE"])
def test_variables_of_libpq_lead_nowhere_else(app, settings, name):
    """192.0.2.1 is TEST-NET-1 (RFC 5737): nobody is there."""
    value = {"PGHOSTADDR": "192.0.2.1", "PGTZ": "America/New_York", "PGOPTIONS": "-c x.y=1"}
    done = app.invoke("db-reset", **{name: value.get(name, "elsewhere")})
    assert done.returncode == 0, done
    assert execute(settings, "SELECT count(*) FROM sessions WHERE expire > now()") == [(9,)]


def test_db_reset_ends_the_sessions_that_are_in_the_way(app, settings):
    other = dedicated(settings, "other")
    with other.connection_context():
        assert app.invoke("db-reset").returncode == 0
        other._state.conn.close()


def test_work_goes_on_when_nobody_reads_what_it_says(app, settings):
    with app.start("migrate-up", "migrate-status", text=False) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    assert b"Traceback" not in errors
    assert execute(settings, "SELECT count(*) FROM migratehistory") == [(3,)]


def test_work_goes_on_when_the_disk_is_full(app, settings):
    with Path("/dev/full").open("w") as full, app.start("migrate-up", stdout=full) as process:
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    assert execute(settings, "SELECT count(*) FROM migratehistory") == [(3,)]


def test_what_the_server_refuses_is_told_in_its_words(app, settings):
    execute(settings, "CREATE ROLE \"lesser\" LOGIN PASSWORD 'lesser'")
    try:
        execute(settings, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        url = settings.url
        name = url.name.replace(" ", "%20")
        lesser = f"postgresql://lesser:lesser@{url.host}:{url.port}/{name}"
        done = app.invoke("migrate-up", DATABASE_URL=lesser)
        assert_error(done, "permission denied for schema public")
        assert_error(app.invoke("db-reset", DATABASE_URL=lesser), "must be owner of database")
    finally:
        execute(settings, "DROP ROLE lesser")


def test_a_project_that_cannot_be_written_to_is_told(app):
    shutil.rmtree(app.folder / "migrations")
    assert_error(app.invoke("migrate-create", "add_users"), "migrations", "cannot be read")
    assert_error(app.invoke("migrate-up"), "migrations", "cannot be read")


def test_sys_exit_in_a_migration_is_a_failure(app, settings):
    app.write(
        "migrations/004_exit.py",
        "import sys\ndef migrate(migrator, database, *, fake=False):\n    sys.exit(0)\n"
        "irreversible = True\n",
    )
    assert_error(app.invoke("migrate-up"), "migrations/004_exit.py:3", "SystemExit")
    assert execute(settings, "SELECT count(*) FROM migratehistory") == [(3,)]


def test_ctrl_c_in_the_shell_cancels_the_query_and_not_the_shell(app, settings):
    """On a terminal, as a person would: the shell still answers after the Ctrl-C."""
    parent, child = pty.openpty()
    process = app.start(
        "db-shell",
        stdin=child,
        stdout=child,
        stderr=child,
        env=app.environment | {"PAGER": "", "TERM": "dumb"},
        start_new_session=True,
    )
    os.close(child)
    try:
        os.write(parent, b"SELECT pg_sleep(60);\n")
        until(lambda: backend_is_at(settings, "pg_sleep"))
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does with ^C
        read_until(parent, b"canceling statement")
        os.write(parent, b"SELECT 6 * 7000;\n")
        read_until(parent, b"42000")
        os.write(parent, b"\\q\n")
        assert process.wait(30) == 0
    finally:
        os.close(parent)
        process.kill()
        process.wait()


def read_until(terminal, words):
    """Read what a terminal shows until it shows the words."""
    seen = b""
    while words not in seen:
        ready, _, _ = select.select([terminal], [], [], 30)
        assert ready, seen
        seen += os.read(terminal, 4096)


def test_db_reset_refuses_another_machine(app):
    elsewhere = "postgresql://app:app@192.0.2.1/app"  # TEST-NET-1 (RFC 5737): nobody is there
    assert_error(app.invoke("db-reset", DATABASE_URL=elsewhere), "on this machine's databases")


def test_a_migration_that_fails_half_way(app, settings):
    app.write(
        "migrations/004_broken.py",
        "def migrate(migrator, database, *, fake=False):\n"
        "    migrator.sql('CREATE TABLE half (id INTEGER)')\n"
        "    migrator.sql('SELECT * FROM nowhere')\n"
        "def rollback(migrator, database, *, fake=False):\n"
        "    migrator.sql('DROP TABLE half')\n",
    )
    done = app.invoke("migrate-up")
    assert_error(done, "migrations/004_broken.py:3", 'relation "nowhere" does not exist')
    assert "applied 003_index_audit_log" in done.stdout
    assert tables(settings) == ["audit_log", "migratehistory", "sessions"]
    assert app.invoke("migrate-status").returncode == 1


def test_a_terminal_without_the_letters_stops_no_work(app):
    app.write("migrations/004_caf\N{LATIN SMALL LETTER E WITH ACUTE}.py", SELECTS)
    done = app.invoke("migrate-up", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done
    assert "applied 004_caf\\xe9" in done.stdout


SELECTS = """
def migrate(migrator, database, *, fake=False):
    migrator.sql("SELECT 1")

def rollback(migrator, database, *, fake=False):
    migrator.sql("SELECT 1")
"""
