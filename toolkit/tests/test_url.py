"""DATABASE_URL: libpq's forms, refused forms, and its reconciliation with the parts DB_*."""

import traceback
from collections import defaultdict

import pytest

from dbfoundation.url import DatabaseURL, parse_url, reconcile

ODD = "p@ss:w/o#r%d$1 x"
ODD_ENCODED = "p%40ss%3Aw%2Fo%23r%25d%241%20x"
ADDRESS = {"host": "h", "name": "app", "user": "app", "password": "pw"}


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
    ],
)
def test_a_url_means_the_same_as_to_psql(text, changes, parameters):
    assert parse_url(text) == (ADDRESS | changes, parameters)


def test_a_url_keeps_special_characters():
    text = f"postgresql://{ODD_ENCODED}:{ODD_ENCODED}@h:5432/{ODD_ENCODED}"
    odd = {"name": ODD, "user": ODD, "password": ODD}
    assert parse_url(text)[0] == ADDRESS | odd | {"port": "5432"}
    assert DatabaseURL(**ADDRESS | odd).render(with_password=True) == text


def test_a_rendered_url_is_parsed_to_the_same_address():
    url = DatabaseURL(
        host="::1", name=ODD, user=ODD, password=ODD, port=6000, parameters={"options": "-c a=b"}
    )
    parts, parameters = parse_url(url.render(with_password=True))
    assert DatabaseURL(port=int(parts.pop("port")), parameters=parameters, **parts) == url


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
    ],
)
def test_an_invalid_url_is_refused_without_showing_any_of_it(text):
    with pytest.raises(ValueError, match=r"^not of the form postgresql://USER:PASSWORD@") as caught:
        parse_url(text)
    assert "hid" not in str(caught.value)
    shown = "".join(traceback.format_exception(caught.value, limit=0))
    assert "hid" not in shown  # a traceback would show libpq's own text, too


def test_an_unknown_parameter_is_named():
    with pytest.raises(ValueError, match=r'^invalid URI query parameter: "schema"$'):
        parse_url("postgresql://app:hidden@h/app?schema=hidden")


@pytest.mark.parametrize("name", ["service", "sslpassword", "hostaddr"])
def test_a_parameter_that_leads_elsewhere_or_is_a_secret_is_refused(name):
    with pytest.raises(ValueError, match=f"^has {name} as a parameter: remove it$"):
        parse_url(f"postgresql://app:hidden@h/app?{name}=hidden")


@pytest.mark.parametrize(
    ("host", "is_local"),
    [("localhost", True), ("127.0.0.9", True), ("::1", True), ("10.0.0.1", False), ("db", False)],
)
def test_loopback_addresses_and_localhost_are_local(host, is_local):
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
    problems = reconciled({"DATABASE_URL": "postgresql:///"}, {})[1]
    assert list(problems) == ["DB_HOST", "DB_NAME", "DB_USER"]


def test_an_invalid_part_is_a_problem_of_the_variable_that_has_it():
    invalid_url = {"DATABASE_URL": "postgresql://app:hid@den@h:port/app"}
    assert list(reconciled(invalid_url, FILE)[1]) == ["DATABASE_URL"]
    assert list(reconciled({"DB_PORT": "x", "DB_HOST": "a b"}, FILE)[1]) == ["DB_PORT", "DB_HOST"]
