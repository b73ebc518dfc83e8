"""The tasks that read a schema beside a session that has locked a table."""

from contextlib import closing

import psycopg2
import pytest

from tests.support import assert_error


@pytest.fixture
def locked(app, settings):
    """Locks a table in a session; returns the session's number."""
    app.invoke("migrate-up")
    with closing(psycopg2.connect(**settings.connect_kwargs(application_name="the holder"))) as it:

        def lock(table):
            with it.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            return it.info.backend_pid

        yield lock


@pytest.mark.parametrize("task", ["migrate-check", "db-schema"])
def test_the_error_names_the_table_and_the_session(locked, app, settings, task):
    pid = locked("sessions")
    done = app.invoke(task, MIGRATE_TABLE_LOCK_TIMEOUT="1")
    assert_error(
        done,
        f"{settings.url}: waited 1 s for the lock of sessions",
        f"held by the holder (pid {pid}, idle in transaction",
        "LOCK TABLE sessions",
        "Fix: let that session finish, or raise MIGRATE_TABLE_LOCK_TIMEOUT.",
    )


def test_the_history_is_named_too(locked, app):
    pid = locked("migratehistory")
    done = app.invoke("migrate-check", MIGRATE_TABLE_LOCK_TIMEOUT="1")
    assert_error(done, "the history of migrations is locked", f"(pid {pid}")
