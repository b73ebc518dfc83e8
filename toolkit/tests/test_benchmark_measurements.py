"""invoke bench: each tool is measured in each case, and a tool that does nothing is an error."""

import re
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import checks, drafts, load, own_tests, peers, pools, rows, sessions
from benchmarks.load import CHECK_OUT
from benchmarks.migrations import WALL, Migrations
from benchmarks.results import OURS, BenchError, Results
from benchmarks.tools import Playhouse, Psql, PwMigrate, ThisProject
from dbfoundation import SessionStore
from dbfoundation.errors import NotConnectedError
from dbfoundation.server import binaries
from models import AuditLog, Session
from tests.support import IS_CI, ignore, only_in_ci

pytestmark = only_in_ci


@pytest.fixture
def programs(tmp_path):
    if reason := binaries.unavailable_reason():
        pytest.skip(reason)
    return binaries.find_programs(tmp_path)


@pytest.fixture
def migrating(tmp_path, settings, programs):
    return Migrations(tmp_path, settings, programs, peers.Peers(), Results())


def test_every_tool_runs_every_step_in_every_round(migrating):
    # CI runs more: each process takes a third of a second.
    tools = [ThisProject, PwMigrate, Playhouse, Psql] if IS_CI else [ThisProject, Psql]
    size, rounds = (2, 2) if IS_CI else (1, 1)
    migrating.tools = tools
    projects = migrating.projects([size])
    for number in range(rounds):
        migrating.round(number, projects, ignore)
    figures = migrating.results.rounds
    counted = Counter(figure.tool for figure in figures if figure.quantity == WALL)
    assert counted == dict.fromkeys((tool.name for tool in tools), 5)
    assert all(len(numbers) == rounds for numbers in figures.values())


def test_a_migration_tool_that_does_nothing_is_an_error(migrating):
    class Idle(Psql):
        name = "idle"

        def down(self, n):  # noqa: ARG002 # the point
            return self.status()

    migrating.tools = [Idle]
    message = "idle, down one, 1: the database has 2 tables instead of 1"
    with pytest.raises(BenchError, match=message):
        migrating.round(0, migrating.projects([1]), ignore)


def test_the_error_of_a_failed_tool_has_its_own_words(migrating):
    class Failing(Psql):
        def up(self, pending):  # noqa: ARG002 # the point
            return self._psql("-c", "SELECT no_such_column")

    migrating.tools = [Failing]
    with pytest.raises(BenchError, match=r"psql, fresh up, 1: .*no_such_column"):
        migrating.round(0, migrating.projects([1]), ignore)


@pytest.fixture
def using(tmp_path, settings, programs, pool):  # noqa: ARG001 # the tables
    return sessions.Sessions(tmp_path, settings, programs, peers.Peers(), Results())


def test_every_pool_runs_each_operation_as_often_as_it_reports(using):
    del using.loads[sessions.NODE], using.loads[sessions.PGBENCH]
    using.round(0, 0.01, ignore)
    figures = using.results.rounds
    assert Counter(figure.tool for figure in figures) == dict.fromkeys(using.loads, 8)
    assert min(rate for [rate] in figures.values()) > 0


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("get", "idle, get, 1 client: returned None instead of {"),
        ("set", "idle, set, 1 client: 0 sessions were written instead of "),
        ("touch", "idle, touch, 1 client: 0 sessions were written instead of "),
        (CHECK_OUT, "idle, check-out, SELECT 1, 1 client: returned None instead of "),
    ],
)
def test_an_operation_that_does_nothing_is_an_error(using, monkeypatch, case, message):
    monkeypatch.setattr(sessions, "CASES", [case])
    using.loads = {"idle": load.in_threads(pools.ours() | {case: lambda _: None})}
    with pytest.raises(BenchError, match=message):
        using.round(0, 0.02, ignore)


def test_an_operation_that_writes_fewer_sessions_than_it_reports_is_an_error(using, monkeypatch):
    monkeypatch.setattr(sessions, "CASES", ["touch"])
    store = SessionStore(Session)
    lazy = pools.ours() | {"touch": lambda _: store.touch("bench-0")}
    using.loads = {"lazy": load.in_threads(lazy)}
    message = "lazy, touch, 1 client: 1 sessions were written instead of "
    with pytest.raises(BenchError, match=message):
        using.round(0, 0.02, ignore)


def test_a_pgbench_that_writes_too_few_sessions_is_an_error(using, monkeypatch):
    output = "number of transactions actually processed: 5000\ntps = 5000.0 (without ...)\n"
    monkeypatch.setattr(sessions, "output_of", lambda *_, **__: output)
    monkeypatch.setattr(sessions, "CASES", ["set"])
    using.loads = {"pgbench": using.loads[sessions.PGBENCH]}
    with pytest.raises(BenchError, match="0 sessions were written instead of 500 to 1000"):
        using.round(0, 1, ignore)


@pytest.mark.skipif(not shutil.which("node"), reason="there is no node")
@pytest.mark.parametrize("case", ["get", CHECK_OUT])
def test_a_store_of_node_that_returns_nothing_is_an_error(using, monkeypatch, tmp_path, case):
    for name, source in {
        "express-session": "",
        "pg": "exports.Pool = class { async query() { return { rows: [] } } };",
        "connect-pg-simple": "module.exports = () => class { get(sid, done) { done(null) } };",
    }.items():
        (tmp_path / "node_modules" / name).mkdir(parents=True)
        (tmp_path / "node_modules" / name / "index.js").write_text(source)
    monkeypatch.setattr(peers, "NODE", tmp_path)
    monkeypatch.setattr(sessions, "CASES", [case])
    using.loads = {"node": using.loads[sessions.NODE]}
    with pytest.raises(BenchError, match="returned undefined instead of "):
        using.round(0, 0.02, ignore)


@pytest.fixture
def adding(tmp_path, settings, programs, pool):  # noqa: ARG001 # the table
    return rows.Rows(tmp_path, settings, programs, Results())


def test_every_inserter_adds_the_same_rows(pool, adding):
    columns = [getattr(AuditLog, name) for name in rows.COLUMNS]
    query = AuditLog.select(*columns).order_by(AuditLog.id)
    added = []
    for inserters in (adding.one_by_one, adding.many):
        for inserter in inserters.values():
            with pool.connection_context():
                pool.execute_sql("TRUNCATE audit_log")
                inserter.insert(inserter.prepare(3))
                added.append(list(query.tuples()))
    assert len(added) == 6
    assert all(own == added[0] for own in added)
    assert added[0][2][:4] == ("item.view", "item", "2", "2")


def test_an_inserter_that_adds_nothing_is_an_error(adding):
    adding.many[OURS] = replace(adding.many[OURS], insert=lambda _: None)
    message = "audit rows many, this project: the table has 0 rows instead of 100"
    with pytest.raises(BenchError, match=message):
        adding.round(0, 100, ignore)


def test_the_error_of_a_failed_psql_has_its_own_words(adding):
    adding.many = {rows.LIMIT: replace(adding.many[rows.LIMIT], prepare=lambda _: Path("/none"))}
    with pytest.raises(BenchError, match="/none: No such file"):
        adding.round(0, 100, ignore)


@pytest.fixture
def testing(tmp_path, settings):
    absent = dict.fromkeys(peers.PYTEST_PACKAGES, "not installed here")
    return own_tests.OwnTests(tmp_path, settings, peers.Peers(left_out=absent), Results())


def test_each_fixture_is_measured(testing):
    testing.round(0, 2, ignore)
    assert {figure.case for figure in testing.results.rounds} == {"rolled back", "committed"}
    assert all(number > 0 for [number] in testing.results.rounds.values())


def test_a_test_that_sees_the_row_of_another_one_is_an_error(testing, monkeypatch):
    fixtures = {own_tests.ROLLED_BACK: {OURS: "test_database"}}
    monkeypatch.setattr(own_tests, "FIXTURES", fixtures)
    with pytest.raises(BenchError, match=f"{OURS}, test_database: "):
        testing.round(0, 2, ignore)


@pytest.fixture
def checking(settings):
    measured = checks.Checks(settings, Results())
    yield measured
    measured.close()


def test_each_check_of_the_pool_is_measured_beside_a_pool_without_it(checking):
    ours, autoconnect, unchecked = checking.pools
    for pool in (ours, unchecked):
        pool.execute_sql("SET TimeZone = 'Asia/Tokyo'")
        checks.check_out(pool)
    zones = [pool.execute_sql("SHOW TimeZone").fetchone() for pool in (ours, unchecked)]
    assert zones == [("UTC",), ("Asia/Tokyo",)]
    for pool in (ours, autoconnect):
        pool.close()
    assert autoconnect.cursor()
    with pytest.raises(NotConnectedError):
        ours.cursor()


def test_each_call_of_the_pool_is_measured_in_every_round(checking):
    for number in range(2):
        checking.round(number, checks.CALLS_A_CONNECTION, ignore)
    figures = checking.results.rounds
    cases = Counter(figure.case for figure in figures)
    assert cases == {checks.NEW_CONNECTION: 3, checks.CURSOR: 2, checks.CHECK_OUT: 2}
    assert all(len(numbers) == 2 for numbers in figures.values())


@pytest.fixture
def drafting(tmp_path, settings):
    measured = drafts.Drafts(tmp_path, settings, peers.Peers(), Results())
    measured.tools = [drafts.Ours]
    return measured


def test_a_draft_is_measured_and_judged_in_every_round(drafting):
    projects = drafting.projects([2], ignore)
    for number in range(2):
        drafting.round(number, projects, ignore)
    figures = drafting.results.rounds
    assert {figure.quantity for figure in figures} == {drafts.WALL, drafts.MEMORY}
    assert all(len(numbers) == 2 for numbers in figures.values())


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("up", "this project: t1.name is character varying(100)"),
        ("down", "this project: t1.name: the schema before has character varying(100)"),
    ],
)
def test_a_draft_that_is_not_applied_or_not_rolled_back_is_an_error(
    drafting, monkeypatch, method, message
):
    projects = drafting.projects([2], ignore)
    monkeypatch.setattr(drafts.Ours, method, lambda _: ["true"])
    with pytest.raises(BenchError, match=re.escape(message)):
        drafting.round(0, projects, ignore)
