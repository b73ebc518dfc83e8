"""A small project whose own tests use the library's pytest plugin, each run in a new process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support import copy_project

if TYPE_CHECKING:
    import pytest

OPTIONS = """\
[tool.pytest.ini_options]
pythonpath = ["."]
filterwarnings = ["error"]
dbfoundation_database = "models:database"
"""
IMPORTS = """\
import io
import threading
import psycopg2
import pytest
from peewee import IntegrityError
from models import AuditLog, database

def add(name="a row"):
    with database.connection_context():
        AuditLog.create(action=name)

def names():
    with database.connection_context():
        return [row.action for row in AuditLog.select().order_by(AuditLog.id)]

def execute(statement):
    with database.connection_context():
        cursor = database.execute_sql(statement)
        return cursor.fetchall() if cursor.description else []

def in_thread(work):
    errors = []
    def run():
        try:
            work()
        except Exception as error:
            errors.append(error)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in errors:
        raise error

def other_session(settings):
    return psycopg2.connect(**settings.connect_kwargs())

def count_elsewhere(settings):
    with other_session(settings) as session, session.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_log")
        [[count]] = cursor.fetchall()
    session.close()
    return count
"""


@dataclass
class OwnTests:
    """The project, with a copy of the models and migrations of the tests' project."""

    pytester: pytest.Pytester

    def __post_init__(self) -> None:
        copy_project(self.pytester.path)
        self.write("pyproject.toml", OPTIONS)

    def write(self, name: str, text: str) -> None:
        (self.pytester.path / name).write_text(text)

    def run(self, source: str, *arguments: str) -> pytest.RunResult:
        """Run a module of tests, which may use the helpers above."""
        self.write("test_own.py", f"{IMPORTS}\n{source}")
        return self.pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    def passes(self, source: str, *arguments: str) -> None:
        """Run a module of tests, all of which have to pass."""
        outcomes = self.run(source, *arguments).parseoutcomes()
        assert outcomes.keys() == {"passed"}, outcomes
        assert outcomes["passed"] >= source.count("def test_")
