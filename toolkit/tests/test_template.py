"""The root's project and its tasks, on a copy that is changed as its owner would change it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support import IS_CI, LIBRARY, clean_environment, copy_root, only_in_ci

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    not (LIBRARY.parent / "tasks.py").exists(), reason="the library is not beside its first project"
)

MIGRATION = '''\
def migrate(migrator, database, *, fake=False):
    migrator.sql("""{up}""")


def rollback(migrator, database, *, fake=False):
    migrator.sql("""{down}""")
'''
USER = """\
from peewee import CharField

from models.base import BaseModel


class User(BaseModel):
    email = CharField(max_length=320, unique=True)

    class Meta:
        table_name = "users"
"""
SEEDS = """\
from datetime import datetime

from dbfoundation import Row, Seeded, insert_missing

from models import Session, User, database

LATER = datetime(2099, 1, 1)  # noqa: DTZ001 # the column has no time zone


def seed() -> Seeded:
    users = [Row(User, {"email": f"user-{number}@example.org"}) for number in range(20)]
    session = Row(Session, {"sid": "seed"}, {"sess": {"user_id": 1}, "expire": LATER})
    return insert_missing(database, [*users, session])
"""
APP = """\
from dbfoundation import SessionStore

from models import Session

store = SessionStore(Session)
print("sessions:", store.model.__name__)
"""
EXIT_CODE_7 = """\
def pytest_sessionfinish(session):
    session.exitstatus = 7
"""
SKIP = """\
import pytest


@pytest.mark.skip(reason="no printer is here")
def test_print():
    pass
"""
CREATE_USERS = """\
CREATE TABLE users (id SERIAL PRIMARY KEY, email VARCHAR(320) NOT NULL);
CREATE UNIQUE INDEX user_email ON users (email);
"""
CREATE_AUDIT_LOG = """\
CREATE TABLE audit_log (
    id SERIAL PRIMARY KEY,
    action VARCHAR(100) NOT NULL,
    entity_type VARCHAR(100),
    entity_id VARCHAR(100),
    user_id VARCHAR(100),
    timestamp TIMESTAMP WITH TIME ZONE DEFAULT NOW(),
    details JSONB,
    ip VARCHAR(45)
);
CREATE INDEX idx_audit_log_entity ON audit_log (entity_type, entity_id, id);
CREATE INDEX idx_audit_log_user ON audit_log (user_id, id);
CREATE INDEX idx_audit_log_timestamp ON audit_log (timestamp, id);
"""


def replace_once(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path.name} has not exactly one {old!r}"
    path.write_text(text.replace(old, new))


def add_migration(root: Path, name: str, up: str, down: str) -> None:
    (root / "migrations" / f"{name}.py").write_text(MIGRATION.format(up=up, down=down))


def add_a_column_to_the_audit_trail(root: Path) -> None:
    model, field = (
        root / "models" / "audit_log.py",
        "    ip = CharField(max_length=45, null=True)\n",
    )
    replace_once(model, "\n    class Meta:", f"{field}\n    class Meta:")
    up, down = "ADD COLUMN ip VARCHAR(45)", "DROP COLUMN ip"
    add_migration(root, "004_ip", f"ALTER TABLE audit_log {up}", f"ALTER TABLE audit_log {down}")


def add_a_table(root: Path) -> None:
    (root / "models" / "user.py").write_text(USER)
    models = root / "models" / "__init__.py"
    replace_once(models, "import Session\n", "import Session\nfrom models.user import User\n")
    replace_once(models, "= [AuditLog, Session]", "= [AuditLog, Session, User]")
    replace_once(models, '"Session", "database"', '"Session", "User", "database"')
    add_migration(root, "005_users", CREATE_USERS, "DROP TABLE users")


def seed_more_rows(root: Path) -> None:
    (root / "seeds.py").write_text(SEEDS)


def add_an_application_and_a_script_that_print(root: Path) -> None:
    (root / "app.py").write_text(APP)
    (root / "scripts").mkdir()
    (root / "scripts" / "report.py").write_text('print("report")\n')


def remove_the_audit_trail(root: Path) -> None:
    (root / "models" / "audit_log.py").unlink()
    models = root / "models" / "__init__.py"
    replace_once(models, "from models.audit_log import AuditLog\n", "")
    replace_once(models, "= [AuditLog, Session, User]", "= [Session, User]")
    replace_once(models, '"AuditLog", ', "")
    add_migration(root, "006_no_audit_log", "DROP TABLE audit_log", CREATE_AUDIT_LOG)


def rename_the_class_of_sessions(root: Path) -> None:
    for path in [*(root / "models").glob("*.py"), root / "seeds.py", root / "app.py"]:
        path.write_text(re.sub(r"\bSession\b", "SessionRow", path.read_text()))


CHANGES = (
    add_a_column_to_the_audit_trail,
    add_a_table,
    seed_more_rows,
    add_an_application_and_a_script_that_print,
    remove_the_audit_trail,
    rename_the_class_of_sessions,
)


@pytest.fixture
def root(tmp_path):
    """A copy of the root's project, in a path with special characters."""
    folder = tmp_path / "the owner's project"
    folder.mkdir()
    return copy_root(folder)


def run(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess:
    """Run a module of this environment in a folder."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        check=False,
        cwd=folder,
        env=clean_environment() | environment,
        capture_output=True,
        text=True,
    )


@only_in_ci
def test_the_projects_tests_and_lint_pass_after_each_change_of_its_owner(root, server, request):
    environment = {
        "TEST_DATABASE_URL": server.url.render(with_password=True),
        "MYPY_CACHE_DIR": str(request.config.cache.mkdir("mypy")),  # kept for the next run
    }
    for change in CHANGES:
        change(root)
        checks = [["pytest", "-q"]]
        if IS_CI or change is CHANGES[-1]:
            checks.append(["invoke", "lint"])
        for words in checks:
            done = run(root, *words, **environment)
            assert done.returncode == 0, f"{change.__name__}: {done.stdout}{done.stderr}"


def test_invoke_test_works_in_a_subfolder_prints_each_skip_and_ends_with_the_code_of_pytest(root):
    shutil.rmtree(root / "tests")
    (root / "tests").mkdir()
    (root / "tests" / "conftest.py").write_text(EXIT_CODE_7)
    (root / "tests" / "test_skip.py").write_text(SKIP)
    done = run(root / "models", "invoke", "test")
    assert "no printer is here" in done.stdout
    assert done.returncode == 7, done


def test_invoke_bench_writes_to_a_file_relative_to_the_caller(root):
    (root / "toolkit" / "tests").mkdir(parents=True)
    done = run(root / "models", "invoke", "--dry", "bench", "--json", "figures.json")
    expected = shlex.quote(str(root / "models" / "figures.json"))
    assert f" --json {expected}" in done.stdout, done
