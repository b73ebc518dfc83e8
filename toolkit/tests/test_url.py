"""DATABASE_URL: libpq's forms, refused forms, and its reconciliation with the parts DB_*."""

import os
import pwd
import re
import shutil
import subprocess
import traceback
from collections import defaultdict

import pytest

from dbfoundation.url import DatabaseURL, parse_url, reconcile, whole_url

ODD = "p@ss:w/o#r%d$1 x"
ODD_ENCODED = "p%40ss%3Aw%2Fo%23r%25d%241%20x"
ADDRESS = {"host": "h", "name": "app", "user": "app", "password": "pw"}
IPV6 = {"host": "::1,fe80::1%eth0", "port": "5432,2"}
TLS = {"sslrootcert": "/a", "sslmode": "require"}
NO_HOST = "not a host name, an IP address or the absolute path of a socket's folder"
# Addresses, and how a message names each.
PLACES = [
    ("h", 5432, "h:5432"),
    ("::1", 6000, "[::1]:6000"),
    ("/run/pg", 6000, "/run/pg/.s.PGSQL.6000"),
    ("@abstract", 5432, "@abstract/.s.PGSQL.5432"),
    ("a,b", 5432, "a:5432,b:5432"),
    ("a,::1,/run/x y", "1,2,3", "a:1,[::1]:2,/run/x y/.s.PGSQL.3"),
    ("fe80::1%eth0", 5432, "[fe80::1%eth0]:5432"),
]


@pytest.mark.parametrize(
    ("text", "changes", "parameters"),
    [
        ("postgresql://app:pw@h/app", {}, {}),
        ("postgres://app:pw@h:6000/app", {"port": "6000"}, {}),
        ("postgresql://app:p#w@h/app", {"password": "p#w"}, {}),
        ("postgresql://app:p:w@h/app", {"password": "p:w"}, {}),
        ("postgresql://app:p?w@h/app", {"password": "p?w"}, {}),
        ("postgresql://app:pw@h/app?host=other", {"host": "other"}, {}),
        ("postgresql://h/app?user=app&password=pw", {}, {}),
        ("postgresql://app:pw@[::1]:6000/app", {"host": "::1", "port": "6000"}, {}),
        ("postgresql://app:pw@h/app?sslmode=require", {}, {"sslmode": "require"}),
        ("postgresql://app:pw@h/app?options=-c%20a.b%3D1", {}, {"options": "-c a.b=1"}),
        ("postgresql://app:pw@%2Frun%2Fpg/app", {"host": "/run/pg"}, {}),
        ("postgresql://app:pw@/app?host=/cloudsql/x:y:z", {"host": "/cloudsql/x:y:z"}, {}),
        ("postgresql://app:pw@/app?host=@abstract", {"host": "@abstract"}, {}),
        ("postgresql://app:pw@a,b/app", {"host": "a,b", "port": "5432"}, {}),
        ("postgresql://app:pw@a:1,b:2/app", {"host": "a,b", "port": "1,2"}, {}),
        ("postgresql://app:pw@a:1,b/app", {"host": "a,b", "port": "1,5432"}, {}),
        ("postgresql://app:pw@a:6000,b:6000/app", {"host": "a,b", "port": "6000"}, {}),
        ("postgresql://app:pw@[::1],[fe80::1%25eth0]:2/app", IPV6, {}),
        ("postgresql://app:pw@h/app?sslrootcert=/a&ssl=true", {}, TLS),
        ("postgresql://app:pw@h/app?passfile=/a%20b", {}, {"passfile": "/a b"}),
    ],
)
def test_a_url_means_the_same_as_to_psql(text, changes, parameters):
    assert parse_url(text) == (ADDRESS | changes, parameters)


def test_a_url_keeps_special_characters():
    text = f"postgresql://{ODD_ENCODED}:{ODD_ENCODED}@h:5432/{ODD_ENCODED}"
    odd = {"name": ODD, "user": ODD, "password": ODD}
    assert parse_url(text)[0] == ADDRESS | odd | {"port": "5432"}
    assert DatabaseURL(**ADDRESS | odd).render(with_password=True) == text


@pytest.mark.parametrize(("host", "port", "place"), PLACES)
def test_a_rendered_url_is_parsed_to_the_same_address(host, port, place):
    odd = {"name": ODD, "user": ODD, "password": ODD, "parameters": {"options": "-c a=b"}}
    url = DatabaseURL(host=host, port=port, **odd)
    assert whole_url(url.render(with_password=True)) == url
    assert str(url) == f"{ODD} on {place}"


def test_psql_takes_every_rendered_url(monkeypatch):
    """It is another program, with its own libpq: the error names the host, not the URL."""
    if not (psql := shutil.which("psql")):
        pytest.skip("psql is not on PATH")
    monkeypatch.setenv("LC_ALL", "C")
    for host, port, _ in PLACES[:-1]:  # without the one whose interface does not exist
        url = DatabaseURL(host=host, port=port, name="app", user="app")
        text = url.render(with_password=False).replace(":5432", ":1")
        done = subprocess.run([psql, "-c", "", text], check=False, capture_output=True, text=True)
        assert re.search("refused|No such file|translate host|Invalid argument", done.stderr), done


@pytest.mark.parametrize(
    "text",
    [
        "mysql://app:hidden@h/app",
        "hidden",
        "postgresql://app:hid/den@h/app",
        "postgresql://app:hid/den@h/hidden/app",
        "postgresql://app:hid%zzden@h/app",
        "postgresql://app:hid%00den@h/app",
        "postgresql://app:hidden@[h/app",
        "postgresql://app:a/b?hidden@h/app",
        "postgresql://app:a/b?hidden=x@h/app",
        "postgresql://app:a?hidden=x/app",
        "postgresql://app:hidden@h/app?sslmode",
        "postgresql://app:hidden@h/app?schema=hidden@h",
        "postgresql://app:hidden@h/app?options=%zzhidden",
        "postgresql://app:hidden@h/hidden/app",
        "postgresql://app:hid/den@%2Frun%2Fpg/app",
        "postgresql://app:hid/den@a:1,b:2/app",
        "postgresql://app:hidden@a,[::1/app",
        "postgresql://app:hidden@[::1]x,b/app",
        "postgresql://app:hidden@/run/postgresql/app",
        "postgresql:/app:hidden@h/app?x=y",
        "host=h dbname=app user=app password=hidden",
        "host=h password='hidden",
        "password=hidden =",
        "postgresql://app?password=hid%zzden",
        "postgresql:///app?password=hid&den=x@y",
        "POSTGRESQL://app:hidden@h/app",
        " postgresql://app:hidden@h/app",
    ],
)
def test_an_invalid_url_is_refused_without_showing_any_of_it(text):
    with pytest.raises(ValueError, match=r"^not of the form postgresql://USER:PASSWORD@") as caught:
        parse_url(text)
    assert "hid" not in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value, limit=0))
    assert "hid" not in shown  # a traceback would show libpq's own text, too


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


def test_an_unknown_parameter_is_named():
    for place in ("app:hidden@h", "app:hidden@a:1,b", "", "h", "app:hidden@%2Frun"):
        with pytest.raises(ValueError, match=r'^invalid URI query parameter: "schema"$'):
            parse_url(f"postgresql://{place}/app?schema=hidden")


@pytest.mark.parametrize("name", ["service", "sslpassword", "hostaddr"])
def test_a_parameter_that_leads_elsewhere_or_is_a_secret_is_refused(name):
    with pytest.raises(ValueError, match=f"^has {name} as a parameter: remove it$"):
        parse_url(f"postgresql://app:hidden@h/app?{name}=hidden")


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        ("localhost", True),
        ("127.0.0.9", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("db", False),
        ("/cloudsql/x:y:z", False),
        ("127.0.0.1,localhost", False),
    ],
)
def test_one_loopback_address_or_localhost_is_local(host, is_local):
    """A socket may be that of a proxy, such as Cloud SQL's."""
    assert DatabaseURL(**ADDRESS | {"host": host}).is_local is is_local


def test_no_text_of_a_url_shows_its_password():
    url = DatabaseURL(**ADDRESS | {"password": "hidden"})
    assert "hidden" not in f"{url} {url!r} {url.render(with_password=False)}"


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
