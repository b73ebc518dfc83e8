"""A file that is renamed after it was applied, and two branches that chose one number."""

import re
import shutil

import pytest

from dbfoundation.errors import PlanError
from dbfoundation.migrations.engine import Engine
from dbfoundation.server.databases import create_database, drop_database
from tests.migration_files import applied, creates
from tests.support import Project, at_database, clean_environment, copy_project, execute, tables


@pytest.fixture
def folder(tmp_path):
    for name in ("001_a", "002_credit"):
        (tmp_path / f"{name}.py").write_text(creates(name.partition("_")[2]))
    return tmp_path


@pytest.fixture
def engine(db, folder):
    engine = Engine(db, folder)
    engine.up()
    return engine


def rename(folder, old, new):
    (folder / f"{old}.py").rename(folder / f"{new}.py")


def rows(db):
    return db.execute_sql("SELECT id, name, migrated_at FROM migratehistory ORDER BY id").fetchall()


def test_a_renumbered_file_is_a_problem_and_does_not_run_again(engine, db, folder):
    rename(folder, "002_credit", "003_credit")
    before = rows(db)
    for work in (engine.up, engine.down, engine.redo, engine.dry_run_up):
        with pytest.raises(PlanError) as caught:
            work()
        assert "003_credit: its file was renamed after it was applied as 002_credit. Fix: " in str(
            caught.value
        )
        assert "`invoke migrate-accept 003_credit`" in str(caught.value)
    assert rows(db) == before
    assert [step.name for step in engine.plan().steps] == ["001_a", "003_credit"]


def test_accept_records_the_new_name_in_the_row_of_the_old_one(engine, db, folder):
    rename(folder, "002_credit", "003_credit")
    before = rows(db)
    [step] = engine.accept("003_credit")
    assert (step.name, step.recorded_as) == ("003_credit", "002_credit")
    assert rows(db) == [before[0], (before[1][0], "003_credit", before[1][2])]
    assert engine.up() == []
    assert [done.name for done in engine.redo()] == ["003_credit", "003_credit"]


def test_another_word_in_the_name_is_recognized_too(engine, folder):
    rename(folder, "002_credit", "002_credits")
    with pytest.raises(PlanError, match="002_credits: its file was renamed"):
        engine.up()


def test_a_file_that_was_renumbered_and_formatted_is_recognized(engine, folder):
    rename(folder, "002_credit", "003_credit")
    path = folder / "003_credit.py"
    path.write_text(f"# renumbered\n{path.read_text()}".replace("'", '"'))
    with pytest.raises(PlanError, match="003_credit: its file was renamed"):
        engine.up()


def test_a_renumbered_file_without_a_checksum_is_recognized_by_its_words(engine, db, folder):
    """As in a history that peewee-migrate wrote."""
    db.execute_sql("UPDATE migratehistory SET checksum = NULL, code_checksum = NULL")
    rename(folder, "002_credit", "003_credit")
    with pytest.raises(PlanError, match="003_credit: its file was renamed"):
        engine.up()
    engine.accept("003_credit")
    assert applied(engine) == ["001_a", "003_credit"]


def test_a_new_file_beside_a_missing_one_is_pending(engine, folder):
    (folder / "002_credit.py").unlink()
    (folder / "003_debit.py").write_text(creates("debit"))
    assert [done.name for done in engine.up()] == ["003_debit"]


def test_a_copy_of_an_applied_file_is_pending(engine, db, folder):
    """Its original is still there: to refresh a view twice, for example."""
    db.execute_sql("DROP TABLE credit")
    (folder / "003_credit_again.py").write_text(creates("credit"))
    assert [done.name for done in engine.up()] == ["003_credit_again"]


def test_two_renumbered_files_of_the_same_text_keep_their_order(engine, folder):
    for name in ("003_refresh", "004_refresh_more"):
        (folder / f"{name}.py").write_text(creates("IF NOT EXISTS fresh"))
    engine.up()
    rename(folder, "004_refresh_more", "006_refresh_more")
    rename(folder, "003_refresh", "005_refresh")
    renamed = {step.name: step.recorded_as for step in engine.plan().steps if step.recorded_as}
    assert renamed == {"005_refresh": "003_refresh", "006_refresh_more": "004_refresh_more"}
    assert len(engine.accept_all()) == 2
    assert applied(engine)[2:] == ["005_refresh", "006_refresh_more"]


def test_the_task_prints_both_names(app, settings):
    app.invoke("migrate-up")
    rename(app.folder / "migrations", "002_create_sessions", "004_create_sessions")
    assert app.invoke("migrate-status").returncode == 2
    done = app.invoke("migrate-accept", "004", "migrate-status", "migrate-up")
    assert done.returncode == 0, done
    assert done.stdout.startswith(
        "accepted 004_create_sessions, recorded as 002_create_sessions until now\n"
    )
    names = [name for (name,) in execute(settings, "SELECT name FROM migratehistory ORDER BY id")]
    assert names == ["001_create_audit_log", "004_create_sessions", "003_index_audit_log"]


# Two branches with one number: their authors' databases, and production


@pytest.fixture
def clone(server, tmp_path):
    """Makes a copy of the project with a database of its own, migrated."""
    databases = []

    def clone(name):
        database = at_database(server, f"test_{name}")
        drop_database(database)
        create_database(database)
        databases.append(database)
        environment = clean_environment() | {"APP_ENV": "test"}
        environment["DATABASE_URL"] = database.url.render(with_password=True)
        project = Project(copy_project(tmp_path / name), environment)
        assert project.invoke("migrate-up").returncode == 0
        return project, database

    yield clone
    for database in databases:
        drop_database(database)


def merge(source, target):
    """Merge the migrations of one branch into another: the files that it added and renamed."""
    for path in (source.folder / "migrations").glob("*.py"):
        shutil.copy(path, target.folder / "migrations")


def follow_the_advice(project):
    """Follow the refusal of migrate-up, knowing which file production has not applied."""
    refused = project.invoke("migrate-up")
    assert refused.returncode == 2
    assert "another migration has this number: 004_" in refused.stderr
    assert "to the file that production has not applied" in refused.stderr
    number = re.search("give the next number, ([0-9]+),", refused.stderr)[1]
    rename(project.folder / "migrations", "004_credit", f"{number}_credit")
    return number


def test_two_branches_with_one_number_are_played_to_the_end(clone):
    (alice, alices), (bob, bobs), (production, live) = map(clone, ("alice", "bob", "production"))
    alice.write("migrations/004_credit.py", creates("credit"))
    bob.write("migrations/004_debit.py", creates("debit"))
    assert alice.invoke("migrate-up").returncode == bob.invoke("migrate-up").returncode == 0
    merge(bob, production)  # Bob's branch is merged and deployed first
    assert production.invoke("migrate-up").returncode == 0

    merge(production, alice)
    refused = alice.invoke("migrate-up")
    assert "004_debit: another migration has this number: 004_credit, which is applied here" in (
        refused.stderr
    )
    number = follow_the_advice(alice)
    assert "renamed after it was applied as 004_credit" in alice.invoke("migrate-up").stderr
    assert alice.invoke("migrate-accept", number).returncode == 0
    refused = alice.invoke("migrate-up")  # her database has the later number already
    assert "if another database has applied it, use `--allow-out-of-order` here" in refused.stderr
    assert alice.invoke("migrate-up", "--allow-out-of-order").returncode == 0

    for project in (production, bob):
        merge(alice, project)
        done = project.invoke("migrate-up")
        assert (done.returncode, "applied 005_credit" in done.stdout) == (0, True), done
    for project, database in ((alice, alices), (bob, bobs), (production, live)):
        assert project.invoke("migrate-status").returncode == 0
        assert {"credit", "debit"} <= {*tables(database)}
        names = {name for (name,) in execute(database, "SELECT name FROM migratehistory")}
        assert {name for name in names if name > "004"} == {"004_debit", "005_credit"}


def test_the_same_advice_works_on_the_other_side(clone):
    """Bob, whose file production has, merges the other branch as it is, and renumbers its file."""
    (bob, bobs), (production, live) = map(clone, ("bob", "production"))
    bob.write("migrations/004_debit.py", creates("debit"))
    merge(bob, production)
    for project in (bob, production):
        assert project.invoke("migrate-up").returncode == 0
    bob.write("migrations/004_credit.py", creates("credit"))
    follow_the_advice(bob)
    merge(bob, production)
    for project, database in ((bob, bobs), (production, live)):
        assert "applied 005_credit" in project.invoke("migrate-up").stdout
        assert project.invoke("migrate-status").returncode == 0
        assert {"credit", "debit"} <= {*tables(database)}


def test_an_author_without_data_may_roll_back_first(clone):
    """Then neither the name nor the order differs from production's."""
    alice, _ = clone("alice")
    alice.write("migrations/004_credit.py", creates("credit"))
    alice.invoke("migrate-up")
    alice.invoke("migrate-down")
    alice.write("migrations/004_debit.py", creates("debit"))
    follow_the_advice(alice)
    done = alice.invoke("migrate-up", "migrate-status")
    assert done.returncode == 0, done


def test_ci_sees_two_files_of_one_number_on_an_empty_database(app):
    app.write("migrations/004_credit.py", creates("credit"))
    app.write("migrations/004_debit.py", creates("debit"))
    done = app.invoke("migrate-up")
    assert done.returncode == 2
    for name, other in (("004_credit", "004_debit"), ("004_debit", "004_credit")):
        assert f"{name}: another migration has this number: {other}, which is not applied" in (
            done.stderr
        )
    assert "or to the one merged last" in done.stderr
