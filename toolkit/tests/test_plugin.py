"""The library's pytest plugin: its server, its databases, its options, and a project without it."""

import pytest

from dbfoundation.server import binaries
from dbfoundation.server.development import listens
from tests.own_tests import OPTIONS, OwnTests
from tests.support import execute, only_in_ci

pytest_plugins = ["pytester"]

WITH_AND_WITHOUT_WORKERS = pytest.mark.parametrize(
    "workers", ["--numprocesses=0", pytest.param("--numprocesses=2", marks=only_in_ci)]
)
ADDRESS = """
def test_{name}({fixture}, test_database):
    with open("{name}", "w") as file:
        url = test_database.url
        print(url.name, url.host, url.port, file=file)
    add()
    assert names() == ["a row"]
"""
RECORDED = """
def migrate(migrator, database, *, fake=False):
    with open("applied", "a") as file:
        file.write("applied ")
    migrator.sql("CREATE TABLE recorded ()")


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE recorded")
"""
FAILING = """
def migrate(migrator, database, *, fake=False):
    migrator.sql("CREATE TABLE broken (id nonsense)")


def rollback(migrator, database, *, fake=False):
    migrator.sql("DROP TABLE broken")
"""


@pytest.fixture
def own_tests(pytester, server, monkeypatch):
    monkeypatch.setenv("TEST_DATABASE_URL", server.url.render(with_password=True))
    return OwnTests(pytester)


def address(own_tests, name):
    return (own_tests.pytester.path / name).read_text().split()


def test_the_databases_are_on_the_server_of_test_database_url_which_is_left_clean(
    own_tests, server
):
    own_tests.passes(ADDRESS.format(name="one", fixture="db"))
    name, host, port = address(own_tests, "one")
    assert (host, int(port)) == (server.url.host, server.url.port)
    template = name.rpartition("_")[0]
    query = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
    assert execute(server, query, template) == []


@pytest.mark.skipif(
    bool(binaries.unavailable_reason()), reason=f"a private server: {binaries.unavailable_reason()}"
)
def test_without_test_database_url_the_run_has_a_server_of_its_own(own_tests, monkeypatch):
    monkeypatch.delenv("TEST_DATABASE_URL")
    own_tests.passes(ADDRESS.format(name="one", fixture="committing_db"))
    _, host, port = address(own_tests, "one")
    assert not listens(host, int(port))


def test_each_worker_has_a_database_and_the_migrations_run_once(own_tests, server):
    own_tests.write("migrations/004_recorded.py", RECORDED)
    names = [f"test_{number}" for number in range(6)]
    source = "".join(
        ADDRESS.format(name=name, fixture=("db", "committing_db")[number % 2])
        for number, name in enumerate(names)
    )
    own_tests.passes(source, "--numprocesses=2")
    assert (own_tests.pytester.path / "applied").read_text().split() == ["applied"]
    databases = {address(own_tests, name)[0] for name in names}
    assert len(databases) == 2
    query = "SELECT datname FROM pg_database WHERE datname = ANY(%s)"
    templates = [name.rpartition("_")[0] for name in databases]
    assert execute(server, query, [*databases, *templates]) == []


@WITH_AND_WITHOUT_WORKERS
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ('database = "models:databse"', "models:databse cannot be imported: AttributeError: *"),
        ('database = "model:database"', "model:database cannot be imported: ModuleNotFound*"),
        ('database = "models:MODELS"', "models:MODELS is no dbfoundation.Pool, but list"),
    ],
)
def test_a_wrong_name_of_the_pool_is_an_error_with_a_fix(own_tests, option, message, workers):
    own_tests.write("pyproject.toml", OPTIONS.replace('database = "models:database"', option))
    result = own_tests.run("def test_own(db): pass", workers)
    lines = [f"*error: dbfoundation_database: {message}", "Fix: *models:database*"]
    result.stdout.fnmatch_lines(lines)
    result.stdout.no_fnmatch_line("*Traceback*")
    assert result.ret != 0


@WITH_AND_WITHOUT_WORKERS
def test_a_migration_that_fails_is_reported_once_and_ends_the_run(own_tests, workers):
    own_tests.write("migrations/004_failing.py", FAILING)
    result = own_tests.run("def test_one(db): pass\ndef test_two(db): pass", workers)
    text = result.stdout.str()
    assert text.count("004_failing") == 1, text
    assert 'type "nonsense" does not exist' in text
    assert result.ret == 2
    assert "passed" not in text


def test_a_folder_of_migrations_that_is_missing_is_an_error_with_a_fix(own_tests):
    (own_tests.pytester.path / "migrations").rename(own_tests.pytester.path / "changes")
    result = own_tests.run("def test_own(db): pass")
    result.stdout.fnmatch_lines(["*migrations: no such folder*", "Fix: *dbfoundation_migrations*"])
    assert result.ret == 2
    own_tests.write("pyproject.toml", f'{OPTIONS}dbfoundation_migrations = "changes"\n')
    own_tests.passes("def test_own(db): add()")


def test_without_a_fixture_the_pool_connects_nowhere(own_tests, server):
    own_tests.write(".env", f"DATABASE_URL={server.url.render(with_password=True)}\n")
    result = own_tests.run("""
def test_before():
    execute("SELECT 1")

def test_one(db): add()

def test_after():
    execute("SELECT 1")
""")
    result.assert_outcomes(failed=2, passed=1)
    lines = ["*FixtureError: a test uses the database without a fixture", "*Fix: *`db`*"]
    result.stdout.fnmatch_lines(lines * 2)


def test_a_query_outside_of_a_context_fails_as_it_does_in_the_service(own_tests):
    own_tests.passes("""
from dbfoundation.errors import NotConnectedError

def test_own(db):
    with pytest.raises(NotConnectedError):
        AuditLog.create(action="a row")
""")


def test_a_project_that_names_no_pool_has_no_fixture_and_imports_nothing(own_tests, server):
    own_tests.write("pyproject.toml", OPTIONS.partition("dbfoundation_database")[0])
    own_tests.write(".env", f"DATABASE_URL={server.url.render(with_password=True)}\n")
    own_tests.write(
        "test_first.py",
        """
import sys

def test_the_plugin_has_imported_nothing():
    assert not {"peewee", "psycopg2", "environs"} & sys.modules.keys()

def test_a_fixture(db):
    pass
""",
    )
    result = own_tests.pytester.runpytest_subprocess("-p", "no:cacheprovider", "test_first.py")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*fixture 'db' not found*"])
