"""The settings: the environment, .env, their precedence, and invalid values."""

import os

import pytest
from environs import Env

from dbfoundation.errors import SettingsError
from dbfoundation.settings import FileEnv, Settings
from tests.support import PROJECT

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
OLD_NAMES = [
    ("MIGRATE_LOCK_WAIT", "MIGRATE_RUNNER_TIMEOUT", "migrate_runner_timeout_seconds"),
    ("MIGRATE_LOCK_TIMEOUT", "MIGRATE_TABLE_LOCK_TIMEOUT", "migrate_table_lock_timeout_seconds"),
    ("DB_POOL_STALE_TIMEOUT", "DB_POOL_MAX_LIFETIME", "pool_max_lifetime_seconds"),
]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Load settings from the text of a .env and the exported variables."""
    for name in list(os.environ):
        if name.startswith(("DB_", "DATABASE_URL", "APP_ENV", "MIGRAT")):
            monkeypatch.delenv(name)

    def load(file=DEFAULTS, **exported):
        for name, value in exported.items():
            monkeypatch.setenv(name, value)
        (tmp_path / ".env").write_text(file)
        return Settings.load(tmp_path / ".env")

    return load


def url_of(settings):
    return settings.url.render(with_password=True)


def test_the_projects_file_is_a_development_database(load):
    settings = load((PROJECT / ".env").read_text())
    assert url_of(settings) == "postgresql://app:app@127.0.0.1:5432/app"
    assert settings.app_env == "development"
    assert settings.pool_max_connections == 10


def test_an_exported_variable_replaces_the_line_of_the_file(load):
    file = f"{DEFAULTS}DB_POOL_MAX_CONNECTIONS=20\nDB_APPLICATION_NAME=file\n"
    settings = load(file, DB_PORT="5433", DB_APPLICATION_NAME="shell")
    assert url_of(settings) == "postgresql://app:app@127.0.0.1:5433/app"
    assert (settings.pool_max_connections, settings.application_name) == (20, "shell")


def test_an_exported_url_replaces_the_whole_address(load):
    settings = load(DATABASE_URL="postgres://me@db.example.com/shop?sslmode=require")
    assert url_of(settings) == "postgresql://me@db.example.com:5432/shop?sslmode=require"
    assert settings.connect_kwargs()["sslmode"] == "require"
    assert settings.child_environment()["DB_HOST"] == "db.example.com"
    assert settings.child_environment()["DB_PASSWORD"] == ""


def test_a_url_in_the_file_needs_no_parts(load):
    settings = load("DATABASE_URL=postgresql://me:secret@127.0.0.1:6000/shop")
    assert settings.child_environment()["DB_PORT"] == "6000"
    assert settings.child_environment()["DB_NAME"] == "shop"


@pytest.mark.parametrize(
    "exported",
    [
        {"DATABASE_URL": f"postgresql://{ODD_ENCODED}:{ODD_ENCODED}@127.0.0.1/{ODD_ENCODED}"},
        {"DB_USER": ODD, "DB_PASSWORD": ODD, "DB_NAME": ODD},
    ],
    ids=["url", "parts"],
)
def test_special_characters_are_kept(load, exported):
    url = load(**exported).url
    assert (url.user, url.password, url.name) == (ODD, ODD, ODD)
    assert ODD_ENCODED in url.render(with_password=True)


def test_special_characters_in_the_files_parts_need_no_encoding(load):
    file = DEFAULTS.replace("DB_PASSWORD=app", f"DB_PASSWORD='{ODD}'")
    assert load(file).url.password == ODD
    assert load(file, DB_PORT="5433").url.port == 5433


def test_an_empty_exported_part_counts_as_missing(load):
    assert load(DB_PORT="", DATABASE_URL="").url.port == 5432


def test_the_environment_is_production_unless_it_is_set(load):
    assert load().app_env == "production"


@pytest.mark.parametrize(
    ("exported", "names"),
    [
        ({"DATABASE_URL": "mysql://app:hidden@127.0.0.1/app"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hidden@127.0.0.1:port/app"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hid@den@127.0.0.1/app"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hid%zzden@127.0.0.1/app"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hidden@127.0.0.1"}, ["DB_NAME"]),
        ({"DATABASE_URL": "postgresql://app:hidden@a,,b/app"}, ["DATABASE_URL"]),
        ({"DATABASE_URL": "postgresql://app:hidden@a:1,b:x/app"}, ["DATABASE_URL"]),
        ({"DB_PORT": "5432,5433"}, ["DB_PORT"]),
        ({"DB_PORT": "9" * 5000}, ["DB_PORT"]),
        ({"DATABASE_URL": "postgresql://app:hidden@h/app?service=other"}, ["DATABASE_URL"]),
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
            {"DB_PORT": "x", "DB_POOL_MAX_LIFETIME": "-1", "DB_CONNECT_TIMEOUT": ""},
            ["DB_PORT", "DB_POOL_MAX_LIFETIME", "DB_CONNECT_TIMEOUT"],
        ),
        (
            {"DATABASE_URL": "nonsense", "DB_PORT": "x", "DB_HOST": "a b"},
            ["DATABASE_URL", "DB_PORT", "DB_HOST"],
        ),
    ],
)
def test_all_invalid_settings_are_named_in_one_error_without_their_values(load, exported, names):
    with pytest.raises(SettingsError) as caught:
        load(**exported)
    message = str(caught.value)
    assert all(name in message for name in names)
    assert not any(secret in message for secret in ("hidden", "hid", "other", "nonsense"))


def test_a_file_that_contradicts_itself_is_refused(load):
    file = DEFAULTS.replace("${DB_HOST}", "db.example.com")
    with pytest.raises(SettingsError, match="DATABASE_URL: contradicts DB_HOST"):
        load(file)


def test_each_missing_part_of_the_address_is_named(load):
    with pytest.raises(SettingsError) as caught:
        load("")
    assert all(name in str(caught.value) for name in ("DB_HOST", "DB_NAME", "DB_USER"))


def test_migrations_may_have_their_own_address(load):
    direct = "postgresql://owner:pw@127.0.0.1:6000/app"
    settings = load(MIGRATION_DATABASE_URL=direct)
    assert settings.url.port == 5432
    assert url_of(settings.for_migrations()) == direct
    assert load(MIGRATION_DATABASE_URL="").for_migrations().url.port == 5432


@pytest.mark.parametrize("place", ["%2Frun%2Fpostgresql:5432", "a:1,b:2", "[::1]:5432"])
def test_the_address_of_migrations_may_have_every_form(load, place):
    direct = f"postgresql://owner:pw@{place}/app?target_session_attrs=read-write"
    assert url_of(load(MIGRATION_DATABASE_URL=direct).for_migrations()) == direct


def test_an_exported_database_hides_the_files_address_for_migrations(load):
    file = f"{DEFAULTS}MIGRATION_DATABASE_URL=postgresql://owner:pw@127.0.0.1:6000/app"
    assert load(file).for_migrations().url.port == 6000
    assert load(file, DB_NAME="other").for_migrations().url.port == 5432


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://me:hidden@127.0.0.1:6000", "not a whole address, postgresql://USER"),
        ("postgresql://me:hidden@h/app?schema=x", 'invalid URI query parameter: "schema"'),
        ("postgresql://me:hid@den@h/app", "not a host name, an IP address or"),
    ],
)
def test_an_invalid_address_for_migrations_is_named(load, url, reason):
    with pytest.raises(SettingsError, match=f"MIGRATION_DATABASE_URL: {reason}") as caught:
        load(MIGRATION_DATABASE_URL=url)
    assert "hid" not in str(caught.value)


@pytest.mark.parametrize("content", [b"DB_HOST=caf\xe9\n", b"DB_HOST=x\nno assignment here\n"])
def test_a_file_that_cannot_be_parsed_is_an_error(tmp_path, content):
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(SettingsError, match=r"\.env(, line 2| cannot be read)"):
        Settings.load(tmp_path / ".env")


def test_a_folder_in_the_files_place_is_an_error(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read"):
        Settings.load(tmp_path)


def test_no_text_of_the_settings_shows_the_password(load):
    settings = load(DB_PASSWORD="hidden")
    assert "hidden" not in f"{settings} {settings!r}"


@pytest.mark.parametrize(("old_name", "name", "field"), OLD_NAMES)
@pytest.mark.parametrize("is_exported", [True, False], ids=["exported", "in the file"])
def test_an_old_name_works_with_a_warning(load, old_name, name, field, is_exported):
    file = DEFAULTS if is_exported else f"{DEFAULTS}{old_name}=7\n"
    exported = {old_name: "7"} if is_exported else {}
    with pytest.warns(FutureWarning, match=f"^{old_name} is now called {name}: rename it$"):
        assert getattr(load(file, **exported), field) == 7


@pytest.mark.parametrize(("old_name", "name", "field"), OLD_NAMES)
def test_the_new_name_wins_over_the_old_one_without_a_warning(load, old_name, name, field):
    assert getattr(load(**{old_name: "7", name: "8"}), field) == 8
    file = f"{DEFAULTS}{old_name}=9\n"
    assert getattr(load(file), field) == 8


def test_an_exported_old_name_wins_over_the_new_name_in_the_file(load):
    file = f"{DEFAULTS}MIGRATE_RUNNER_TIMEOUT=60\n"
    with pytest.warns(FutureWarning, match="MIGRATE_LOCK_WAIT"):
        assert load(file, MIGRATE_LOCK_WAIT="7").migrate_runner_timeout_seconds == 7


def test_an_invalid_value_under_an_old_name_is_an_error_with_that_name(load):
    with (
        pytest.warns(FutureWarning, match="MIGRATE_LOCK_WAIT"),
        pytest.raises(SettingsError, match="MIGRATE_LOCK_WAIT: must be 1 or more"),
    ):
        load(MIGRATE_LOCK_WAIT="0")


@pytest.mark.filterwarnings("default::FutureWarning")
def test_a_task_prints_the_warning_about_an_old_name_on_stderr(app):
    done = app.invoke("migrate-status", "--json", MIGRATE_LOCK_WAIT="7")
    warning = "warning: MIGRATE_LOCK_WAIT is now called MIGRATE_RUNNER_TIMEOUT: rename it\n"
    assert (done.returncode, done.stderr) == (1, warning)
    assert done.stdout.startswith("{")


def test_the_seam_of_environs_reads_every_variable_through_get_value(monkeypatch):
    """FileEnv overrides this undocumented method, to read .env once."""
    monkeypatch.delenv("DB_CONNECT_TIMEOUT", raising=False)
    assert FileEnv({"DB_CONNECT_TIMEOUT": "7"}).int("DB_CONNECT_TIMEOUT", 5) == 7
    assert FileEnv({}).int("DB_CONNECT_TIMEOUT", 5) == 5
    monkeypatch.setenv("DB_CONNECT_TIMEOUT", "8")
    assert FileEnv({"DB_CONNECT_TIMEOUT": "7"}).int("DB_CONNECT_TIMEOUT", 5) == 8
    assert Env()._get_value("DB_CONNECT_TIMEOUT", None) == "8"
