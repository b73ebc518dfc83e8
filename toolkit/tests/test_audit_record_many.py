"""Many entries at once: by COPY, all of them or none, in little memory."""

import io
import sys
import tracemalloc
from contextlib import nullcontext, redirect_stderr, redirect_stdout

import pytest
from peewee import IntegrityError, OperationalError, ProgrammingError

from dbfoundation.errors import ConnectionBusyError
from models import AuditLog
from tests.support import execute

ROWS = "SELECT action, entity_type, entity_id, user_id, details FROM audit_log ORDER BY id"
TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
ODD = "tab\t newline\n return\r backslash\\ \\N \\. quote'\" ünï 😀 %s"


def test_texts_with_copys_own_characters_arrive_unchanged(pool, settings):
    entries = [
        {"action": ODD, "entity": (ODD, ODD), "user_id": ODD, "details": {ODD: [ODD]}},
        {"action": "", "entity": ("", ""), "user_id": "", "details": {}},
        {"action": "\\N"},
        {"action": "\\."},
    ]
    assert AuditLog.record_many(entries) == 4
    assert execute(settings, ROWS) == [
        (ODD, ODD, ODD, ODD, {ODD: [ODD]}),
        ("", "", "", "", {}),
        ("\\N", None, None, None, None),
        ("\\.", None, None, None, None),
    ]
    assert pool.is_closed()


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("count", [0, 1, 20_000])
def test_each_entry_is_added_once_and_counted(settings, count):
    assert AuditLog.record_many({"action": f"{n}"} for n in range(count)) == count
    assert [row[0] for row in execute(settings, ROWS)] == [f"{n}" for n in range(count)]


def test_an_error_of_the_iterable_adds_no_row_and_the_transaction_continues(pool, settings):
    def entries():
        for n in range(20_000):
            yield {"action": f"{n}"}
        raise ZeroDivisionError("the caller's own")

    with pool.connection_context(), pool.atomic():
        AuditLog.record("before")
        with pytest.raises(ZeroDivisionError, match="the caller's own"):
            AuditLog.record_many(entries())
        AuditLog.record("after")
    assert [row[0] for row in execute(settings, ROWS)] == ["before", "after"]


def test_the_rows_are_part_of_a_transaction_that_peewee_did_not_begin(pool, settings):
    with pool.connection_context():
        pool.execute_sql("BEGIN")
        AuditLog.record_many([{"action": "rolled back"}])
        pool.execute_sql("ROLLBACK")
        with pool.manual_commit():
            pool.begin()
            AuditLog.record_many([{"action": "rolled back"}])
            pool.rollback()
    assert execute(settings, ROWS) == []


@pytest.mark.parametrize("swallows", [False, True])
def test_entries_that_use_the_copying_connection_are_an_error_and_nothing_is_lost(
    pool, settings, swallows
):
    def entries():
        yield {"action": "copied"}
        try:
            yield {"action": AuditLog.select().first().action}
        except ConnectionBusyError:
            if not swallows:
                raise

    with pool.connection_context(), pool.atomic():
        AuditLog.record("before")
        with nullcontext() if swallows else pytest.raises(ConnectionBusyError, match="Fix: read"):
            AuditLog.record_many(entries())
        AuditLog.record("after")
    copied = [("copied",)] if swallows else []
    expected = [("before",), *copied, ("after",)]
    assert execute(settings, "SELECT action FROM audit_log ORDER BY id") == expected


def test_ctrl_c_is_a_keyboard_interrupt_wherever_it_arrives(pool, settings):
    def interrupt(frame, event, _):
        if event == "call" and frame.f_code.co_name == "read":
            sys.settrace(None)
            raise KeyboardInterrupt

    tracer = sys.gettrace()
    try:
        sys.settrace(interrupt)
        with pytest.raises(KeyboardInterrupt):
            AuditLog.record_many([{"action": "a"}])
    finally:
        sys.settrace(tracer)
    assert pool.is_closed()
    assert execute(settings, ROWS) == []


def test_a_connection_that_the_server_ends_is_an_operational_error(pool, settings):
    def entries():
        yield {"action": "a" * 100}
        execute(settings, TERMINATE)
        yield from ({"action": "a" * 100, "details": {"n": n}} for n in range(10_000))

    with pytest.raises(OperationalError):
        AuditLog.record_many(entries())
    assert pool.is_closed()


def test_an_error_of_the_server_is_peewees_error(pool, settings):
    execute(settings, "ALTER TABLE audit_log ADD CHECK (action <> 'no')")
    with pytest.raises(IntegrityError, match="violates check constraint"):
        AuditLog.record_many([{"action": "no"}])
    execute(settings, "DROP TABLE audit_log")
    with pytest.raises(ProgrammingError, match="does not exist"):
        AuditLog.record_many([{"action": "a"}])
    assert pool.is_closed()


def peak_memory(entries):
    """The bytes that Python allocates at most while the entries are added."""
    tracemalloc.start()
    try:
        AuditLog.record_many(entries)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("pool")
def test_memory_does_not_grow_with_the_number_of_entries():
    def peak(count):
        return peak_memory({"action": "a", "details": {"n": n}} for n in range(count))

    peak(1000)
    assert peak(20_000) < 1.5 * peak(2000)


@pytest.mark.usefixtures("pool")
def test_memory_does_not_grow_with_the_size_of_all_entries():
    ten_megabytes = ({"action": "a", "details": {"n": f"{n:02}" * 50_000}} for n in range(100))
    assert peak_memory(ten_megabytes) < 2_000_000


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.usefixtures("pool")
def test_nothing_is_printed_even_on_a_terminal():
    terminal = Terminal()
    with redirect_stdout(terminal), redirect_stderr(terminal):
        AuditLog.record_many({"action": "a"} for _ in range(1000))
    assert terminal.getvalue() == ""
