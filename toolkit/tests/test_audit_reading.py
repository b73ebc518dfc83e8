"""Reading the audit trail: pages by key, newest first, each at the same cost."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from peewee import CharField, Model

from dbfoundation.errors import InvalidValueError
from models import AuditLog
from tests.support import execute

START = datetime(2026, 1, 1, tzinfo=UTC)


class Invoice(Model):
    """An entity."""

    number = CharField(primary_key=True)


@pytest.fixture
def events(pool):
    """Three hundred events of three things and two users, two a minute, and one of another type."""
    many = [
        {
            "action": f"{n}",
            "entity_type": "thing",
            "entity_id": f"{n % 3}",
            "user_id": f"{n % 2}",
            "timestamp": START + timedelta(minutes=n // 2),
        }
        for n in range(300)
    ]
    other = {"entity_type": "other", "entity_id": "1", "user_id": "2", "timestamp": START}
    with pool.connection_context():
        AuditLog.insert_many(many).execute()
        AuditLog.create(action="0", **other)


def read_all(read, limit=7):
    """The actions of every page."""
    page = read(limit=limit)
    while page:
        yield from (int(row.action) for row in page)
        page = read(limit=limit, before=page[-1])


@pytest.mark.usefixtures("events")
def test_the_pages_have_each_row_once_newest_first(pool):
    def by_thing(**page):
        return AuditLog.for_entity(("thing", 1), **page)

    def by_user(**page):
        return AuditLog.for_user(1, **page)

    def by_time(**page):
        minute = timedelta(minutes=1)
        return AuditLog.between(START + 50 * minute, START + 100 * minute, **page)

    assert list(read_all(by_thing)) == [n for n in reversed(range(300)) if n % 3 == 1]
    assert list(read_all(by_user)) == [n for n in reversed(range(300)) if n % 2 == 1]
    assert list(read_all(by_time)) == list(reversed(range(100, 200)))
    assert pool.is_closed()


def test_the_key_of_a_model_orders_its_pages(pool, monkeypatch):
    """On several servers, a later row may have a smaller id."""
    rows = [
        {"id": 2_000 - n, "action": f"{n}", "timestamp": START + timedelta(minutes=n // 2)}
        for n in range(20)
    ]
    same = {"entity_type": "thing", "entity_id": "1", "user_id": "1"}
    with pool.connection_context():
        AuditLog.insert_many([row | same for row in rows]).execute()
    monkeypatch.setattr(AuditLog, "page_key", ("timestamp", "id"))
    newest_first = sorted(rows, key=lambda row: (row["timestamp"], row["id"]), reverse=True)
    actions = [int(row["action"]) for row in newest_first]
    assert list(read_all(lambda **page: AuditLog.for_entity(("thing", 1), **page))) == actions
    assert list(read_all(lambda **page: AuditLog.for_user(1, **page))) == actions


@pytest.mark.usefixtures("events")
def test_a_page_has_a_hundred_rows_by_default_and_may_be_empty():
    assert len(AuditLog.for_user(1)) == 100
    assert AuditLog.for_entity(Invoice(number="none")) == []


@pytest.mark.usefixtures("pool")
def test_an_invalid_request_for_a_page_is_an_error():
    with pytest.raises(ValueError, match="limit: must be 1 or more"):
        AuditLog.for_user(1, limit=0)
    with pytest.raises(ValueError, match="before: must be a row that was read"):
        AuditLog.for_user(1, before=AuditLog())
    with pytest.raises(ValueError, match="user_id: has no id yet"):
        AuditLog.for_user(None)
    for invalid in ("a\0", "\ud800"):
        with pytest.raises(InvalidValueError, match="user_id: has "):
            AuditLog.for_user(invalid)
        with pytest.raises(InvalidValueError, match="entity: has "):
            AuditLog.for_entity(("user", invalid))
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 # the case
    for invalid in (naive, naive.date(), "2026-01-01"):
        for period in ((invalid, START), (START, invalid)):
            with pytest.raises(InvalidValueError, match="must be datetimes with a time zone"):
                AuditLog.between(*period)


@pytest.fixture
def plan(pool, monkeypatch):
    """Reads a page; returns its plan, and the number of blocks that the plan reads."""
    queries = []
    limit = AuditLog.select().limit.__func__

    def record_query(query, count):
        queries.append(limit(query, count))
        return queries[-1]

    def read_and_explain(read, **page):
        read(**page)
        sql, values = queries[-1].sql()
        explained = pool.execute_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", values)
        top = explained.fetchone()[0][0]["Plan"]
        return json.dumps(top), top["Shared Hit Blocks"] + top["Shared Read Blocks"]

    monkeypatch.setattr("peewee.Query.limit", record_query)
    with pool.connection_context():
        yield read_and_explain


def test_page_one_thousand_costs_as_much_as_page_one(plan, settings):
    execute(
        settings,
        "INSERT INTO audit_log (action, entity_type, entity_id, user_id, timestamp) "
        "SELECT 'a', 'thing', '1', '1', timestamptz '2026-01-01Z' + n * interval '1 second' "
        "FROM generate_series(1, 20000) n",
    )
    execute(settings, "VACUUM ANALYZE audit_log")
    far = AuditLog.get(AuditLog.id == 20_000 - 999 * 10)
    for read in (
        lambda **page: AuditLog.for_entity(("thing", 1), **page),
        lambda **page: AuditLog.for_user(1, **page),
        lambda **page: AuditLog.between(START, START + timedelta(days=1), **page),
    ):
        _, first_blocks = plan(read, limit=10)
        text, far_blocks = plan(read, limit=10, before=far)
        assert "Sort" not in text
        assert "Index" in text
        assert far_blocks <= first_blocks + 2


UNREADABLE = {
    "nested too deeply": "repeat('[', 3000) || '1' || repeat(']', 3000)",
    "a number of too many digits": "'{\"n\": 1' || repeat('0', 5000) || '}'",
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_details_that_python_cannot_read_are_a_text(events, settings, text):  # noqa: ARG001 # rows beside it
    """Another program may store them."""
    update = f"UPDATE audit_log SET details = ({text})::jsonb WHERE action = '1'"
    [(stored,)] = execute(settings, f"{update} AND entity_type = 'thing' RETURNING details::text")
    day = timedelta(days=1)
    for page in (
        AuditLog.for_entity(("thing", 1)),
        AuditLog.for_user(1, limit=150),
        AuditLog.between(START, START + day, limit=301),
    ):
        details = {row.action: row.details for row in page if row.entity_type == "thing"}
        assert details.pop("1") == stored
        assert set(details.values()) == {None}


@pytest.mark.parametrize("key", [("timestamp", "id"), ("id",)])
def test_a_row_without_a_timestamp_is_on_a_page_once(pool, settings, monkeypatch, key):
    """The column permits it, so that another program may store it."""
    monkeypatch.setattr(AuditLog, "page_key", key)
    same = {"entity_type": "thing", "entity_id": "1", "user_id": "1"}
    with pool.connection_context():
        AuditLog.insert_many(
            {"action": f"{n}", "timestamp": START if n % 3 else None} | same for n in range(20)
        ).execute()
    timestamp = "timestamp DESC NULLS FIRST," * (key != ("id",))
    query = f"SELECT action::int FROM audit_log ORDER BY {timestamp} id DESC"
    newest_first = [action for (action,) in execute(settings, query)]
    for limit in (1, 3, 7, 30):
        for read in (
            lambda **page: AuditLog.for_entity(("thing", 1), **page),
            lambda **page: AuditLog.for_user(1, **page),
        ):
            assert list(read_all(read, limit)) == newest_first
    day = timedelta(days=1)
    timed = list(read_all(lambda **page: AuditLog.between(START, START + day, **page), 3))
    assert timed == [n for n in reversed(range(20)) if n % 3]
