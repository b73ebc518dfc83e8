"""The output of a task: its work continues where its lines cannot be written."""

from pathlib import Path

from tests.support import execute

CAFE = "004_caf\N{LATIN SMALL LETTER E WITH ACUTE}"
SELECTS = """
def migrate(migrator, database, *, fake=False):
    migrator.sql("SELECT 1")

def rollback(migrator, database, *, fake=False):
    migrator.sql("SELECT 1")
"""


def test_the_work_continues_when_the_reader_of_the_output_ends(app, settings):
    with app.start("migrate-up", "migrate-status", text=False) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    assert b"Traceback" not in errors
    assert execute(settings, "SELECT count(*) FROM migratehistory") == [(3,)]


def test_the_work_continues_when_the_disk_is_full(app, settings):
    with Path("/dev/full").open("w") as full, app.start("migrate-up", stdout=full) as process:
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    assert execute(settings, "SELECT count(*) FROM migratehistory") == [(3,)]


def test_a_letter_that_the_terminal_lacks_is_escaped(app):
    app.write(f"migrations/{CAFE}.py", SELECTS)
    done = app.invoke_process("migrate-up", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done
    assert "applied 004_caf\\xe9" in done.stdout


def test_a_letter_that_the_terminal_has_is_printed(app):
    app.write(f"migrations/{CAFE}.py", SELECTS)
    assert f"applied {CAFE}  " in app.invoke("migrate-up").stdout


def test_a_warning_is_a_line_on_stderr(app):
    done = app.invoke("migrate-status", "--json", MIGRATE_LOCK_WAIT="1")
    assert done.stdout.startswith("{")
    assert done.stderr.startswith("warning: MIGRATE_LOCK_WAIT")
    assert len(done.stderr.splitlines()) == 1
