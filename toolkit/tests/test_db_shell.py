"""db-shell: psql at the configured database, on the terminal of the task."""

import os
import pty
import select
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic

import pytest

from dbfoundation.settings import Settings
from tests.support import backend_is_at, execute, until

OTHER_SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


def sessions(settings):
    return execute(settings, OTHER_SESSIONS)[0][0]


def test_psql_opens_the_configured_database_in_utc(app, settings):
    query = "SELECT current_database() || ' ' || current_setting('TimeZone')"
    done = app.invoke_process("db-shell", stdin=query)
    assert f"{settings.url.name} UTC" in done.stdout


SHOWN = """
SELECT concat_ws(' ', inet_server_addr(), inet_server_port(), current_database(), current_user,
    current_setting('TimeZone'), current_setting('DateStyle'), current_setting('client_encoding'),
    current_setting('geqo'), current_setting('a.b', true), current_setting('work_mem'),
    split_part(current_setting('application_name'), '/', 1))
"""


def test_psql_has_the_connection_of_every_other_task(app, monkeypatch):
    parameters = "options=-c%20a.b%3Done%20-c%20work_mem%3D5MB&application_name=named"
    exported = {
        "DATABASE_URL": f"{app.environment['DATABASE_URL']}?{parameters}",
        "PGHOST": "192.0.2.1",
        "PGPORT": "1",
        "PGDATABASE": "elsewhere",
        "PGUSER": "elsewhere",
        "PGOPTIONS": "-c a.b=two",
        "PGAPPNAME": "elsewhere",
        "PGTZ": "America/New_York",
        "PGDATESTYLE": "German",
        "PGCLIENTENCODING": "LATIN1",
        "PGSERVICE": "elsewhere",
        "PGPASSWORD": "wrong",
        "PGGEQO": "off",
    }
    done = app.invoke_process("db-shell", stdin=f"\\t\n{SHOWN};", **exported)
    for name, value in exported.items():
        monkeypatch.setenv(name, value)
    [(shown,)] = execute(Settings.load(app.folder / ".env"), SHOWN)
    assert shown in done.stdout, done
    assert shown.endswith(" UTC ISO, MDY UTF8 off one 5MB named"), shown


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PGSSLMODE", "require"),
        ("PGTARGETSESSIONATTRS", "standby"),
        ("PGREQUIREPEER", "somebody"),
        ("PGGSSENCMODE", "sometimes"),
    ],
)
def test_psql_obeys_the_variables_of_libpq_that_every_other_task_obeys(app, name, value):
    tasks = [app.invoke("migrate-status", **{name: value}).returncode]
    tasks.append(app.invoke_process("db-shell", stdin="SELECT 1", **{name: value}).returncode)
    expected = [1, 0] if name == "PGREQUIREPEER" else [2, 2]  # PGREQUIREPEER is about sockets
    assert tasks == expected


@pytest.mark.parametrize("how", ["PGPASSWORD", "PGPASSFILE", "passfile"])
def test_a_password_outside_of_the_url_serves_every_task(app, settings, how):
    url = settings.url
    file = app.folder / "passwords"
    escaped = url.password.replace("\\", r"\\").replace(":", r"\:")
    file.write_text(f"{url.host}:{url.port}:*:{url.user}:{escaped}\n")
    file.chmod(0o600)
    plain = url.render(with_password=False)
    exported = {
        "PGPASSWORD": {"PGPASSWORD": url.password, "DATABASE_URL": plain},
        "PGPASSFILE": {"PGPASSFILE": str(file), "DATABASE_URL": plain},
        "passfile": {"DATABASE_URL": f"{plain}?passfile={file}"},
    }[how]
    up = app.invoke("migrate-up", "seed", "--yes", "migrate-verify", **exported)
    assert up.returncode == 0, up
    shell = app.invoke_process("db-shell", stdin="SELECT 6 * 7000", **exported)
    assert "42000" in shell.stdout, shell


def test_a_script_ends_at_its_first_error_with_the_exit_code_of_psql(app):
    done = app.invoke_process("db-shell", stdin="SELECT x;\nSELECT 6 * 7000;\n")
    assert done.returncode == 3, done
    assert 'column "x" does not exist' in done.stderr
    assert "42000" not in done.stdout


def test_a_long_script_takes_no_longer_than_psql_needs(app):
    """invoke's run() in place of our own handling would fail here: 10 ms for each character."""
    started = monotonic()
    done = app.invoke_process("db-shell", stdin=f"-- {'x' * 4000}\nSELECT 6 * 7000;\n")
    assert "42000" in done.stdout, done
    assert monotonic() - started < 20


def test_psql_works_in_the_root_of_the_project_wherever_invoke_was_started(app):
    app.write("answer.sql", "SELECT 6 * 7000;\n")
    inside = replace(app, folder=app.folder / "migrations")
    done = inside.invoke_process("db-shell", stdin="\\i answer.sql\n")
    assert "42000" in done.stdout, done


def test_the_next_task_of_the_command_line_runs_after_psql(app):
    """os.execvpe() in place of a child process would fail here."""
    done = app.invoke_process("db-shell", "migrate-up", stdin="SELECT 6 * 7000;\n")
    assert done.stdout.index("42000") < done.stdout.index("3 applied"), done


def test_ctrl_c_cancels_the_query_and_psql_goes_on(app, settings):
    """subprocess.run() in place of our own handling would fail here: it kills psql."""
    with on_terminal(app) as (process, terminal):
        os.write(terminal, b"SELECT pg_sleep(60);\n")
        until(lambda: backend_is_at(settings, "pg_sleep"))
        os.killpg(process.pid, signal.SIGINT)  # a terminal does this for ^C
        read_until(terminal, b"canceling statement")
        os.write(terminal, b"SELECT 6 * 7000;\n")
        read_until(terminal, b"42000")
        os.write(terminal, b"\\q\n")
        assert process.wait(30) == 0


def test_sigterm_to_the_task_ends_psql(app, settings):
    """subprocess.run() in place of our own handling would fail here: psql outlives the task."""
    with app.start("db-shell", stdin=subprocess.PIPE) as process:
        until(lambda: sessions(settings) == 1)
        process.terminate()
        code = process.wait(30)
        until(lambda: sessions(settings) == 0, seconds=5)
        assert code == 128 + signal.SIGTERM


@contextmanager
def on_terminal(app):
    """Run db-shell on a terminal of its own; gives the process and the terminal's other end."""
    terminal, child = pty.openpty()
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
        yield process, terminal
    finally:
        os.close(terminal)
        process.kill()
        process.wait()


def read_until(terminal, text):
    """Read from a terminal until it shows the text."""
    shown = b""
    while text not in shown:
        ready, _, _ = select.select([terminal], [], [], 30)
        assert ready, shown
        shown += os.read(terminal, 4096)
