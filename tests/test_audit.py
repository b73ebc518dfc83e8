"""The audit trail: what is recorded, what is refused, contexts, bulk, and reading by key."""

import asyncio
import json
import os
import pty
import subprocess
import sys
import termios
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from enum import Enum

import pytest
from peewee import (
    AutoField,
    CharField,
    IntegrityError,
    Model,
    OperationalError,
    ProgrammingError,
)

from models import AppendOnlyError, AuditLog, UnfitError, audit_context
from tests.conftest import clean_environment, execute
from toolkit.database import dedicated
from toolkit.settings import ROOT

ROWS = "SELECT action, entity_type, entity_id, user_id, details FROM audit_log ORDER BY id"


TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class Invoice(Model):
    """A thing that something happens to."""

    number = CharField(primary_key=True)


class Role(str, Enum):  # noqa: UP042 # the other kind shows itself as its text
    """An id that is a text, and shows itself as something else."""

    ADMIN = "admin"


class Draft(Model):
    """A thing whose id comes from the database."""

    id = AutoField()


def test_a_record_is_a_row_as_it_stands_there(pool, settings):
    row = AuditLog.record(
        action="invoice.send", entity=("invoice", 7), user_id=42, details={"to": ["ünï"]}
    )
    assert execute(settings, ROWS) == [("invoice.send", "invoice", "7", "42", {"to": ["ünï"]})]
    assert pool.is_closed()
    assert (row.entity_type, row.entity_id, row.user_id) == ("invoice", "7", "42")
    with pool.connection_context():
        stored = AuditLog.get_by_id(row.id)
    assert stored.__data__ == row.__data__
    assert abs(datetime.now(UTC) - row.timestamp) < timedelta(minutes=1)


def test_what_is_not_given_is_null(pool, settings):  # noqa: ARG001 # the pool has to be there
    AuditLog.record(action="a")
    assert execute(settings, ROWS) == [("a", None, None, None, None)]


def test_an_entity_is_a_models_instance_or_a_pair(pool):
    row = AuditLog.record(action="a", entity=Invoice(number="N-1"))
    assert (row.entity_type, row.entity_id) == ("invoice", "N-1")
    row = AuditLog.record(action="a", entity=("pair", (1, "b")), user_id=Role.ADMIN)
    assert (row.entity_type, row.entity_id, row.user_id) == ("pair", "(1, 'b')", "admin")
    for unsaved in (Draft(), ("draft", None), ("draft", (1, None))):
        with pytest.raises(UnfitError, match="entity: it has no id yet"):
            AuditLog.record(action="a", entity=unsaved)
    for odd in ("ab", (None, 5), (Draft, 5), ("a",), 7):
        with pytest.raises(UnfitError, match="entity: a model's instance, or a type and an id"):
            AuditLog.record(action="a", entity=odd)
    assert pool.is_closed()


def test_a_record_is_rolled_back_with_the_callers_transaction(pool, settings):
    with pool.connection_context():
        with pool.atomic() as transaction:
            AuditLog.record(action="undone")
            AuditLog.record_many([{"action": "undone too"}])
            transaction.rollback()
        AuditLog.record(action="kept")
    assert [row[0] for row in execute(settings, ROWS)] == ["kept"]


LONG = "x" * 101
UNFIT = [
    ({"action": LONG}, "action: 101 characters, and the column takes 100"),
    ({"action": "a", "entity": (LONG, 1)}, "entity_type: 101 characters"),
    ({"action": "a", "entity": ("t", LONG)}, "entity_id: 101 characters"),
    ({"action": "a", "user_id": LONG}, "user_id: 101 characters"),
    ({"action": "a\0"}, "action: a text with a NUL"),
    ({"action": None}, "action: a text is wanted, and this is a NoneType"),
    ({"action": "a", "user_id": b"u"}, "user_id: a bytes is no id"),
    ({"action": "a", "user_id": Draft()}, "user_id: a Draft is no id"),
    ({"action": "a", "details": []}, "details: a dict is wanted, and this is a list"),
    ({"action": "a", "details": {"n": 10**5000}}, "details: Exceeds the limit"),
    ({"action": "a", "details": {"x": [float("nan")]}}, r"details\['x'\]\[0\]: nan"),
    ({"action": "a", "details": {"x": {1}}}, r"details\['x'\]: JSON has no form for a set"),
    ({"action": "a", "details": [1]}, "details: a dict is wanted"),
]


@pytest.mark.parametrize(("entry", "told"), UNFIT, ids=[told for _, told in UNFIT])
def test_what_does_not_fit_is_an_error_that_names_the_column(pool, settings, entry, told):
    with pytest.raises(UnfitError, match=told):
        AuditLog.record(**entry)
    with pytest.raises(UnfitError, match=told), audit_context(request_id="r"):
        AuditLog.record_many([{"action": "a"}, entry])
    assert execute(settings, ROWS) == []
    assert pool.is_closed()


def test_a_hundred_characters_fit_whatever_they_are(pool, settings):  # noqa: ARG001 # the pool has to be there
    AuditLog.record(action="ü" * 100)
    assert execute(settings, ROWS)[0][0] == "ü" * 100


def test_secrets_are_masked_at_any_depth(pool, settings):  # noqa: ARG001 # the pool has to be there
    details = {
        "password": "hush",
        "New-Password": ["hush"],
        "form": [{"apiKey": "hush", "name": "kept", "x": {"csrf_token": {"deep": "hush"}}}],
        "client_secret": None,
        "Authorization": "Bearer hush",
        "X-API-Key": "hush",
        "private key": "hush",
        "access_key": "hush",
        "pwd": "hush",
        "Passphrase": "hush",
        "Set-Cookie": "hush",
        "keyboard": "kept",
        "cookie_consent": True,
    }
    row = AuditLog.record(action="a", details=details)
    AuditLog.record_many([{"action": "a", "details": details}])
    masked = {
        "password": "[masked]",
        "New-Password": "[masked]",
        "form": [{"apiKey": "[masked]", "name": "kept", "x": {"csrf_token": "[masked]"}}],
        "client_secret": "[masked]",
        "Authorization": "[masked]",
        "X-API-Key": "[masked]",
        "private key": "[masked]",
        "access_key": "[masked]",
        "pwd": "[masked]",
        "Passphrase": "[masked]",
        "Set-Cookie": "[masked]",
        "keyboard": "kept",
        "cookie_consent": True,
    }
    assert [stored[4] for stored in execute(settings, ROWS)] == [masked, masked]
    assert row.details == masked
    assert details["password"] == "hush"


# Nothing is changed


def test_nothing_updates_or_deletes(pool, settings):
    with pool.connection_context():
        row = AuditLog.create(action="kept")
        row.action = "changed"
        attempts = [
            row.save,
            row.delete_instance,
            lambda: AuditLog.update(action="changed").execute(),
            lambda: AuditLog.delete().execute(),
            lambda: AuditLog.delete_by_id(row.id),
            lambda: AuditLog.set_by_id(row.id, {"action": "changed"}),
            lambda: AuditLog.bulk_update([row], ["action"]),
            AuditLog.truncate_table,
            AuditLog.drop_table,
            lambda: AuditLog.replace(id=row.id, action="changed").execute(),
            lambda: (
                AuditLog.insert(id=row.id, action="changed")
                .on_conflict(conflict_target=[AuditLog.id], update={AuditLog.action: "changed"})
                .execute()
            ),
            lambda: AuditLog.insert_many([{"action": "changed"}]).on_conflict(preserve=["action"]),
            lambda: AuditLog.insert_from(AuditLog.select(), []).on_conflict(preserve=["action"]),
            lambda: row.save(force_insert=False),
        ]
        for attempt in attempts:
            with pytest.raises(AppendOnlyError, match="only added to"):
                attempt()
    assert [stored[0] for stored in execute(settings, ROWS)] == ["kept"]


def test_peewees_own_ways_to_add_and_read_keep_their_meaning(pool):
    with pool.connection_context():
        created = AuditLog.create(action="one")
        AuditLog(action="two").save()
        AuditLog.insert(action="three").execute()
        AuditLog.insert_many([{"action": "four"}]).execute()
        AuditLog.bulk_create([AuditLog(action="five")])
        AuditLog.insert(id=created.id, action="six").on_conflict_ignore().execute()
        assert AuditLog.get(AuditLog.action == "one").id == created.id
        assert AuditLog.select().count() == 5


# Contexts


def test_a_context_supplies_what_is_not_given(pool, settings):  # noqa: ARG001 # the pool has to be there
    with audit_context(user_id=1, request_id="r1"):
        AuditLog.record(action="a")
        AuditLog.record(action="b", user_id=2, details={"x": 1})
        AuditLog.record(action="c", details={"request_id": "given"})
        with audit_context(user_id=3):
            AuditLog.record_many([{"action": "d"}])
        with audit_context(request_id=7):
            AuditLog.record(action="e")
    AuditLog.record(action="f")
    assert [(row[0], row[3], row[4]) for row in execute(settings, ROWS)] == [
        ("a", "1", {"request_id": "r1"}),
        ("b", "2", {"x": 1, "request_id": "r1"}),
        ("c", "1", {"request_id": "given"}),
        ("d", "3", {"request_id": "r1"}),
        ("e", "1", {"request_id": "7"}),
        ("f", None, None),
    ]


def test_a_context_ends_with_an_error(pool, settings):  # noqa: ARG001 # the pool has to be there
    with pytest.raises(ZeroDivisionError), audit_context(user_id=1):
        raise ZeroDivisionError
    AuditLog.record(action="a")
    assert execute(settings, ROWS)[0][3] is None


def test_contexts_do_not_leak_between_threads(pool, settings):  # noqa: ARG001 # the pool has to be there
    def work(number):
        before = AuditLog.record(action="before", details={"number": number})
        with audit_context(user_id=number):
            for _ in range(5):
                AuditLog.record(action="in", details={"number": number})
        return before.user_id

    with audit_context(user_id="outside"), ThreadPoolExecutor(8) as threads:
        assert set(threads.map(work, range(40))) == {None}
    inside = [row for row in execute(settings, ROWS) if row[0] == "in"]
    assert len(inside) == 200
    assert all(user == str(details["number"]) for _, _, _, user, details in inside)


def test_contexts_do_not_leak_between_tasks_and_go_along_to_their_threads(pool, settings):
    @pool.connection_context()
    def work(number):
        AuditLog.record(action="in", details={"number": number})

    async def task(number):
        with audit_context(user_id=number):
            for _ in range(3):
                await asyncio.to_thread(work, number)
                await asyncio.sleep(0)

    async def main():
        await asyncio.gather(*(task(number) for number in range(20)))
        await asyncio.to_thread(work, -1)

    asyncio.run(main())
    rows = execute(settings, ROWS)
    assert len(rows) == 61
    for _, _, _, user, details in rows:
        assert user == (None if details["number"] < 0 else str(details["number"]))


# Many


ODD = "tab\t newline\n return\r backslash\\ \\N \\. quote'\" ünï 😀 %s"


def test_many_arrive_as_they_are(pool, settings):
    entries = [
        {"action": ODD, "entity": (ODD, ODD), "user_id": ODD, "details": {ODD: [ODD]}},
        {"action": "", "entity": ("", ""), "user_id": "", "details": {}},
        {"action": "\\N"},
    ]
    assert AuditLog.record_many(entries) == 3
    assert execute(settings, ROWS) == [
        (ODD, ODD, ODD, ODD, {ODD: [ODD]}),
        ("", "", "", "", {}),
        ("\\N", None, None, None, None),
    ]
    assert AuditLog.record_many([]) == 0
    assert pool.is_closed()


@pytest.mark.parametrize("count", [1, 4999, 5000, 20_000])
def test_many_are_counted_and_none_is_lost(pool, settings, count):  # noqa: ARG001 # the pool has to be there
    assert AuditLog.record_many({"action": f"{n}"} for n in range(count)) == count
    actions = [row[0] for row in execute(settings, ROWS)]
    assert actions == [f"{n}" for n in range(count)]


def test_many_are_all_or_none_and_the_callers_error_arrives(pool, settings):
    def entries():
        for n in range(2000):
            yield {"action": f"{n}"}
        raise ZeroDivisionError("the caller's own")

    with pool.connection_context(), pool.atomic():
        AuditLog.record(action="before")
        with pytest.raises(ZeroDivisionError, match="the caller's own"):
            AuditLog.record_many(entries())
        AuditLog.record(action="after")
    assert [row[0] for row in execute(settings, ROWS)] == ["before", "after"]


def test_they_go_with_a_transaction_that_peewee_knows_nothing_of(pool, settings):
    with pool.connection_context():
        pool.execute_sql("BEGIN")
        AuditLog.record_many([{"action": "undone"}])
        pool.execute_sql("ROLLBACK")
        with pool.manual_commit():
            pool.begin()
            AuditLog.record_many([{"action": "undone"}])
            pool.rollback()
    assert execute(settings, ROWS) == []


def test_a_server_that_goes_away_is_an_operational_error(pool, settings):
    def entries():
        yield {"action": "a" * 100}
        execute(settings, TERMINATE)
        yield from ({"action": "a" * 100, "details": {"n": n}} for n in range(10_000))

    with pytest.raises(OperationalError):
        AuditLog.record_many(entries())
    assert pool.is_closed()


def test_what_the_server_refuses_is_peewees_error(pool, settings):
    execute(settings, "ALTER TABLE audit_log ADD CHECK (action <> 'no')")
    with pytest.raises(IntegrityError, match="violates check constraint"):
        AuditLog.record_many([{"action": "no"}])
    execute(settings, "DROP TABLE audit_log")
    with pytest.raises(ProgrammingError, match="does not exist"):
        AuditLog.record_many([{"action": "a"}])
    assert pool.is_closed()


def test_memory_does_not_grow_with_the_number_of_rows(pool):  # noqa: ARG001 # the pool has to be there
    def peak(count):
        tracemalloc.start()
        try:
            AuditLog.record_many({"action": "a", "details": {"n": n}} for n in range(count))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(1000)
    assert peak(20_000) < 1.5 * peak(2000)


def test_memory_does_not_grow_with_the_size_of_all_rows(pool):  # noqa: ARG001 # the pool has to be there
    tracemalloc.start()
    try:
        AuditLog.record_many({"action": "a", "details": {"n": f"{n}" * 50_000}} for n in range(100))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # ten megabytes went through


SLOW = """
import time
from models import AuditLog

def entries():
    for n in range(1500):
        yield {"action": "a"}
        time.sleep(0.001)

AuditLog.record_many(entries())
"""


@pytest.mark.parametrize("watched", [True, False])
def test_a_bar_shows_how_far_it_is_where_a_person_watches(pool, settings, watched):  # noqa: ARG001 # the pool has to be there
    url = settings.url.render(with_password=True)
    parent, child = pty.openpty()
    termios.tcsetwinsize(parent, (24, 80))
    with subprocess.Popen(
        [sys.executable, "-c", SLOW],
        stderr=child if watched else subprocess.PIPE,
        cwd=ROOT,
        env=clean_environment() | {"DATABASE_URL": url, "APP_ENV": "test"},
    ) as process:
        os.close(child)
        shown = os.read(parent, 4096) if watched else process.stderr.read()
        assert process.wait(30) == 0
    os.close(parent)
    assert (b"rows" in shown) is watched, shown


# Reading


@pytest.fixture
def history(pool):
    """Three hundred rows of three things and two users, a minute each."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with pool.connection_context():
        AuditLog.insert_many(
            [
                {
                    "action": f"{n}",
                    "entity_type": "thing",
                    "entity_id": f"{n % 3}",
                    "user_id": f"{n % 2}",
                    "timestamp": start + timedelta(minutes=n // 2),  # two rows at a time
                }
                for n in range(300)
            ]
        ).execute()
        AuditLog.create(
            action="0", entity_type="other", entity_id="1", user_id="2", timestamp=start
        )
    return start


def pages(read, limit=7):
    """What a reader gets page by page."""
    page = read(limit=limit)
    while page:
        yield from (int(row.action) for row in page)
        page = read(limit=limit, before=page[-1])


def test_readings_are_newest_first_and_miss_nothing(pool, history):
    def by_thing(**page):
        return AuditLog.for_entity(("thing", 1), **page)

    def by_user(**page):
        return AuditLog.for_user(1, **page)

    def by_time(**page):
        end = history + timedelta(minutes=100)
        return AuditLog.between(history + timedelta(minutes=50), end, **page)

    assert list(pages(by_thing)) == [n for n in reversed(range(300)) if n % 3 == 1]
    assert list(pages(by_user)) == [n for n in reversed(range(300)) if n % 2 == 1]
    assert list(pages(by_time)) == list(reversed(range(100, 200)))
    assert AuditLog.for_entity(Invoice(number="none")) == []
    assert len(AuditLog.for_user(1)) == 100
    assert pool.is_closed()


def test_wrong_pages_are_errors(pool, history):  # noqa: ARG001 # the pool has to be there
    with pytest.raises(ValueError, match="limit: 1 or more"):
        AuditLog.for_user(1, limit=0)
    with pytest.raises(ValueError, match="before: a row as a reading returned it"):
        AuditLog.for_user(1, before=AuditLog())
    with pytest.raises(ValueError, match="user_id: it has no id yet"):
        AuditLog.for_user(None)
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 # the point
    with pytest.raises(ValueError, match="a time zone is wanted"):
        AuditLog.between(naive, history)


def blocks(pool, query):
    """The plan's nodes, and how many blocks it reads."""
    sql, values = query.sql()
    plan = pool.execute_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", values).fetchone()
    top = plan[0][0]["Plan"]
    return json.dumps(top), top["Shared Hit Blocks"] + top["Shared Read Blocks"]


def test_page_one_thousand_costs_what_page_one_does(pool, settings, monkeypatch):
    execute(
        settings,
        "INSERT INTO audit_log (action, entity_type, entity_id, user_id, timestamp) "
        "SELECT 'a', 'thing', '1', '1', timestamptz '2026-01-01Z' + n * interval '1 second' "
        "FROM generate_series(1, 20000) n",
    )
    execute(settings, "VACUUM ANALYZE audit_log")
    asked = []
    limit = AuditLog.select().limit.__func__

    def noted(query, count):
        asked.append(limit(query, count))
        return asked[-1]

    monkeypatch.setattr("peewee.Query.limit", noted)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    with pool.connection_context():
        far = AuditLog.get(AuditLog.id == 20_000 - 999 * 10)
        for read in (
            lambda **page: AuditLog.for_entity(("thing", 1), **page),
            lambda **page: AuditLog.for_user(1, **page),
            lambda **page: AuditLog.between(start, start + timedelta(days=1), **page),
        ):
            asked.clear()
            read(limit=10)
            read(limit=10, before=far)
            (_, first), (plan, thousandth) = [blocks(pool, query) for query in asked]
            assert "Sort" not in plan
            assert "Index" in plan
            assert thousandth <= first + 2


@pytest.mark.usefixtures("pool")
def test_the_action_may_go_without_its_name():
    assert AuditLog.record("user.login", user_id=7).action == "user.login"


@pytest.mark.usefixtures("pool")
def test_a_model_that_is_bound_to_another_database_writes_and_reads_there(settings):
    other = dedicated(settings, "other")
    with other.bind_ctx([AuditLog]), other.connection_context(), other.atomic() as transaction:
        AuditLog.record("kept for a moment", user_id=7)
        AuditLog.record_many([{"action": "as well", "user_id": 7}])
        assert len(AuditLog.for_user(7)) == 2
        transaction.rollback()
    assert AuditLog.for_user(7) == []
