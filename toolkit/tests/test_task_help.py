"""The help of the tasks, and the start of a task."""

import inspect

import pytest

from dbfoundation.tasks import ns

NAMES = sorted(name.replace("_", "-") for name in ns.tasks)


@pytest.mark.parametrize("name", NAMES)
def test_a_task_has_one_line_of_help_and_explains_every_flag(name):
    task = ns[name]
    assert task.__doc__
    assert len(task.__doc__.splitlines()) == 1
    assert task.__doc__.endswith(".")
    flags = set(inspect.signature(task.body).parameters) - {"c"}
    assert set(task.help) == flags
    assert all(task.help.values())


def test_the_list_has_each_task_on_a_line_of_80_columns(project):
    lines = project.invoke("--list").stdout.splitlines()
    shown = [line for line in lines if line.startswith("  ")]
    assert [line.split()[0] for line in shown] == NAMES
    for line in shown:
        assert line.endswith(".")
        assert len(line) <= 80


def test_the_help_of_a_task_shows_its_flags(project):
    shown = project.invoke("--help", "migrate-up").stdout
    assert "Apply the pending migrations." in shown
    for flag in ("--allow-out-of-order", "--dry-run", "--steps=STRING", "--to=STRING"):
        assert flag in shown


def test_python_keeps_the_compiled_library_unless_bytecode_is_turned_off(project, tmp_path):
    kept = tmp_path / "compiled"
    exported = {"PYTHONPYCACHEPREFIX": str(kept)}
    project.invoke_process("--list", PYTHONDONTWRITEBYTECODE="1", **exported)
    assert not kept.exists()
    project.invoke_process("--list", PYTHONDONTWRITEBYTECODE="", **exported)
    assert list(kept.rglob("dbfoundation/tasks/migrations.*.pyc"))
