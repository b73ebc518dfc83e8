"""Flask and Express share the sessions of one table: the files of docs/sessions.md, for real."""

import fcntl
import hashlib
import hmac
import json
import shutil
import sys
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from urllib.parse import quote, unquote

import psycopg2
import pytest

from benchmarks import peers
from dbfoundation.settings import Settings
from tests.session_rows import let_expire, seconds_left
from tests.support import execute, local_server, only_in_ci, until
from tests.web import (
    SECRET,
    Client,
    migrated_database,
    needs_web,
    running_server,
    write_pages,
)

LIFETIME = 1800
NAME = "connect.sid"
GUNICORN = ("gunicorn", "--bind=127.0.0.1:{port}", "--worker-class=gthread", "--threads=4")

absent = [name for name in ("node", "npm") if not shutil.which(name)]
pytestmark = [
    needs_web,
    only_in_ci,
    pytest.mark.skipif(bool(absent), reason=f"there is no {' and no '.join(absent)}"),
]


@dataclass(frozen=True)
class Browser:
    """A client of both servers, with one jar of cookies."""

    flask: Client
    express: Client

    @property
    def sid(self) -> str:
        return unquote(self.flask.cookies[NAME]).removeprefix("s:").rpartition(".")[0]


@dataclass(frozen=True)
class Service:
    """Both servers, and the settings of their database."""

    settings: Settings
    flask: int
    express: int

    def browser(self) -> Browser:
        cookies: dict[str, str] = {}
        return Browser(Client(self.flask, cookies), Client(self.express, cookies))

    def write(self, sid: str, data: dict) -> None:
        """Write a session past both libraries, for a minute."""
        minute = "now() AT TIME ZONE 'UTC' + interval '1 minute'"
        insert = f"INSERT INTO sessions VALUES (%s, %s, {minute})"
        execute(self.settings, insert, sid, json.dumps(data))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Both servers; the role that they log in as has a time zone of its own."""
    folder = tmp_path_factory.mktemp("shared")
    write_pages(folder, "flask", "sessions")
    peers.FOLDER.mkdir(exist_ok=True)
    with (peers.FOLDER / "lock").open("w") as lock:  # of pytest-xdist's other workers
        fcntl.flock(lock, fcntl.LOCK_EX)
        peers.install_for_node()
    modules = str(peers.NODE / "node_modules")
    with local_server() as server:
        settings = migrated_database(server.settings)
        zone = f"ALTER ROLE \"{settings.url.user}\" SET timezone = 'America/New_York'"
        execute(settings, zone)
        flask_words = [sys.executable, "-m", *GUNICORN, "shared_app:app"]
        node_words = ["node", "node_app.js"]
        with (
            running_server(flask_words, settings, folder) as (flask, _),
            running_server(node_words, settings, folder, NODE_PATH=modules) as (express, _),
        ):
            yield Service(settings, flask, express)


@pytest.fixture
def browser(service):
    execute(service.settings, "TRUNCATE sessions")
    return service.browser()


def sides(browser, first):
    """The client of the named side, and that of the other one."""
    both = (browser.flask, browser.express)
    return both if first == "flask" else both[::-1]


on_either_side = pytest.mark.parametrize("first", ["flask", "express"])


@on_either_side
def test_a_login_and_a_change_on_one_side_are_seen_on_the_other(browser, service, first):
    one, other = sides(browser, first)
    assert one.me() == other.me() == {"user": None, "orders": 0}
    assert one.login("ann").status == 200
    assert other.me() == {"user": "ann", "orders": 0}
    assert other.order(1).status == 201
    assert one.me() == {"user": "ann", "orders": 1}
    assert one.order(2).status == 201
    assert other.me() == {"user": "ann", "orders": 2}
    assert execute(service.settings, "SELECT count(*)::int FROM sessions") == [(1,)]


@on_either_side
def test_a_login_gets_a_new_id_and_the_old_cookie_is_worth_nothing(browser, service, first):
    one, other = sides(browser, first)
    other.login("ann")
    old = dict(other.cookies)
    assert one.login("ann").status == 200
    assert one.cookies != old
    assert one.me()["user"] == other.me()["user"] == "ann"
    stranger = service.browser()
    stranger.flask.cookies.update(old)
    assert stranger.flask.me()["user"] is None
    assert stranger.express.me()["user"] is None


@on_either_side
def test_a_logout_on_one_side_is_one_on_the_other(browser, service, first):
    one, other = sides(browser, first)
    other.login("ann")
    old = dict(other.cookies)
    assert one.request("POST", "/logout").status == 200
    assert one.cookies == {}
    one.cookies.update(old)
    assert other.me()["user"] is None
    assert one.me()["user"] is None
    assert execute(service.settings, "SELECT count(*)::int FROM sessions") == [(0,)]


@on_either_side
def test_a_request_of_either_side_restarts_the_lifetime_in_utc(browser, service, first):
    one, other = sides(browser, first)
    other.login("ann")
    assert seconds_left(service.settings, browser.sid) == pytest.approx(LIFETIME, abs=30)
    let_expire(service.settings, browser.sid, seconds=-60)
    assert one.me()["user"] == "ann"
    assert seconds_left(service.settings, browser.sid) == pytest.approx(LIFETIME, abs=30)
    assert one.order(1).status == 201
    assert seconds_left(service.settings, browser.sid) == pytest.approx(LIFETIME, abs=30)
    let_expire(service.settings, browser.sid)
    assert one.me()["user"] is None
    assert other.me()["user"] is None


def sign(sid, secret=SECRET):
    """A cookie as cookie-signature, of express-session, makes it."""
    digest = hmac.digest(secret.encode(), sid.encode(), hashlib.sha256)
    return quote(f"s:{sid}.{b64encode(digest).decode().rstrip('=')}", safe="")


@on_either_side
def test_both_sides_sign_a_cookie_as_express_session_does(browser, first):
    one, _ = sides(browser, first)
    for _ in range(8):  # so many that some signature has a + or a /
        assert one.login("ann").status == 200
        assert one.cookies == {NAME: sign(browser.sid)}


def test_both_sides_read_every_character_of_an_id_and_of_a_signature(browser, service):
    ids = (f"-_{number}" for number in count())
    sid = next(sid for sid in ids if {"+", "/"} <= {*unquote(sign(sid))})
    service.write(sid, {"cookie": {}, "user": "ann"})
    browser.flask.cookies[NAME] = sign(sid)
    assert browser.flask.me()["user"] == browser.express.me()["user"] == "ann"


@pytest.mark.parametrize("secret", ["another secret", SECRET + "!"])
def test_a_forged_signature_is_refused_on_both_sides(browser, secret):
    browser.express.login("ann")
    sid = browser.sid
    browser.flask.cookies[NAME] = sign(sid, secret)
    assert browser.flask.me()["user"] is None
    assert browser.express.me()["user"] is None
    browser.flask.cookies[NAME] = sign(sid)
    assert browser.flask.me()["user"] == browser.express.me()["user"] == "ann"


@pytest.mark.parametrize("cookie", ["", "s", "s%3A", "s%3A.", "s%3Aone.", "one", "%C3%BC.%00", "."])
def test_a_malformed_cookie_is_refused_on_both_sides(browser, service, cookie):
    service.write("one", {"cookie": {}, "user": "ann"})
    browser.flask.cookies[NAME] = cookie
    assert browser.flask.me()["user"] is None
    assert browser.express.me()["user"] is None


def test_a_session_without_cookie_is_an_error_of_express_and_flask_adds_it(browser, service):
    service.write("one", {"user": "ann"})
    browser.flask.cookies[NAME] = sign("one")
    assert browser.express.request("GET", "/me").status == 500
    assert browser.flask.order(1).status == 201
    assert browser.express.me() == {"user": "ann", "orders": 1}


def test_what_express_keeps_in_cookie_survives_a_change_by_flask(browser, service):
    browser.express.login("ann")
    query = "SELECT sess->'cookie' FROM sessions"
    before = execute(service.settings, query)
    assert before[0][0]["sameSite"] == "lax"
    assert browser.flask.order(1).status == 201
    assert execute(service.settings, query) == before


@on_either_side
def test_a_late_change_by_express_restores_a_session_and_one_by_flask_does_not(
    browser, service, first
):
    one, _ = sides(browser, first)
    one.login("ann")
    waiting = "SELECT count(*)::int FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with (
        closing(psycopg2.connect(**service.settings.connect_kwargs())) as logout,
        ThreadPoolExecutor(1) as threads,
    ):
        logout.cursor().execute("LOCK TABLE sessions IN EXCLUSIVE MODE")  # others may read
        order = threads.submit(one.order, 1)
        until(lambda: execute(service.settings, waiting) == [(1,)])
        logout.cursor().execute("DELETE FROM sessions")
        logout.commit()
        assert order.result().status == 201
    assert one.me()["user"] == ("ann" if first == "express" else None)
