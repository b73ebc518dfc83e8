"""One address out of DATABASE_URL and its parts, and its problems, which show no password."""

import os
import pwd
from collections import defaultdict

import pytest

from dbfoundation.url import DatabaseURL, reconcile

ODD = "p@ss:w/o#r%d$1 x"
ADDRESS = {"host": "h", "name": "app", "user": "app", "password": "pw"}
NO_HOST = "not a host name, an IP address or the absolute path of a socket's folder"
FILE = {"DB_HOST": "h", "DB_NAME": "app", "DB_USER": "app", "DB_PASSWORD": "pw"}


def reconciled(shell, file):
    """The address, and the problems as a dict."""
    problems = defaultdict(list)
    return reconcile(shell, file, problems), dict(problems)


def test_an_exported_part_replaces_that_part_of_the_file():
    assert reconciled({"DB_PORT": "6000"}, FILE) == (DatabaseURL(**ADDRESS, port=6000), {})


def test_an_exported_url_is_the_whole_address():
    url, problems = reconciled({"DATABASE_URL": "postgres://me@elsewhere/shop"}, FILE)
    assert (url, problems) == (DatabaseURL(host="elsewhere", name="shop", user="me"), {})


def test_an_exported_part_completes_an_exported_url():
    shell = {"DATABASE_URL": "postgres://me@elsewhere/shop", "DB_PASSWORD": "pw"}
    assert reconciled(shell, FILE)[0].password == "pw"


def test_a_url_that_equals_the_parts_is_no_contradiction():
    file = FILE | {"DATABASE_URL": "postgresql://app:pw@h:5432/app"}
    assert reconciled({}, file) == (DatabaseURL(**ADDRESS), {})


def test_a_url_that_contradicts_the_parts_of_its_source_is_a_problem():
    file = FILE | {"DATABASE_URL": "postgresql://app:hidden@elsewhere/app"}
    reason = "contradicts DB_HOST, DB_PASSWORD: change one, or remove one"
    assert reconciled({}, file) == (None, {"DATABASE_URL": [reason]})


def test_a_part_that_neither_source_has_is_a_problem():
    problems = reconciled({"DB_PASSWORD": "pw"}, {})[1]
    assert list(problems) == ["DB_HOST", "DB_NAME", "DB_USER"]


def test_a_url_without_host_and_user_means_the_local_socket_and_the_account():
    account = pwd.getpwuid(os.geteuid()).pw_name
    default = DatabaseURL(host="/var/run/postgresql", name="app", user=account)
    assert reconciled({"DATABASE_URL": "postgresql:///app"}, FILE) == (default, {})
    assert reconciled({}, {"DATABASE_URL": "postgresql:///app"}) == (default, {})
    completed = {"DATABASE_URL": "postgresql:///app", "DB_USER": "me", "DB_HOST": "h"}
    assert reconciled(completed, {}) == (DatabaseURL(host="h", name="app", user="me"), {})


def test_a_url_without_a_database_is_a_problem():
    """Tasks create and drop it, so its name is no default."""
    assert list(reconciled({"DATABASE_URL": "postgresql://"}, {})[1]) == ["DB_NAME"]


def test_a_url_without_a_user_needs_an_account(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 987654)
    [reason] = reconciled({"DATABASE_URL": "postgresql://h/app"}, {})[1]["DB_USER"]
    assert reason.endswith("; user ID 987654 has no account whose name would be the default")


@pytest.mark.parametrize(
    "parts",
    [
        {"DB_HOST": "/run/postgresql"},
        {"DB_HOST": "/run/postgresql", "DB_PORT": "6000"},
        {"DB_HOST": "a,b"},
        {"DB_HOST": "a,b", "DB_PORT": "1,2"},
        {"DB_HOST": "::1"},
    ],
)
def test_a_url_that_is_composed_of_parts_needs_no_form_of_its_own(parts):
    file = FILE | {"DB_PORT": "5432", "DB_PASSWORD": ODD} | parts
    composed = "postgresql://{DB_USER}:{DB_PASSWORD}@{DB_HOST}:{DB_PORT}/{DB_NAME}"
    url, problems = reconciled({}, file | {"DATABASE_URL": composed.format_map(file)})
    assert not problems
    assert (url.host, str(url.port), url.password) == (file["DB_HOST"], file["DB_PORT"], ODD)


def test_a_composed_url_may_have_parameters():
    text = f"postgresql://app:{ODD}@h:5432/app?sslmode=verify-full&options=-c%20a%3Db"
    file = FILE | {"DB_PORT": "5432", "DB_PASSWORD": ODD, "DATABASE_URL": text}
    url, problems = reconciled({}, file)
    assert not problems
    assert url.parameters == {"sslmode": "verify-full", "options": "-c a=b"}
    assert url.password == ODD


@pytest.mark.parametrize("query", ["", "?sslmode=require"])
def test_a_composed_url_has_no_default(query):
    file = {"DB_NAME": "app", "DATABASE_URL": f"postgresql://:@:/app{query}"}
    assert list(reconciled({}, file)[1]) == ["DB_HOST", "DB_USER"]


def test_equal_ports_are_no_contradiction():
    file = FILE | {"DB_HOST": "a,b", "DB_PORT": "5432", "DATABASE_URL": "postgresql://a,b:5432/app"}
    assert reconciled({}, file)[0].port == 5432


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"DB_PORT": "1,2"}, {"DB_PORT": ["2 ports for 1 host"]}),
        ({"DB_HOST": "a,b", "DB_PORT": "1,2,3"}, {"DB_PORT": ["3 ports for 2 hosts"]}),
        ({"DB_HOST": "a,b", "DB_PORT": "1,x"}, {"DB_PORT": ["not a port number, 1 to 65535"]}),
        ({"DB_HOST": "a,"}, {"DB_HOST": [NO_HOST]}),
        ({"DB_HOST": "run/postgresql"}, {"DB_HOST": [NO_HOST]}),
    ],
)
def test_an_invalid_list_is_a_problem(parts, problem):
    assert reconciled({}, FILE | parts) == (None, problem)


def test_a_host_may_have_an_underscore():
    assert reconciled({"DB_HOST": "app_postgres_1"}, FILE)[0].host == "app_postgres_1"


def test_an_invalid_part_is_a_problem_of_the_variable_that_has_it():
    invalid_url = {"DATABASE_URL": "postgresql://app:hid@den@h:port/app"}
    assert list(reconciled(invalid_url, FILE)[1]) == ["DATABASE_URL"]
    assert list(reconciled({"DB_PORT": "x", "DB_HOST": "a b"}, FILE)[1]) == ["DB_PORT", "DB_HOST"]


TEMPLATES = [
    "postgresql://app:{}@h/app",
    "postgresql://app:{}@h:6000/app?sslmode=require",
    "postgresql://app:{}@h/app?schema=x",
    "postgresql://app:{}@a:1,b:2/app?target_session_attrs=any",
    "postgresql://app:{}@[::1]:6000/app",
    "postgresql://app:{}@[::1/app",
    "postgresql://app:{}@%2Frun%2Fpg/app",
    "postgresql://app:{}@/app?host=/run/pg",
    "postgresql://:{}@h/app",
    "postgresql://app:{}@",
    "postgresql://app:{}@h:port/app",
    "postgresql://h/app?user=app&password={}",
    "postgresql://h/app?password={}&schema=x",
    "postgresql://h/app?password={}&options=%zz",
    "postgresql://app:{}@h/app?password={}",
    "host=h dbname=app user=app password={}",
    "app:{}@h/app",
]
SPECIAL = ["", *"/?#@:[]%&=, '\\\0", "://", "%zz", "%00", "@[", "/@", "?x=", "&x=", "@h/", "/?"]


@pytest.mark.parametrize("special", SPECIAL)
@pytest.mark.parametrize("template", TEMPLATES)
def test_no_part_of_a_password_is_shown_whatever_is_wrong(template, special):
    """Special characters that are not percent-encoded make a URL another one, or none."""
    shown = ""
    for first, second in (("", "hid"), ("hid", "hid"), ("hid", "")):
        text = template.replace("{}", f"{first}{special}{second}")
        for shell, file in (({"DATABASE_URL": text}, {}), ({}, FILE | {"DATABASE_URL": text})):
            url, problems = reconciled(shell, file)
            shown += f"{problems} {url} {url!r}"
    assert "hid" not in shown
