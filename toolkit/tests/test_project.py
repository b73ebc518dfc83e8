"""The project of a task: its folder, and the parts that its tasks.py names."""

from dataclasses import replace

import pytest

from tests.support import assert_error, execute, tables

TASKS = """\
from dbfoundation.tasks import ns

ns.configure({{"dbfoundation": {{"models": "{models}", "seeds": "{seeds}"}}}})
"""
UNBOUND = "from peewee import Model\nclass Thing(Model): pass\nMODELS = [Thing]\n"
SQLITE = (
    "from peewee import Model, SqliteDatabase\n"
    "class Thing(Model):\n"
    "    class Meta:\n"
    "        database = SqliteDatabase(':memory:')\n"
    "MODELS = [Thing]\n"
)
NOT_ONE_POOL = "parts:MODELS: the models are not bound to one dbfoundation.Pool"
NO_LIST = "parts:MODELS is not a list of Peewee models, or it is empty"


def name_parts(app, *, models="models:MODELS", seeds="seeds:seed"):
    app.write("tasks.py", TASKS.format(models=models, seeds=seeds))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere:MODELS", "ModuleNotFoundError: No module named 'nowhere'"),
        ("models.nowhere:MODELS", "ModuleNotFoundError: No module named 'models.nowhere'"),
        ("models:NOTHING", "AttributeError: module 'models' has no attribute 'NOTHING'"),
        ("not a name", "ValueError: "),
    ],
)
def test_models_that_cannot_be_imported_are_an_error(app, settings, name, reason):
    name_parts(app, models=name)
    for task in ("migrate-check", "seed --yes", "sessions-prune"):
        done = app.invoke(*task.split())
        assert_error(done, f"error: {name} cannot be imported: {reason}", 'name of "models"')
    assert tables(settings) == []


def test_models_that_raise_an_error_are_an_error(app):
    app.write("models/__init__.py", "from models.nothing import Nothing\n")
    done = app.invoke("migrate-check")
    assert_error(done, "models:MODELS cannot be imported: ModuleNotFoundError: ", "models.nothing")


@pytest.mark.parametrize("text", ["MODELS = []", "MODELS = None", "MODELS = ['Thing']"])
def test_models_that_are_no_list_of_models_are_an_error(app, settings, text):
    app.write("parts.py", f"{text}\n")
    name_parts(app, models="parts:MODELS")
    for task in ("migrate-check", "seed --yes", "sessions-prune"):
        assert_error(app.invoke(*task.split()), f"error: {NO_LIST}", "Fix: ")
    assert tables(settings) == []


@pytest.mark.parametrize("text", [UNBOUND, SQLITE])
def test_models_that_are_not_bound_to_one_pool_are_an_error(app, migrated, text):
    app.write("parts.py", text)
    name_parts(app, models="parts:MODELS")
    assert_error(app.invoke("seed", "--yes"), f"error: {NOT_ONE_POOL}", "Fix: ")
    assert migrated.execute_sql("SELECT count(*) FROM sessions").fetchone() == (0,)


def test_a_project_without_sessions_has_none_to_prune(app):
    app.write("parts.py", "from models import AuditLog\nMODELS = [AuditLog]\n")
    name_parts(app, models="parts:MODELS")
    assert_error(app.invoke("sessions-prune"), "error: parts:MODELS: no model has the columns of")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "parts:seed cannot be imported: AttributeError: "),
        ("seed = 42", "parts:seed is not a function"),
        ("def seed(): pass", "parts:seed returned no dbfoundation.Seeded, but None"),
        ("def seed(): return 42", "parts:seed returned no dbfoundation.Seeded, but int"),
        ("def seed(): raise KeyError('no-reason')", "parts:seed failed: KeyError: 'no-reason'"),
    ],
)
def test_seeds_that_are_no_seeds_are_an_error(app, migrated, text, message):
    app.write("parts.py", f"{text}\n")
    name_parts(app, seeds="parts:seed")
    assert_error(app.invoke("seed", "--yes"), f"error: {message}", "Fix: ")
    assert migrated.execute_sql("SELECT count(*) FROM sessions").fetchone() == (0,)


def test_a_task_that_needs_no_part_runs_without_it(app, settings):
    name_parts(app, models="nowhere:MODELS", seeds="nowhere:seed")
    assert app.invoke("migrate-up", "migrate-status", "db-schema").returncode == 0
    assert execute(settings, "SELECT count(*) FROM migratehistory") == [(3,)]


def test_the_seam_of_invoke_the_root_is_the_folder_of_tasks_py_from_a_subfolder(project):
    inside = replace(project, folder=project.folder / "models")
    done = inside.invoke_process("migrate-create", "add_users")
    assert done.stdout.startswith("created migrations/004_add_users.py: "), done
    assert (project.folder / "migrations" / "004_add_users.py").exists()


def test_the_seam_of_invoke_the_root_is_the_folder_of_a_module_of_another_name(project):
    (project.folder / "tasks.py").rename(project.folder / "chores.py")
    done = project.invoke("--collection", "chores", "migrate-create", "add_users")
    assert done.stdout.startswith("created migrations/004_add_users.py: "), done
    assert (project.folder / "migrations" / "004_add_users.py").exists()


def test_the_seam_of_invoke_the_root_is_the_folder_of_a_package_tasks(project):
    (project.folder / "tasks").mkdir()
    (project.folder / "tasks.py").rename(project.folder / "tasks" / "__init__.py")
    done = project.invoke("migrate-create", "add_users")
    assert done.stdout.startswith("created migrations/004_add_users.py: "), done
    assert (project.folder / "migrations" / "004_add_users.py").exists()


def test_db_reset_drops_nothing_when_the_seeds_cannot_be_imported(app, migrated, settings):
    migrated.execute_sql("CREATE TABLE precious (id integer)")
    name_parts(app, seeds="seeds:nothing")
    assert_error(app.invoke("db-reset"), "seeds:nothing cannot be imported")
    assert "precious" in tables(settings)
