"""Tasks that run inside of the tests' process have the results of a process of their own."""

import logging
import os
import sys
import warnings
from pathlib import Path

import pytest

import models
from tests import in_process

LOGGERS = (logging.root, logging.getLogger("peewee"))

TASKS = """
import logging
import os
import sys
import warnings

import own
from dbfoundation.tasks import ns
from invoke.tasks import task


@task
def end(c, text=""):
    sys.exit(text or None)


@task
def fail(c):
    raise ValueError("no reason")


@task
def show(c):
    warnings.warn("old", FutureWarning)
    logging.warning("logged")
    print("caf\\xe9", os.getcwd(), os.environ.get("SHELL_LEVEL"), "models" in sys.modules)
    print(own.NUMBER)
    sys.exit(3)


for added in (end, fail, show):
    ns.add_task(added)
"""


@pytest.fixture
def odd(project):
    """A project with tasks of its own, which imports one module of its own, and no models."""
    project.write("tasks.py", TASKS)
    project.write("own.py", "NUMBER = 42\n")
    return project


@pytest.mark.parametrize(
    ("words", "code"),
    [(["end"], 0), (["end", "--text=no reason"], 1), (["show"], 3), (["nope"], 1)],
)
def test_output_and_exit_code_are_those_of_a_process(odd, words, code):
    inside = odd.invoke(*words, SHELL_LEVEL="2")
    outside = odd.invoke_process(*words, SHELL_LEVEL="2")
    assert inside.returncode == outside.returncode == code
    assert inside.stdout == outside.stdout
    assert inside.stderr == outside.stderr


def test_an_unexpected_error_is_a_traceback_and_exit_code_1(odd):
    for done in (odd.invoke("fail"), odd.invoke_process("fail")):
        assert done.returncode == 1
        assert "Traceback" in done.stderr
        assert done.stderr.endswith("ValueError: no reason\n")


def test_the_process_is_afterwards_as_before(app):
    before = state()
    assert app.invoke("--debug", "migrate-up", "seed", "--yes").returncode == 0
    assert state() == before
    assert sys.modules["models"] is models


def state():
    """Everything of this process that a task may change."""
    loggers = [(logger.level, [*logger.handlers]) for logger in LOGGERS]
    folder, environment = Path.cwd(), dict(os.environ)
    return folder, environment, [*sys.path], sys.dont_write_bytecode, [*warnings.filters], loggers


def test_each_run_imports_the_project_of_its_folder_as_it_is_now(odd):
    assert "\n42\n" in odd.invoke("show").stdout
    odd.write("own.py", "NUMBER = 43\n")
    assert "\n43\n" in odd.invoke("show").stdout
    assert "own" not in sys.modules


def test_a_task_that_a_project_adds_is_no_task_of_another_project(odd, tmp_path_factory):
    assert "show" in odd.invoke("--list").stdout
    folder = tmp_path_factory.mktemp("other")
    (folder / "tasks.py").write_text("from dbfoundation.tasks import ns\n")
    assert "show" not in in_process.run(["--list"], folder, odd.environment).stdout
