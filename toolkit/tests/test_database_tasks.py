"""The tasks db-reset, db-schema and sessions-prune; and every task without its database."""

import json

import pytest

from dbfoundation.runtime.connection import dedicated
from tests.support import assert_error, at_database, execute, free_port, tables

READING = [
    "migrate-up",
    "migrate-down",
    "migrate-status",
    "migrate-check",
    "db-schema",
    "seed --yes",
]
ELSEWHERE = "192.0.2.1"  # TEST-NET-1 (RFC 5737), where no server is


def url_of(settings, *, user, password):
    url = settings.url
    name = url.name.replace(" ", "%20")
    return f"postgresql://{user}:{password}@{url.host}:{url.port}/{name}"


def test_db_schema_lists_every_object_of_a_table(app, settings):
    app.invoke("migrate-up")
    done = app.invoke("db-schema")
    assert done.returncode == 0
    assert done.stdout.partition("table sessions\n")[2].splitlines() == [
        "  sid     character varying NOT NULL",
        "  sess    jsonb NOT NULL",
        "  expire  timestamp(6) without time zone NOT NULL",
        "  constraint sessions_pkey  PRIMARY KEY (sid)",
        (
            "  index idx_sessions_expire  "
            "CREATE INDEX idx_sessions_expire ON sessions USING btree (expire)"
        ),
    ]
    listed = json.loads(app.invoke("db-schema", "--json").stdout)
    assert listed.keys() == {"database", "schema"}
    assert listed["database"] == f"{settings.url}"
    column = {"kind": "column", "name": "sessions.sid", "table": "sessions"}
    assert column.items() <= listed["schema"][-5].items()


def test_db_schema_shows_how_a_function_runs_and_with_a_flag_its_text(app, settings):
    execute(
        settings,
        "CREATE FUNCTION one() RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER "
        r"SET search_path = pg_catalog AS E'SELECT\n  1'; CREATE VIEW two AS SELECT 2 AS number",
    )
    line = (
        "function one()  RETURNS integer LANGUAGE sql STABLE SECURITY DEFINER "
        "SET search_path=pg_catalog"
    )
    listed = app.invoke("db-schema").stdout.splitlines()
    assert line in listed
    assert "AS $function$" not in str(listed)
    assert {*listed} < {*app.invoke("db-schema", "--source").stdout.splitlines()}
    text = app.invoke("db-schema", "--source").stdout
    assert f"{line}\n    CREATE OR REPLACE FUNCTION public.one()\n" in text
    assert "    AS $function$SELECT\n      1$function$\n" in text
    assert "view two\n    SELECT 2 AS number;\n  number  integer\n" in text
    things = json.loads(app.invoke("db-schema", "--json").stdout)["schema"]
    sources = {thing["name"]: thing["source"] for thing in things if "source" in thing}
    assert sources.keys() == {"one()", "two"}
    assert sources["one()"].endswith("AS $function$SELECT\n  1$function$")
    assert sources["two"] == "SELECT 2 AS number;"


def test_db_schema_of_a_second_migration_from_nothing_is_the_same(app, settings):
    first = app.invoke("migrate-up", "db-schema").stdout.partition(f"{settings.url}\n")[2]
    execute(settings, "DROP TABLE audit_log, migratehistory, sessions")
    second = app.invoke("migrate-up", "db-schema").stdout.partition(f"{settings.url}\n")[2]
    assert first == second
    assert "table sessions" in first


def test_sessions_prune_prints_the_number_of_deleted_sessions(app, settings):
    assert_error(app.invoke("sessions-prune"), "invoke migrate-up")
    app.invoke("migrate-up", "seed", "--yes")
    done = app.invoke("sessions-prune", "sessions-prune")
    assert done.returncode == 0, done
    assert done.stdout.splitlines() == [
        f"pruned 1 expired sessions: {settings.url}",
        f"pruned 0 expired sessions: {settings.url}",
    ]
    assert done.stderr == ""
    assert execute(settings, "SELECT count(*) FROM sessions") == [(3,)]


def test_db_reset_replaces_the_database(app, settings):
    app.invoke("migrate-up", "seed", "--yes")
    execute(settings, "CREATE TABLE left_over (id INTEGER)")
    done = app.invoke("db-reset", "--yes")
    assert done.returncode == 0, done
    assert "inserted 12, unchanged 0" in done.stdout
    assert tables(settings) == ["audit_log", "migratehistory", "sessions"]


def test_db_reset_creates_a_missing_database(app, settings):
    execute(at_database(settings, "postgres"), f'DROP DATABASE "{settings.url.name}"')
    assert app.invoke("db-reset", "--yes").returncode == 0
    assert "sessions" in tables(settings)


def test_db_reset_ends_the_other_sessions_of_the_database(app, settings):
    other = dedicated(settings, "other")
    with other.connection_context():
        assert app.invoke("db-reset", "--yes").returncode == 0
        other.connection().close()


def test_db_reset_refuses_another_machine(app):
    done = app.invoke("db-reset", DATABASE_URL=f"postgresql://app:app@{ELSEWHERE}/app")
    assert_error(done, f"db-reset would drop app on {ELSEWHERE}:5432", "Fix: ")


@pytest.mark.parametrize("name", ["PGHOSTADDR", "PGSERVICE", "PGTZ", "PGOPTIONS", "PGDATABASE"])
def test_variables_of_libpq_change_no_connection(app, settings, name):
    values = {"PGHOSTADDR": ELSEWHERE, "PGTZ": "America/New_York", "PGOPTIONS": "-c x.y=1"}
    done = app.invoke("db-reset", "--yes", **{name: values.get(name, "elsewhere")})
    assert done.returncode == 0, done
    assert execute(settings, "SELECT count(*) FROM sessions WHERE expire > now()") == [(3,)]


def test_special_characters_in_user_password_and_database(app, settings):
    odd, coded = "u@:/#%$ ser", "u%40%3A%2F%23%25%24%20ser"
    host, port = settings.url.host, str(settings.url.port)
    parts = {"DB_HOST": host, "DB_PORT": port, "DB_USER": odd, "DB_PASSWORD": odd, "DB_NAME": odd}
    execute(settings, f"""CREATE ROLE "{odd}" LOGIN SUPERUSER PASSWORD '{odd}'""")
    try:
        for exported in (
            {"DATABASE_URL": f"postgresql://{coded}:{coded}@{host}:{port}/{coded}"},
            {"DATABASE_URL": "", **parts},
        ):
            done = app.invoke("db-reset", "--yes", "db-up", **exported)
            assert done.returncode == 0, done
            shell = app.invoke_process("db-shell", stdin="SELECT current_user", **exported)
            assert odd in shell.stdout
    finally:
        execute(settings, f'DROP DATABASE IF EXISTS "{odd}"')
        execute(settings, f'DROP ROLE "{odd}"')


@pytest.mark.parametrize("task", [*READING, "migrate-verify", "db-reset"])
def test_without_a_server_each_task_names_the_fix(app, settings, task):
    port = f":{settings.url.port}/"
    url = app.environment["DATABASE_URL"].replace(port, f":{free_port()}/")
    assert_error(app.invoke(*task.split(), DATABASE_URL=url), "Connection refused", "invoke db-up")


@pytest.mark.parametrize("task", READING)
def test_without_a_database_each_task_names_the_fix(app, task):
    url = app.environment["DATABASE_URL"] + "gone"
    assert_error(app.invoke(*task.split(), DATABASE_URL=url), "does not exist", "invoke db-reset")


def test_a_wrong_password_is_an_error_that_does_not_print_it(app, settings):
    url = url_of(settings, user=settings.url.user, password="hidden")
    done = app.invoke("migrate-up", DATABASE_URL=url)
    assert_error(done, "authentication failed", "DB_PASSWORD")
    assert "hidden" not in done.stderr


def test_an_error_has_the_words_of_the_server(app, settings):
    execute(settings, "CREATE ROLE \"lesser\" LOGIN PASSWORD 'lesser'")
    try:
        execute(settings, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        lesser = url_of(settings, user="lesser", password="lesser")
        done = app.invoke("migrate-up", DATABASE_URL=lesser)
        assert_error(done, "permission denied for schema public")
        assert_error(
            app.invoke("db-reset", "--yes", DATABASE_URL=lesser), "must be owner of database"
        )
    finally:
        execute(settings, "DROP ROLE lesser")
