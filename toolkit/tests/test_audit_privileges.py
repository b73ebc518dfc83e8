"""The statements of docs/audit.md make the audit trail append-only for the application's role."""

from __future__ import annotations

from dataclasses import replace

import peewee
import psycopg2
import pytest

from dbfoundation.errors import AppendOnlyError
from dbfoundation.migrations.engine import Engine
from dbfoundation.runtime.connection import dedicated
from models import AuditLog
from tests.documentation import File, read_page
from tests.providers import needs_programs
from tests.support import LIBRARY, PASSWORD, PROJECT, at_database, execute

PAGE = LIBRARY.parent / "docs" / "audit.md"
NAME = "protect_audit_log.sql"
ENTRY = {"action": "a", "entity": ("thing", 1), "user_id": 7, "details": {"n": 1}}
# The application has all privileges on each later table, as a project may grant them.
DEFAULTS = """
GRANT USAGE ON SCHEMA public TO app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO app;
"""
UPDATE = "UPDATE audit_log SET action = 'changed'"
CHANGES = [
    UPDATE,
    "INSERT INTO audit_log (id, action) VALUES (1, 'b') ON CONFLICT (id) DO UPDATE SET id = 2",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
    "DROP TABLE audit_log",
    "ALTER TABLE audit_log DROP COLUMN details",
    "ALTER TABLE audit_log RENAME TO other",
    "CREATE RULE none AS ON INSERT TO audit_log DO INSTEAD NOTHING",
    "SET ROLE app_owner",
    "SELECT setval('audit_log_id_seq', 1)",
]
REFUSED = r"permission denied|must be owner"

pytestmark = [
    needs_programs,
    pytest.mark.skipif(not PAGE.exists(), reason="this copy has no docs/"),
]


class Unguarded(peewee.Model):
    """The table without the trail's methods."""

    action = peewee.CharField()

    class Meta:
        table_name = "audit_log"


def as_user(settings, user):
    return replace(settings, url=replace(settings.url, user=user))


@pytest.fixture
def owner(private_server):
    """Settings of app_owner, whose database has the tables of the project."""
    admin = at_database(private_server.settings, "postgres")
    execute(admin, "CREATE ROLE root SUPERUSER LOGIN PASSWORD %s", PASSWORD)
    root = as_user(admin, "root")
    execute(root, "ALTER ROLE app RENAME TO administrator")  # the server's superuser
    for role in ("app_owner", "app"):
        execute(root, f"CREATE ROLE {role} LOGIN PASSWORD %s", PASSWORD)
    execute(root, "CREATE DATABASE service OWNER app_owner")
    owner = as_user(at_database(admin, "service"), "app_owner")
    execute(owner, DEFAULTS)
    connection = dedicated(owner, "test")
    with connection.connection_context():
        Engine(connection, PROJECT / "migrations").up()
    return owner


@pytest.fixture
def application(owner):
    """Settings of app, after the statements of the page."""
    [file] = [part for part in read_page(PAGE.read_text()) if getattr(part, "path", "") == NAME]
    assert isinstance(file, File)
    execute(owner, file.text)
    return as_user(owner, "app")


@pytest.fixture
def models(application):
    """The models on a connection of app, with one row that it recorded."""
    connection = dedicated(application, "test")
    with connection.bind_ctx([AuditLog, Unguarded]), connection.connection_context():
        AuditLog.record(**ENTRY)
        yield


def test_the_application_appends_and_reads(models, owner):  # noqa: ARG001 # its tables
    row = AuditLog.record(**ENTRY)
    AuditLog.record_many([ENTRY, ENTRY])
    AuditLog.create(action="a", user_id=7)
    assert len(AuditLog.for_user(7)) == 5
    assert AuditLog.for_entity(("thing", 1))[-2] == row
    assert execute(owner, "SELECT count(*) FROM audit_log") == [(5,)]


@pytest.mark.usefixtures("models")
def test_the_server_refuses_the_application_every_change(application, owner):
    attempts = [
        Unguarded.update(action="changed").execute,
        Unguarded.delete().execute,
        Unguarded.truncate_table,
        Unguarded.drop_table,
    ]
    for attempt in attempts:
        with pytest.raises(peewee.ProgrammingError, match=REFUSED):
            attempt()
    for change in CHANGES:
        with pytest.raises(psycopg2.Error, match=REFUSED):
            execute(application, change)
    for attempt in (AuditLog.update, AuditLog.delete, AuditLog.truncate_table, AuditLog.drop_table):
        with pytest.raises(AppendOnlyError):
            attempt()
    assert execute(owner, "SELECT action FROM audit_log") == [("a",)]


def test_without_the_statements_the_default_privileges_permit_a_change(owner):
    execute(as_user(owner, "app"), "INSERT INTO audit_log (action) VALUES ('a')")
    execute(as_user(owner, "app"), UPDATE)
    assert execute(owner, "SELECT action FROM audit_log") == [("changed",)]


@pytest.mark.usefixtures("models")
def test_the_page_names_what_remains_possible(application, owner):
    execute(owner, UPDATE)
    assert execute(application, "SELECT action FROM audit_log") == [("changed",)]
    execute(application, "INSERT INTO audit_log (action, timestamp) VALUES ('a', '2020-01-01Z')")
    execute(owner, "CREATE TABLE things (id INT PRIMARY KEY)")
    execute(owner, "ALTER TABLE audit_log ADD thing INT REFERENCES things ON DELETE CASCADE")
    execute(application, "INSERT INTO things VALUES (1)")
    execute(application, "INSERT INTO audit_log (action, thing) VALUES ('cascaded', 1)")
    execute(application, "DELETE FROM things")
    assert execute(owner, "SELECT count(*) FROM audit_log") == [(2,)]


@pytest.mark.usefixtures("models")
def test_a_role_that_only_writes_uses_record_many(owner):
    execute(owner, "REVOKE SELECT ON audit_log FROM app")
    AuditLog.record_many([ENTRY])
    for add in (AuditLog.record, AuditLog.create):
        with pytest.raises(peewee.ProgrammingError, match="permission denied"):
            add(action="a")
    assert execute(owner, "SELECT count(*) FROM audit_log") == [(2,)]
