"""The applications of docs/flask.md, docs/fastapi.md and docs/starlette.md under their servers."""

import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPException
from itertools import count
from threading import Barrier, Event
from time import monotonic

import psycopg2
import pytest

from tests.documentation import File, read_page
from tests.support import ignore, only_in_ci, until
from tests.web import PASSWORD, POOL_SIZE, ROOT, SERVERS, needs_web, running_application, sign

CLIENTS = 50
ORDERS = 4
# A restart ends the statement of a request, and may meet the write of its session as well.
FAILURES = 3

pytestmark = needs_web
ONE_SERVER_A_PAGE = ["flask, threads", "fastapi", "starlette"]
one_server_a_page = pytest.mark.parametrize("application", ONE_SERVER_A_PAGE, indirect=True)


@pytest.fixture(params=SERVERS)
def application(request, private_server, tmp_path):
    with running_application(request.param, private_server.settings, tmp_path) as running:
        yield running


def for_each_client(function):
    with ThreadPoolExecutor(CLIENTS) as threads:
        return list(threads.map(function, range(CLIENTS)))


@only_in_ci
def test_fifty_clients_have_no_failure_and_leave_nothing_in_use(application):
    def visit(visitor):
        number = next(numbers)
        client, user = application.client(), f"user {number}"
        assert client.login(user).status == 200
        for order in range(ORDERS):
            assert client.order(100 * number + order).status == 201
            assert client.order(100 * number + 50 + order, quantity=101).status == 500
            assert client.me() == {"user": user, "orders": order + 1}
        events = client.request("GET", "/events").body.decode().splitlines()
        assert {json.loads(line)["user"] for line in events} == {user}
        assert len(events) == ORDERS + 1
        if visitor % 2:
            assert client.request("POST", "/logout").status == 200
            assert client.cookies == {}
            assert client.me() == {"user": None, "orders": 0}

    numbers = count()
    for_each_client(visit)
    application.assert_nothing_is_in_use()
    before = application.usage()
    for_each_client(visit)  # on whatever the first round left in use
    application.assert_nothing_is_in_use()
    application.assert_no_process_has_grown(before)
    counts = "SELECT action, count(*)::int FROM audit_log GROUP BY action"
    expected = {"login": 2 * CLIENTS, "order.create": 2 * CLIENTS * ORDERS, "logout": CLIENTS}
    assert dict(application.rows(counts)) == expected
    assert application.rows("SELECT count(*)::int FROM sessions") == [(CLIENTS,)]


@only_in_ci
def test_a_restart_of_the_database_under_load_costs_each_client_few_requests(
    application, private_server
):
    is_over, are_at_work = Event(), Barrier(CLIENTS + 1)

    def work(number):
        client, orders, failures = application.client(), [], 0
        rest = count(1_000_000 * number)
        assert client.login(f"user {number}").status == 200
        assert client.order(next(rest)).status == 201
        are_at_work.wait(30)
        while not is_over.is_set():
            order = next(rest)
            try:
                status = client.order(order).status
            except (OSError, HTTPException):
                status = None
            if status == 201:
                orders.append(order)
            else:
                assert status in (500, 503, None), status
                failures += 1
                until(client.is_healthy)
        assert client.order(next(rest)).status == 201
        assert client.me()["user"] == f"user {number}"
        return orders, failures

    with ThreadPoolExecutor(CLIENTS) as threads:
        try:
            results = [threads.submit(work, number) for number in range(CLIENTS)]
            are_at_work.wait(30)
            private_server.stop(ignore)
            private_server.start(ignore)
            until(application.client().is_healthy)
        finally:
            is_over.set()
        done = [result.result() for result in results]
    assert max(failures for _, failures in done) in range(1, FAILURES + 1)
    query = "SELECT (details->>'number')::int FROM audit_log WHERE action = 'order.create'"
    written = [number for (number,) in application.rows(query)]
    assert len(written) == len(set(written))
    assert {number for orders, _ in done for number in orders} <= set(written)
    application.assert_nothing_is_in_use()


@only_in_ci
def test_clients_that_disconnect_in_a_stream_leave_nothing_in_use(application):
    client = application.client()
    client.login("reader")
    application.rows(
        "INSERT INTO audit_log (action, user_id)"
        " SELECT 'x', 'reader' FROM generate_series(1, 50000)"
    )
    [(name, value)] = client.cookies.items()

    def disconnect(_):
        with socket.create_connection(("127.0.0.1", application.port), timeout=30) as stream:
            request = f"GET /events HTTP/1.1\r\nHost: localhost\r\nCookie: {name}={value}\r\n\r\n"
            stream.sendall(request.encode())
            assert stream.recv(100).startswith(b"HTTP/1.1 200")

    for_each_client(disconnect)
    application.assert_nothing_is_in_use()
    assert set(for_each_client(lambda _: client.me()["user"])) == {"reader"}


@only_in_ci
@one_server_a_page
def test_a_full_pool_is_503_and_needs_no_repair(application):
    client = application.client()
    client.login("one")
    with closing(psycopg2.connect(**application.settings.connect_kwargs())) as blocker:
        blocker.cursor().execute("LOCK TABLE audit_log")
        with ThreadPoolExecutor(POOL_SIZE) as threads:
            blocked = [threads.submit(client.order, number) for number in range(POOL_SIZE)]
            try:
                waiting = (
                    "SELECT count(*)::int FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                )
                until(lambda: application.rows(waiting) == [(POOL_SIZE,)])
                assert client.request("GET", "/me").status == 503
                assert application.client().is_healthy()  # without a cookie, as probes are
            finally:
                blocker.rollback()
            assert [done.result().status for done in blocked] == [201] * POOL_SIZE
    assert client.order(9).status == 201
    application.assert_nothing_is_in_use()


@only_in_ci
def test_the_health_check_answers_503_while_the_database_is_away(application, private_server):
    private_server.stop(ignore)
    assert application.client().request("GET", "/health").status == 503
    private_server.start(ignore)
    until(application.client().is_healthy)


@only_in_ci
@one_server_a_page
def test_the_health_check_has_its_own_time_limit(application, private_server):
    postmaster = int((private_server.data / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGSTOP)  # the kernel accepts a connection that nobody answers
    try:
        begin = monotonic()
        assert application.client().request("GET", "/health").status == 503
        assert monotonic() - begin < 10
    finally:
        os.kill(postmaster, signal.SIGCONT)
    until(application.client().is_healthy)


@one_server_a_page
def test_a_login_changes_the_id_and_an_unknown_id_is_not_adopted(application):
    client = application.client()
    first = client.login("one")
    cookie = first.headers["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie
    assert "secure" not in cookie  # APP_ENV is test
    assert "Cookie" in first.headers["Vary"]
    client.order(1)
    before = dict(client.cookies)
    assert client.login("one").status == 200
    assert client.cookies != before
    assert client.me() == {"user": "one", "orders": 1}
    stranger = application.client()
    stranger.cookies = before
    assert stranger.me() == {"user": None, "orders": 0}
    stranger.cookies = {"session": "made-up.id"}
    assert stranger.me()["user"] is None
    assert application.rows("SELECT count(*)::int FROM sessions") == [(1,)]


@only_in_ci
@pytest.mark.parametrize("server", ONE_SERVER_A_PAGE)
def test_in_production_the_cookie_is_for_tls_alone(server, private_server, tmp_path):
    production = {"APP_ENV": "production"}
    with running_application(server, private_server.settings, tmp_path, **production) as running:
        client = running.client()
        assert "; secure" in client.login("one").headers["Set-Cookie"].lower()
        assert client.me()["user"] == "one"
        assert "; secure" in client.request("POST", "/logout").headers["Set-Cookie"].lower()


@only_in_ci
def test_reading_writes_no_session_and_no_cookie(application):
    stranger = application.client()
    answer = stranger.request("GET", "/me")
    assert answer.headers["Set-Cookie"] is None
    wrong = {"user": "one", "password": PASSWORD + "!"}
    assert stranger.request("POST", "/login", wrong).status == 401
    assert application.rows("SELECT count(*)::int FROM sessions") == [(0,)]
    client = application.client()
    client.login("one")
    before = application.rows("SELECT xmin::text, expire FROM sessions")
    assert client.request("GET", "/me").headers["Set-Cookie"] is None
    assert application.rows("SELECT xmin::text, expire FROM sessions") == before


@only_in_ci
@one_server_a_page
def test_a_session_that_is_only_read_is_touched_now_and_then(application):
    client = application.client()
    client.login("one")
    sid, _, _ = client.cookies["session"].rsplit(".", 2)
    application.rows("UPDATE sessions SET expire = expire - interval '200 seconds'")
    client.cookies = {"session": sign(sid, seconds_ago=200)}
    query = "SELECT expire - now() AT TIME ZONE 'UTC' > interval '1700 seconds' FROM sessions"
    assert application.rows(query) == [(False,)]
    assert client.request("GET", "/me").headers["Set-Cookie"]
    assert application.rows(query) == [(True,)]
    client.cookies = {"session": sign(sid, seconds_ago=2000)}
    assert client.me()["user"] is None  # the signature is older than the lifetime


@only_in_ci
@one_server_a_page
def test_a_destroyed_session_is_not_restored_by_a_cookie(application):
    client = application.client()
    client.login("one")
    before = dict(client.cookies)
    client.request("POST", "/logout")
    client.cookies = before
    assert client.order(1).status == 401
    assert application.rows("SELECT count(*)::int FROM sessions") == [(0,)]


def test_both_pages_have_the_same_middleware():
    middleware = {
        part.text
        for page in ("fastapi", "starlette")
        for part in read_page((ROOT / "docs" / f"{page}.md").read_text())
        if isinstance(part, File) and part.path == "starlette_sessions.py"
    }
    assert len(middleware) == 1
