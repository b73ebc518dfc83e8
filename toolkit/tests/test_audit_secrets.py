"""Secrets are masked before an entry reaches the server."""

from enum import Enum

import pytest

from dbfoundation.runtime.audit_entry import is_secret_key, mask_secrets
from models import AuditLog
from tests.support import execute


class Field(str, Enum):  # noqa: UP042 # unlike a StrEnum, it prints another text than its value
    LOGIN = "password"


DETAILS = {
    "password": "hunter2",
    "New-Password": ["hunter2"],
    "form": [{"apiKey": "hunter2", "name": "kept", "x": {"csrf_token": {"deep": "hunter2"}}}],
    "tuple": ({"secret": "hunter2"}, 1),
    "client_secret": None,
    "Authorization": "Bearer hunter2",
    "keyboard": "kept",
    7: "kept",
}
MASKED = {
    "password": "[masked]",
    "New-Password": "[masked]",
    "form": [{"apiKey": "[masked]", "name": "kept", "x": {"csrf_token": "[masked]"}}],
    "tuple": [{"secret": "[masked]"}, 1],
    "client_secret": "[masked]",
    "Authorization": "[masked]",
    "keyboard": "kept",
    "7": "kept",
}


def test_secrets_are_masked_at_any_depth(pool, settings):  # noqa: ARG001 # the tables have to exist
    row = AuditLog.record("a", details=DETAILS)
    AuditLog.record_many([{"action": "a", "details": DETAILS}])
    stored = execute(settings, "SELECT details FROM audit_log")
    assert stored == [(MASKED,), (MASKED,)]
    assert row.details == MASKED


def test_the_callers_details_stay_as_they_are():
    details = {"password": "hunter2", "form": [{"token": "hunter2"}]}
    mask_secrets(details)
    assert details == {"password": "hunter2", "form": [{"token": "hunter2"}]}


def test_a_key_is_masked_by_its_value_in_json():
    assert mask_secrets({Field.LOGIN: "hunter2"}) == {"password": "[masked]"}


def test_a_secret_below_four_hundred_levels_is_masked():
    details = {"password": "hunter2"}
    for _ in range(200):
        details = {"down": [details]}
    assert "hunter2" not in repr(mask_secrets(details))


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "New-Password",
        "passwd",
        "pwd",
        "Passphrase",
        "client_secret",
        "csrf_token",
        "credentials",
        "Authorization",
        "Cookie",
        "Set-Cookie",
        "apiKey",
        "X-API-Key",
        "private key",
        "access_key",
    ],
)
def test_the_key_of_a_secret_is_recognized(key):
    assert is_secret_key(key)


@pytest.mark.parametrize("key", ["keyboard", "cookie_consent", "api", "key", "user_id", ""])
def test_the_key_of_an_ordinary_value_is_not_masked(key):
    assert not is_secret_key(key)
