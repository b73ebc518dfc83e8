"""The roles of docs/deploying.md: one that owns the schema, and one that the application uses."""

from dataclasses import replace

import pytest
from psycopg2.errors import InsufficientPrivilege

from tests.deployment import as_role, create_roles, deployed_project, server_without_roles
from tests.migration_files import creates, migration
from tests.providers import needs_programs
from tests.support import assert_error, at_database, execute, only_in_ci

pytestmark = [needs_programs, only_in_ci]

OWNERS = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('public', 'shop')"
PRIVILEGES = """
SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES',
    'TRIGGER']) p
WHERE has_table_privilege('app', %s, p)
"""
READ_AND_WRITE = ["SELECT", "INSERT", "UPDATE", "DELETE"]
SHOP = migration(
    "migrator.sql('CREATE SCHEMA shop');"
    " migrator.sql('CREATE TABLE shop.orders (id SERIAL, number INTEGER)');"
    " migrator.sql('CREATE TABLE books (id INTEGER GENERATED ALWAYS AS IDENTITY, title TEXT)')",
    "migrator.sql('DROP TABLE books'); migrator.sql('DROP SCHEMA shop CASCADE')",
)
REFUSED = (
    "CREATE TABLE mine (id INTEGER)",
    "CREATE TEMPORARY TABLE mine (id INTEGER)",
    "CREATE SCHEMA mine",
    "CREATE EXTENSION citext",
    "CREATE FUNCTION mine() RETURNS INTEGER LANGUAGE sql AS 'SELECT 1'",
    "CREATE INDEX ON sessions (sid)",
    "ALTER TABLE sessions ADD COLUMN mine INTEGER",
    "ALTER TABLE sessions OWNER TO app",
    "DROP TABLE sessions",
    "TRUNCATE sessions",
    "SELECT setval('audit_log_id_seq', 1)",
    "SET ROLE app_owner",
    "CREATE ROLE mine",
)


@pytest.fixture
def roles():
    with server_without_roles() as roles:
        yield roles


@pytest.fixture
def project(tmp_path, roles):
    """The project of a release step, which has both addresses."""
    project = deployed_project(tmp_path)
    return replace(project, environment=project.environment | roles.environment())


def privileges(roles, table):
    return [name for (name,) in execute(roles.admin, PRIVILEGES, table)]


def assert_succeeds(done):
    assert done.returncode == 0, done


def test_the_application_reads_and_writes_every_table_also_those_of_later_migrations(
    project, roles
):
    create_roles(project, roles.admin)
    assert_succeeds(project.invoke("migrate-up", "migrate-check"))
    assert_succeeds(project.invoke("seed", "--yes", "sessions-prune"))
    project.write("migrations/004_shop.py", SHOP)
    assert_succeeds(project.invoke("migrate-up"))
    assert execute(roles.admin, OWNERS) == [("app_owner",)]
    for table in ("audit_log", "sessions", "books", "shop.orders"):
        assert privileges(roles, table) == READ_AND_WRITE, table
    execute(roles.app, "INSERT INTO books (title) VALUES ('one')")
    execute(roles.app, "INSERT INTO shop.orders (number) VALUES (7)")
    assert_succeeds(project.invoke("migrate-down", "--to", "zero"))


def test_the_application_changes_no_schema(project, roles):
    create_roles(project, roles.admin)
    project.invoke("migrate-up")
    execute(roles.app, "SELECT count(*) FROM sessions")
    for statement in REFUSED:
        with pytest.raises(InsufficientPrivilege):
            execute(roles.app, statement)
    project.write("migrations/004_later.py", creates("later"))
    assert_error(project.invoke("migrate-up", MIGRATION_DATABASE_URL=""), "permission denied")


def test_the_history_can_be_taken_from_the_application(project, roles):
    create_roles(project, roles.admin)
    project.invoke("migrate-up")
    assert privileges(roles, "migratehistory") == READ_AND_WRITE
    execute(roles.owner, (project.folder / "deploy" / "protect_history.sql").read_text())
    assert privileges(roles, "migratehistory") == ["SELECT"]
    project.write("migrations/004_later.py", creates("later"))
    assert_succeeds(project.invoke("migrate-up"))
    status = project.invoke("migrate-status", MIGRATION_DATABASE_URL="")
    assert "4 applied, 0 pending" in status.stdout


def test_an_existing_database_is_given_to_the_owner(project, roles):
    execute(roles.admin, "CREATE ROLE old_role LOGIN PASSWORD 'old'")
    execute(roles.admin, "GRANT CREATE ON SCHEMA public TO PUBLIC")  # as PostgreSQL 14 had it
    old = as_role(roles.admin, "old_role", "old").url.render(with_password=True)
    assert_succeeds(project.invoke("migrate-up", DATABASE_URL=old, MIGRATION_DATABASE_URL=""))
    create_roles(project, roles.admin)
    execute(roles.admin, "REASSIGN OWNED BY old_role TO app_owner")
    assert execute(roles.admin, OWNERS) == [("app_owner",)]
    for table in ("audit_log", "sessions"):
        assert privileges(roles, table) == READ_AND_WRITE
    assert_succeeds(project.invoke("seed", "--yes"))
    assert_succeeds(project.invoke("migrate-redo"))
    with pytest.raises(InsufficientPrivilege):
        execute(roles.app, "CREATE TABLE mine (id INTEGER)")


def test_an_administrator_needs_not_be_a_superuser(project, roles):
    execute(roles.admin, "CREATE ROLE manager CREATEROLE CREATEDB LOGIN PASSWORD 'm'")
    execute(roles.admin, "REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    execute(at_database(roles.admin, "postgres"), 'ALTER DATABASE "the shop" OWNER TO manager')
    create_roles(project, as_role(roles.admin, "manager", "m"))
    assert_succeeds(project.invoke("migrate-up", "seed", "--yes"))


def test_a_failed_script_changes_nothing(project, roles):
    script = (project.folder / "deploy" / "roles.sql").read_text()
    url = roles.admin.url.render(with_password=True)
    done = project.invoke_process(
        "db-shell", stdin=script, DATABASE_URL=url, APP_OWNER_PASSWORD="x"
    )
    assert done.returncode == 3, done  # psql's
    create_roles(project, roles.admin)
