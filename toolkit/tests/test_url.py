"""DATABASE_URL: libpq's forms, refused forms, and how an address is named."""

import re
import shutil
import subprocess
import traceback

import pytest

from dbfoundation.url import DatabaseURL, parse_url, whole_url

ODD = "p@ss:w/o#r%d$1 x"
ODD_ENCODED = "p%40ss%3Aw%2Fo%23r%25d%241%20x"
ADDRESS = {"host": "h", "name": "app", "user": "app", "password": "pw"}
IPV6 = {"host": "::1,fe80::1%eth0", "port": "5432,2"}
TLS = {"sslrootcert": "/a", "sslmode": "require"}
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
