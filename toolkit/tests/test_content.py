"""The content of a migration file: its functions, and its options as read and as executed."""

import pytest

from dbfoundation.errors import MigrationError
from dbfoundation.migrations.files import MigrationFile
from tests.migration_files import migration

STATEMENT = "migrator.sql('SELECT 1')"


@pytest.fixture
def file(tmp_path):
    """Writes a migration file; returns it."""

    def write(text):
        path = tmp_path / "001_x.py"
        path.write_text(text)
        return MigrationFile(path)

    return write


@pytest.mark.parametrize("body", ["pass", "...", "return", "return None", "'only a docstring'"])
def test_a_function_without_effect_is_a_problem(file, body):
    content = file(migration(body, STATEMENT)).content
    assert content.problem.startswith("migrate() does nothing")
    content = file(migration(STATEMENT, body)).content
    assert content.problem.startswith("rollback() does nothing")
    assert content.rollback_problem.startswith("rollback() does nothing")


@pytest.mark.parametrize(
    ("text", "problem"),
    [(" + ".join(["1"] * 20_000), "maximum recursion depth"), ("-" * 100_000 + "1", "too complex")],
)
def test_a_file_that_is_too_deep_for_python_is_a_problem(file, text, problem):
    assert file(f"x = {text}\n").content.problem.startswith(f"syntax error: {problem}")


def test_a_function_may_be_an_assigned_one(file):
    text = "from m import migrate as _migrate\n{}\nirreversible = True\n"
    assert file(text.format("migrate = _migrate")).content.problem is None
    assert file(text.format("migrate = None")).content.problem.startswith("no migrate()")


def test_an_irreversible_file_needs_no_rollback(file):
    text = migration(STATEMENT).partition("def rollback")[0]
    assert file(text).content.problem.startswith("no rollback()")
    content = file(f"irreversible = True\n{text}").content
    assert content.problem is None
    assert content.rollback_problem.startswith("irreversible")


def test_options_are_read_without_running_the_file(file):
    content = file("atomic: bool = False\nlock_timeout = 1.5\nraise SystemExit\n").content
    assert content.atomic is False
    assert content.lock_timeout == 1.5


def test_options_have_defaults(file):
    content = file("").content
    assert content.atomic is True
    assert content.irreversible is False
    assert content.lock_timeout is None


def test_one_line_may_assign_two_options(file):
    content = file(migration(STATEMENT, options="atomic = irreversible = False")).content
    assert not content.atomic
    assert content.problem is None


@pytest.mark.parametrize(
    "line",
    [
        "atomic = 0",
        "atomic = {[]}",
        "irreversible = not False",
        "lock_timeout = '5'",
        "lock_timeout = True",
        "lock_timeout = None",
        "lock_timeout = 0",
        "lock_timeout = -1",
        "lock_timeout = 0.0001",
        "lock_timeout = 1e400",
    ],
)
def test_an_option_with_an_invalid_value_is_a_problem(file, line):
    content = file(migration(STATEMENT, options=line)).content
    assert content.problem.startswith(f"{line.split()[0]} must be ")
    assert content.rollback_problem == content.problem


@pytest.mark.parametrize(
    "lines",
    [
        "if True:\n    atomic = False",
        "for atomic in (False,): ...",
        "atomic, other = False, 1",
        "atomic = True\nglobals()['atomic'] = False",
        "from http import HTTPStatus as atomic",
        "def atomic(): ...",
    ],
)
def test_a_file_whose_code_sets_another_option_than_was_read_does_not_load(file, lines):
    changed = file(migration(STATEMENT, options=lines))
    assert changed.content.atomic is True
    with pytest.raises(MigrationError, match="when the code runs, but True when the file is read"):
        changed.load("migrate")


def test_the_last_of_two_literals_is_the_value(file):
    twice = file(migration(STATEMENT, options="atomic = True\natomic = False"))
    assert twice.content.atomic is False
    assert callable(twice.load("migrate"))
