"""The audit context: the user and the request of a block, in threads and tasks."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from dbfoundation import audit_context
from models import AuditLog
from tests.support import execute

ROWS = "SELECT action, user_id, details FROM audit_log ORDER BY id"


@pytest.mark.usefixtures("pool")
def test_a_context_supplies_the_missing_values(settings):
    with audit_context(user_id=1, request_id="r1"):
        AuditLog.record("missing")
        AuditLog.record("given", user_id=2, details={"x": 1})
        AuditLog.record("given too", details={"request_id": "given"})
        with audit_context(user_id=3):
            AuditLog.record_many([{"action": "inner user"}])
        with audit_context(request_id=7):
            AuditLog.record("inner request")
    AuditLog.record("outside")
    assert execute(settings, ROWS) == [
        ("missing", "1", {"request_id": "r1"}),
        ("given", "2", {"x": 1, "request_id": "r1"}),
        ("given too", "1", {"request_id": "given"}),
        ("inner user", "3", {"request_id": "r1"}),
        ("inner request", "1", {"request_id": "7"}),
        ("outside", None, None),
    ]


@pytest.mark.usefixtures("pool")
def test_an_error_ends_the_context(settings):
    with pytest.raises(ZeroDivisionError), audit_context(user_id=1):
        raise ZeroDivisionError
    AuditLog.record("a")
    assert execute(settings, ROWS) == [("a", None, None)]


@pytest.mark.usefixtures("pool")
def test_each_thread_has_its_own_context(settings):
    def work(number):
        before = AuditLog.record("before")
        with audit_context(user_id=number):
            for _ in range(5):
                AuditLog.record("inside", details={"number": number})
        return before.user_id

    with audit_context(user_id="outside"), ThreadPoolExecutor(8) as threads:
        assert set(threads.map(work, range(40))) == {None}
    inside = [row for row in execute(settings, ROWS) if row[0] == "inside"]
    assert len(inside) == 200
    assert all(user == str(details["number"]) for _, user, details in inside)


def test_each_task_has_its_own_context_which_its_threads_inherit(pool, settings):
    @pool.connection_context()
    def work(number):
        AuditLog.record("a", details={"number": number})

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
    for _, user, details in rows:
        assert user == (None if details["number"] < 0 else str(details["number"]))
