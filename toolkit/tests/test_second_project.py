"""A second project, in an empty folder, with the built wheel in a new virtual environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from zipfile import ZipFile

import pytest

from dbfoundation.server import binaries
from dbfoundation.server.development import listens
from dbfoundation.tasks import ns
from tests.support import LIBRARY, Project, clean_environment, free_port, local_home, remove

TASKS = """\
from dbfoundation.tasks import ns

ns.configure({"dbfoundation": {"models": "shop.tables:TABLES", "seeds": "shop.data:insert"}})
"""
TABLES = """\
from pathlib import Path

from dbfoundation import Pool, Timestamp6Field
from peewee import CharField, Model
from playhouse.postgres_ext import BinaryJSONField

pool = Pool(Path(__file__).parent.parent / ".env")


class Product(Model):
    title = CharField(max_length=200)

    class Meta:
        database = pool
        table_name = "products"


class Visit(Model):
    sid = CharField(max_length=None, primary_key=True)
    sess = BinaryJSONField(index=False)
    expire = Timestamp6Field()

    class Meta:
        database = pool
        table_name = "visits"


TABLES = [Product, Visit]
"""
DATA = """\
from datetime import datetime

from dbfoundation import Row, insert_missing

from shop.tables import Product, Visit, pool


def insert():
    products = [Row(Product, {"title": title}) for title in ("Pen", "Ink", "Paper")]
    expired = Row(Visit, {"sid": "old"}, {"sess": {}, "expire": datetime(2020, 1, 1)})
    return insert_missing(pool, [*products, expired])
"""
MIGRATION = """\
def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE {table} ({columns})")


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE {table}")
"""
PRODUCTS = MIGRATION.format(
    table="products", columns="id SERIAL PRIMARY KEY, title VARCHAR(200) NOT NULL"
)
VISITS = MIGRATION.format(
    table="visits",
    columns="sid VARCHAR PRIMARY KEY, sess JSONB NOT NULL, expire TIMESTAMP(6) NOT NULL",
)
# Docker answers, and Compose finds no file.
DOCKER = """\
#!/bin/sh
case "$*" in info | "compose version") exit 0 ;; esac
echo "no configuration file provided: not found" >&2
exit 14
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """The library's wheel, built from its source."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
    subprocess.run(command, check=True, cwd=LIBRARY, capture_output=True)
    return next(folder.glob("dbfoundation-*.whl"))


@pytest.fixture(scope="session")
def python(wheel, tmp_path_factory):
    """The Python of a new virtual environment that has the wheel and its requirements."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    uv = shutil.which("uv")
    pip = [sys.executable, "-m", "pip", "--retries", "1"]
    installer = [uv, "pip", "install"] if uv else [*pip, "--python", python, "install"]
    target = ["--python", python] if uv else []
    done = subprocess.run([*installer, *target, wheel], check=False, capture_output=True, text=True)
    if done.returncode and not _reaches_the_index(pip):
        pytest.skip(f"no package index can be reached: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return python


def _reaches_the_index(pip):
    words = [*pip, "index", "versions", "peewee"]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def shop(python, port, tmp_path):
    """A project of five files, which has no server yet."""
    folder = tmp_path / "second"
    for name, text in {
        "tasks.py": TASKS,
        "shop/tables.py": TABLES,
        "shop/data.py": DATA,
        "migrations/001_products.py": PRODUCTS,
        "migrations/002_visits.py": VISITS,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    environment = clean_environment()
    environment |= {
        "APP_ENV": "development",
        "DATABASE_URL": f"postgresql://shop:secret@127.0.0.1:{port}/shop",
        "PATH": f"{docker.parent}:{environment['PATH']}",
    }
    project = Project(folder, environment, str(python))
    yield project
    remove(local_home(project))


def test_the_wheel_has_the_package_and_its_types_and_nothing_else(wheel):
    names = ZipFile(wheel).namelist()
    assert "dbfoundation/py.typed" in names
    packages = {name.partition("/")[0] for name in names}
    assert packages == {"dbfoundation", f"{wheel.name.removesuffix('-py3-none-any.whl')}.dist-info"}


def test_no_requirement_excludes_a_release():
    for path in (LIBRARY / "pyproject.toml", LIBRARY.parent / "pyproject.toml"):
        if path.exists():
            project = tomllib.loads(path.read_text())["project"]
            extras = project.get("optional-dependencies", {}).values()
            required = [*project["dependencies"], *(line for extra in extras for line in extra)]
            assert [line for line in required if "!=" in line] == []


@pytest.mark.skipif(
    binaries.installed() is None, reason=f"PostgreSQL {binaries.MAJOR} is not installed here"
)
def test_every_task_runs_in_a_second_project(shop, port):
    used = set()

    def invoke(line: str, *expected: str, stdin: str = "") -> None:
        done = shop.invoke_process(*line.split(), stdin=stdin)
        assert done.returncode == 0, done
        for text in expected:
            assert text in done.stdout, done
        used.update(line.split())

    invoke("db-up", "started by a private server")
    invoke("migrate-up migrate-check migrate-status", "2 applied", "database agree", "0 pending")
    invoke("migrate-redo seed", "1 rolled back, 1 applied", "inserted 4, unchanged 0")
    invoke("migrate-stamp zero migrate-stamp 2 migrate-status", "recorded", "0 pending")
    invoke("models-from-database", "every table has a model")
    invoke("sessions-prune db-schema", "pruned 1 expired sessions", "title")
    invoke("db-shell", "Pen", stdin="SELECT title FROM products;")
    invoke("migrate-verify --with-seed", "every rollback undoes its migration")
    invoke("migrate-down --to zero", "2 rolled back")
    invoke("db-reset", "dropped and created", "2 applied", "inserted 4")
    shop.write("migrations/002_visits.py", f"# the visits\n{VISITS}")
    invoke("migrate-accept 2 migrate-create add_reviews", "accepted 002", "003_add_reviews")
    invoke("db-down", "stopped a private server")
    invoke("db-down --remove-data --yes", "removed the data in ")
    assert not listens("127.0.0.1", port)
    assert used >= set(ns.task_names)
