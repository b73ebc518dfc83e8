"""migrate-create --auto: the models write the migration, and it is proven before it is written."""

import os
import pty
from contextlib import closing

import pytest

from tests.documentation import PROGRESS
from tests.support import assert_error, execute, only_in_ci

MODEL = """\
from peewee import SQL, CharField, DecimalField, IntegerField, TextField

from models.base import BaseModel


class {name}(BaseModel):
    {fields}

    class Meta:
        table_name = "{table}"
"""
SCRATCH = "SELECT count(*)::int FROM pg_database WHERE datname LIKE 'migrate_verify%%'"
NOTHING_TO_FILL = "name = CharField(max_length=100)"


@pytest.fixture
def declare(app):
    """Writes the model of a table, and adds it to MODELS."""
    file = app.folder / "models" / "__init__.py"
    before = file.read_text()

    def write(*fields, table="users", name="User"):
        text = MODEL.format(name=name, table=table, fields="\n    ".join(fields))
        app.write("models/user.py", text)
        app.write(
            "models/__init__.py",
            f"{before}\nfrom models.user import {name}\n\nMODELS.append({name})\n",
        )

    return write


@pytest.fixture
def draft(app, settings):
    """Runs migrate-create --auto; returns its result and the names of the files that are new."""

    def run(*flags, name="change_users"):
        before = {*files_of(app)}
        done = app.invoke("migrate-create", name, "--auto", *flags)
        done.stderr = PROGRESS.sub("", done.stderr)
        assert execute(settings, SCRATCH) == [(0,)]
        return done, [file for file in files_of(app) if file not in before]

    return run


@pytest.fixture
def users(app, declare, draft):
    """A table of users with two rows, from a draft."""
    declare(NOTHING_TO_FILL)
    done, files = draft(name="add_users")
    assert (done.returncode, files) == (0, ["004_add_users.py"]), done
    assert app.invoke("migrate-up").returncode == 0
    return "users"


@pytest.fixture
def rows(users, settings):
    execute(settings, f"INSERT INTO {users} (name) VALUES ('one'), ('two')")
    return "users"


def files_of(app):
    return sorted(path.name for path in (app.folder / "migrations").glob("*.py"))


def text_of(app, name):
    return (app.folder / "migrations" / name).read_text()


def test_a_new_table_is_one_file_that_goes_up_and_down(app, settings, declare, draft):
    declare("mail = CharField(max_length=100, unique=True)", "age = IntegerField(null=True)")
    done, files = draft(name="add_users")
    assert done.returncode == 0, done
    assert done.stdout.splitlines() == [
        (
            "proven 004_add_users, with the seeds: up, agrees with the models; down, as before; "
            "up again"
        ),
        "created migrations/004_add_users.py: read it",
    ]
    assert files == ["004_add_users.py"]
    assert (
        text_of(app, files[0])
        == '''\
"""Add users."""


def migrate(migrator, database, *, fake=False):
    migrator.sql("""
        CREATE TABLE users (
            id serial NOT NULL,
            mail character varying(100) NOT NULL,
            age integer,
            CONSTRAINT users_pkey PRIMARY KEY (id)
        )
    """)
    migrator.sql("CREATE UNIQUE INDEX user_mail ON users USING btree (mail)")


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP INDEX user_mail")
    migrator.sql("DROP TABLE users")
'''
    )
    done = app.invoke("migrate-up", "migrate-check", "migrate-down", "migrate-status")
    assert "the models and the database agree" in done.stdout
    assert execute(settings, "SELECT to_regclass('users')") == [(None,)]


def test_without_a_difference_nothing_is_written(draft):
    done, files = draft(name="add_more")
    assert (done.returncode, files) == (0, [])
    assert done.stdout == "the models and the migrations agree: add_more is not needed\n"


@only_in_ci
def test_a_dry_run_prints_the_draft_and_the_proof_and_writes_nothing(declare, draft):
    declare(NOTHING_TO_FILL)
    done, files = draft("--dry-run")
    assert (done.returncode, files) == (0, [])
    assert done.stdout.startswith('# migrations/004_change_users.py\n"""Change users."""\n')
    assert "\nproven 004_change_users, with the seeds: up, " in done.stdout


def test_an_index_of_a_table_in_use_is_a_second_file_outside_of_a_transaction(
    app, settings, declare, draft, rows
):
    declare(NOTHING_TO_FILL.replace(")", ", index=True)"), "age = IntegerField(default=7)")
    done, files = draft()
    assert files == ["005_change_users.py", "006_change_users_online.py"], done
    assert "\natomic = False\n" not in text_of(app, files[0])
    online = text_of(app, files[1])
    assert "\natomic = False\n" in online
    assert "CREATE INDEX CONCURRENTLY IF NOT EXISTS user_name ON users" in online
    done = app.invoke("migrate-up", "migrate-check")
    assert done.returncode == 0, done
    # The release before inserts rows without the new column.
    execute(settings, f"INSERT INTO {rows} (name) VALUES ('three')")
    assert execute(settings, "SELECT age FROM users") == [(7,)] * 3
    assert app.invoke("migrate-down", "--steps=2").returncode == 0
    assert execute(settings, "SELECT count(*)::int FROM users") == [(3,)]


@only_in_ci
@pytest.mark.parametrize(
    "case",
    [
        (
            [NOTHING_TO_FILL, "age = IntegerField()"],
            "Set users.age in each row; then remove this line.",
        ),
        (
            ["name = CharField(max_length=10)"],
            "Shorten each users.name that does not fit into character varying(10)",
        ),
        (["name = IntegerField()"], "Check that each users.name can be read as integer"),
    ],
    ids=["a new column", "a narrower column", "a type without a cast"],
)
@pytest.mark.usefixtures("rows")
def test_a_place_to_fill_in_refuses_to_be_applied(app, settings, declare, draft, case):
    fields, place = case
    declare(*fields)
    done, files = draft()
    assert done.returncode == 0, done
    assert "without rows, because a place is to be filled in" in done.stdout
    assert "fill in the place that it marks" in done.stdout
    text = " ".join(" ".join(text_of(app, name).split()) for name in files).replace('" "', "")
    assert place in text
    done = app.invoke("migrate-up")
    assert done.returncode == 2
    assert "NotImplementedError" in done.stderr
    names = execute(settings, "SELECT name FROM users ORDER BY id")
    assert names == [("one",), ("two",)]


def test_a_renaming_is_a_question_and_each_answer_is_kept(app, settings, declare, draft, rows):
    declare("title = CharField(max_length=100)")
    done, files = draft()
    assert (done.returncode, files) == (2, [])
    assert_error(
        done, "users.name disappears, and title appears", "--rename users.name=title", "--drop"
    )
    done, files = draft("--rename", "users.name=title")
    assert files == ["005_change_users.py"], done
    assert app.invoke("migrate-up", "migrate-check").returncode == 0
    assert execute(settings, f"SELECT title FROM {rows} ORDER BY id") == [("one",), ("two",)]
    assert app.invoke("migrate-down").returncode == 0
    assert execute(settings, f"SELECT name FROM {rows} ORDER BY id") == [("one",), ("two",)]
    (app.folder / "migrations" / files[0]).unlink()
    done, files = draft("--drop", "users.name", "--dry-run")
    assert "A rollback cannot restore\n- the values of users.name" in done.stdout


@only_in_ci
def test_a_renamed_table_keeps_its_rows(app, settings, declare, draft, rows):
    declare(NOTHING_TO_FILL, table="members", name="Member")
    done, files = draft()
    assert_error(done, "the table users disappears, and members appears")
    assert files == []
    done, files = draft("--rename", "users=members")
    assert len(files) == 1, done
    assert app.invoke("migrate-up", "migrate-check").returncode == 0
    assert execute(settings, "SELECT name FROM members ORDER BY id") == [("one",), ("two",)]
    assert app.invoke("migrate-down").returncode == 0
    assert execute(settings, f"SELECT count(*)::int FROM {rows}") == [(2,)]


@only_in_ci
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--rename", "users"), "--rename users: write the old name and the new one"),
        (("--rename", "users.name=users.title"), "write the old name and the new one"),
        (("--rename", "users.nmae=title"), "users.nmae: no column and no table of this name"),
        (("--drop", "users.title"), "users.title: no column and no table of this name"),
    ],
)
@pytest.mark.usefixtures("users")
def test_an_answer_that_fits_nothing_is_an_error(declare, draft, flags, message):
    declare(NOTHING_TO_FILL, "age = IntegerField(null=True)")
    done, files = draft(*flags)
    assert_error(done, message)
    assert files == []


@only_in_ci
def test_a_person_answers_at_the_terminal(app, declare, users):
    declare("title = CharField(max_length=100)")
    person, terminal = pty.openpty()
    streams = {"stdin": terminal, "stderr": terminal}
    with (
        app.start("migrate-create", "rename_it", "--auto", **streams) as process,
        closing(os.fdopen(person, "rb+", 0)) as typed,
    ):
        os.close(terminal)
        typed.write(b"title\n")
        output = process.stdout.read()
    assert process.returncode == 0, output
    assert f"ALTER TABLE {users} RENAME COLUMN name TO title" in text_of(app, "005_rename_it.py")


def test_a_difference_that_has_no_statement_is_named_and_nothing_is_written(
    app, declare, draft, users
):
    migration = (
        "def migrate(migrator, database, *, fake=False):\n"
        f'    migrator.sql("CREATE VIEW names AS SELECT name FROM {users}")\n\n\n'
        "def rollback(migrator, database, *, fake=False):\n"
        '    migrator.sql("DROP VIEW names")\n'
    )
    app.write("migrations/005_view.py", migration)
    declare("name = TextField()")
    done, files = draft()
    assert (done.returncode, files) == (2, [])
    assert "cannot alter type of a column used by a view" in done.stdout
    assert_error(done, "change_users is not written, because its proof failed")


@only_in_ci
def test_the_developers_database_is_not_the_source_and_its_drift_is_reported(
    app, settings, declare, draft
):
    app.invoke("migrate-up")
    execute(settings, "ALTER TABLE audit_log ADD COLUMN mine integer")
    execute(settings, "CREATE TABLE others (id integer)")
    declare(NOTHING_TO_FILL)
    app.environment["MIGRATE_CHECK_IGNORE"] = "others"
    done, (file,) = draft()
    assert "others" not in done.stdout
    assert f"note: audit_log.mine: only {settings.url} has this column" in done.stdout
    assert "mine" not in text_of(app, file)


@only_in_ci
def test_a_migration_that_changes_the_whole_server_gets_a_server_of_its_own(app, declare, draft):
    migration = (
        "def migrate(migrator, database, *, fake=False):\n"
        '    migrator.sql("CREATE ROLE drafted")\n\n\n'
        "def rollback(migrator, database, *, fake=False):\n"
        '    migrator.sql("DROP ROLE drafted")\n'
    )
    app.write("migrations/004_role.py", migration)
    declare(NOTHING_TO_FILL)
    done, files = draft()
    assert files == ["005_change_users.py"], done
    assert "The draft is made on a PostgreSQL of its own." in done.stderr


@only_in_ci
def test_a_draft_that_takes_long_reports_its_progress(app, declare):
    migration = (
        "def migrate(migrator, database, *, fake=False):\n"
        '    migrator.sql("SELECT pg_sleep(1.1)")\n\n\n'
        "def rollback(migrator, database, *, fake=False):\n"
        "    migrator.noop()\n"
    )
    app.write("migrations/004_slow.py", migration)
    declare(NOTHING_TO_FILL)
    done = app.invoke("migrate-create", "change_users", "--auto")
    assert done.returncode == 0, done
    assert "applied 004_slow to a scratch database" in done.stderr.splitlines()


def test_production_refuses_a_draft(app):
    done = app.invoke("migrate-create", "x", "--auto", APP_ENV="production")
    assert_error(done, "APP_ENV is production")


@pytest.mark.parametrize("flags", [("--rename", "a=b"), ("--drop", "a")])
def test_an_answer_without_auto_is_an_error(app, flags):
    assert_error(app.invoke("migrate-create", "x", *flags), "--rename and --drop belong to --auto")


def test_an_existing_name_is_an_error_before_anything_runs(draft, declare):
    declare(NOTHING_TO_FILL)
    done, files = draft(name="create_sessions")
    assert_error(done, "002_create_sessions has this name already")
    assert files == []
