"""The address and the other settings: who wins, what agrees, and what is refused."""

import os

import pytest

from toolkit.errors import SettingsError
from toolkit.settings import ROOT, Settings

DEFAULTS = """
DB_HOST=127.0.0.1
DB_PORT=5432
DB_NAME=app
DB_USER=app
DB_PASSWORD=app
DATABASE_URL=postgresql://${DB_USER}:${DB_PASSWORD}@${DB_HOST}:${DB_PORT}/${DB_NAME}
"""
ODD = "p@ss:w/o#r%d$1 x"
ODD_ENCODED = "p%40ss%3Aw%2Fo%23r%25d%241%20x"


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load settings from the text of a .env and what is exported."""
    for name in list(os.environ):
        if name.startswith(("DB_", "DATABASE_URL", "APP_ENV")):
            monkeypatch.delenv(name)

    def load(file=DEFAULTS, **exported):
        for name, value in exported.items():
            monkeypatch.setenv(name, value)
        (tmp_path / ".env").write_text(file)
        return Settings.load(tmp_path / ".env")

    return load


def url_of(settings):
    return settings.url.render(with_password=True)


def test_the_committed_file_is_a_development_database(load):
    settings = load((ROOT / ".env").read_text())
    assert url_of(settings) == "postgresql://app:app@127.0.0.1:5432/app"
    assert settings.app_env == "development"
    assert settings.pool_max_connections == 10


def test_an_exported_part_replaces_that_part(load):
    assert url_of(load(DB_PORT="5433")) == "postgresql://app:app@127.0.0.1:5433/app"


def test_an_exported_url_is_the_whole_address(load):
    settings = load(DATABASE_URL="postgres://me@db.example.com/shop?sslmode=require")
    assert url_of(settings) == "postgresql://me@db.example.com:5432/shop?sslmode=require"
    assert settings.libpq()["sslmode"] == "require"
    assert settings.child_environment()["DB_HOST"] == "db.example.com"
    assert settings.child_environment()["DB_PASSWORD"] == ""


def test_the_url_of_the_file_may_stand_alone(load):
    settings = load("DATABASE_URL=postgresql://me:secret@127.0.0.1:6000/shop")
    assert settings.child_environment()["DB_PORT"] == "6000"
    assert settings.child_environment()["DB_NAME"] == "shop"


@pytest.mark.parametrize(
    "told",
    [
        {"DATABASE_URL": f"postgresql://{ODD_ENCODED}:{ODD_ENCODED}@127.0.0.1/{ODD_ENCODED}"},
        {"DB_USER": ODD, "DB_PASSWORD": ODD, "DB_NAME": ODD},
    ],
    ids=["url", "parts"],
)
def test_special_characters_arrive_as_they_are(load, told):
    settings = load(**told)
    url = settings.url
    assert (url.user, url.password, url.name) == (ODD, ODD, ODD)
    assert ODD_ENCODED in url_of(settings)


def test_special_characters_in_the_files_parts_need_no_encoding(load):
    file = DEFAULTS.replace("DB_PASSWORD=app", f"DB_PASSWORD='{ODD}'")
    assert load(file).url.password == ODD
    assert load(file, DB_PORT="5433").url.port == 5433


def test_an_empty_export_counts_as_none(load):
    assert load(DB_PORT="", DATABASE_URL="").url.port == 5432


def test_without_app_env_it_is_production(load):
    settings = load()
    assert settings.app_env == "production"
    assert not settings.may_destroy


@pytest.mark.parametrize(
    ("host", "local"),
    [("localhost", True), ("127.0.0.9", True), ("::1", True), ("10.0.0.1", False), ("db", False)],
)
def test_only_this_machine_is_local(load, host, local):
    settings = load(APP_ENV="test", DB_HOST=host)
    assert settings.url.is_local is local
    assert settings.may_destroy is local


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({"DATABASE_URL": "mysql://app:hidden@127.0.0.1/app"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hidden@127.0.0.1:port/app"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hid/den@127.0.0.1/app"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hid#den@127.0.0.1/app"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hid%zzden@127.0.0.1/app"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hidden@[127.0.0.1/app"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hidden@127.0.0.1"}, ["DB_NAME"]),
        ({"DATABASE_URL": "postgresql://127.0.0.1/app"}, ["DB_USER"]),
        ({"DATABASE_URL": "postgresql://app:hidden@/app"}, ["DB_HOST"]),
        ({"DATABASE_URL": "postgresql://app:hidden@h/app?host=other"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hidden@h/app?service=other"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hidden@h/app?sslpassword=other"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hidden@h:0/app"}, ["DATABASE_URL"]),
        (
            {"DATABASE_URL": "postgresql://app:hidden@127.0.0.1/app", "DB_PASSWORD": "other"},
            ["DATABASE_URL", "DB_PASSWORD"],
        ),
        ({"DB_PORT": "hidden"}, ["DB_PORT"]),
        ({"DB_PORT": "0"}, ["DB_PORT"]),
        ({"DB_PORT": "65536"}, ["DB_PORT"]),
        ({"DB_HOST": "hidden host"}, ["DB_HOST"]),
        ({"APP_ENV": "hidden"}, ["APP_ENV"]),
        ({"DB_POOL_MAX_CONNECTIONS": "0"}, ["DB_POOL_MAX_CONNECTIONS"]),
        ({"DB_POOL_WAIT_TIMEOUT": "hidden"}, ["DB_POOL_WAIT_TIMEOUT"]),
        (
            {"DB_PORT": "x", "DB_POOL_STALE_TIMEOUT": "-1", "DB_CONNECT_TIMEOUT": ""},
            ["DB_PORT", "DB_POOL_STALE_TIMEOUT", "DB_CONNECT_TIMEOUT"],
        ),
    ],
)
def test_wrong_settings_are_named_all_at_once_without_their_values(load, told, names):
    with pytest.raises(SettingsError) as caught:
        load(**told)
    message = str(caught.value)
    assert all(name in message for name in names)
    assert not any(secret in message for secret in ("hidden", "hid", "other"))


def test_a_file_that_contradicts_itself_is_refused(load):
    file = DEFAULTS.replace("${DB_HOST}", "db.example.com")
    with pytest.raises(SettingsError, match="DATABASE_URL: contradicts DB_HOST"):
        load(file)


def test_without_a_file_what_is_missing_is_named(load):
    with pytest.raises(SettingsError) as caught:
        load("")
    assert all(name in str(caught.value) for name in ("DB_HOST", "DB_NAME", "DB_USER"))


def test_migrations_may_have_an_address_of_their_own(load):
    direct = "postgresql://owner:pw@127.0.0.1:6000/app"
    settings = load(MIGRATION_DATABASE_URL=direct)
    assert settings.url.port == 5432
    assert url_of(settings.for_migrations()) == direct
    assert load(MIGRATION_DATABASE_URL="").for_migrations().url.port == 5432


def test_the_files_address_for_migrations_does_not_go_with_an_exported_database(load):
    file = f"{DEFAULTS}MIGRATION_DATABASE_URL=postgresql://owner:pw@127.0.0.1:6000/app"
    assert load(file).for_migrations().url.port == 6000
    assert load(file, DB_NAME="other").for_migrations().url.port == 5432


def test_a_wrong_address_for_migrations_is_named(load):
    with pytest.raises(SettingsError, match="MIGRATION_DATABASE_URL: no whole address") as caught:
        load(MIGRATION_DATABASE_URL="postgresql://:hidden@127.0.0.1:6000/app")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("content", [b"DB_HOST=caf\xe9\n", b"DB_HOST=x\nno assignment here\n"])
def test_a_garbled_file_is_an_error(tmp_path, content):
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(SettingsError, match=r"\.env(, line 2| cannot be read)"):
        Settings.load(tmp_path / ".env")


def test_a_folder_in_the_files_place_is_an_error(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        Settings.load(tmp_path)


def test_a_parameter_that_libpq_does_not_know_is_refused(load):
    with pytest.raises(SettingsError, match=r'DATABASE_URL: .*"schema"'):
        load(DATABASE_URL="postgresql://app:app@127.0.0.1/app?schema=public")


def test_every_fault_is_told_though_the_url_is_one_of_them(load):
    with pytest.raises(SettingsError) as caught:
        load(DATABASE_URL="nonsense", DB_PORT="x", DB_HOST="a b")
    assert all(name in str(caught.value) for name in ("DATABASE_URL", "DB_PORT", "DB_HOST"))


def test_nothing_printable_shows_the_password(load):
    settings = load(DB_PASSWORD="hidden")
    assert "hidden" not in f"{settings} {settings!r} {settings.url} {settings.url!r}"
