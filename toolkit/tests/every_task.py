"""Every task at an address, and the helpers of tests about addresses."""

from __future__ import annotations

import re
from dataclasses import replace

from tests.support import execute, tables

TASKS = (
    *("migrate-up", "migrate-down", "migrate-redo", "migrate-up", "migrate-status"),
    *("migrate-stamp", "zero", "--yes", "migrate-stamp", "003"),
    *("migrate-check", "migrate-verify", "seed", "--yes", "sessions-prune", "db-schema", "db-up"),
)
WHERE = "SELECT current_user, inet_server_port(), current_setting('search_path')"


def at(project, url):
    """A project whose exported DATABASE_URL is the address."""
    exported = {"DATABASE_URL": url, "APP_ENV": "test"}
    return replace(project, environment=project.environment | exported)


def assert_every_task_works(app, settings):
    done = app.invoke(*TASKS)
    assert done.returncode == 0, done
    assert tables(settings) == ["audit_log", "migratehistory", "sessions"]
    assert execute(settings, "SELECT count(*) FROM sessions") == [(3,)]
    shell = app.invoke_process("db-shell", stdin=f"{WHERE};")
    assert shell.returncode == 0, shell
    [(user, port, path)] = execute(settings, WHERE)
    found = re.search(r"^ *(.*?) *\| *(.*?) *\| *(.*?) *$", shell.stdout.splitlines()[2])
    assert found.groups() == (user, f"{port or ''}", path)
    return done
