"""Secrets are masked before an entry reaches the server, and what resembles them stays readable."""

import json
import tracemalloc
from enum import Enum
from random import Random

import pytest

from dbfoundation.runtime.mask import get_mask
from models import AuditLog
from tests.secret_cases import (
    HARMLESS_KEYS,
    HARMLESS_VALUES,
    SECRET,
    SECRET_KEYS,
    SECRET_STRUCTURES,
    SECRET_VALUES,
)
from tests.support import execute

MASK = get_mask((), ())


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


def as_json(value):
    """The value as it comes back from the server."""
    return json.loads(json.dumps(value))


def test_secrets_are_masked_at_any_depth(pool, settings):  # noqa: ARG001 # the tables have to exist
    row = AuditLog.record("a", details=DETAILS)
    AuditLog.record_many([{"action": "a", "details": DETAILS}])
    stored = execute(settings, "SELECT details FROM audit_log")
    assert stored == [(MASKED,), (MASKED,)]
    assert row.details == MASKED


def test_the_callers_details_stay_as_they_are():
    details = {"password": "hunter2", "form": [{"token": "hunter2"}], "url": "?token=hunter2"}
    copy = as_json(details)
    MASK.details(details)
    assert details == copy


def test_a_key_is_masked_by_its_value_in_json():
    assert MASK.details({Field.LOGIN: "hunter2"}) == {"password": "[masked]"}


def test_a_secret_below_four_hundred_levels_is_masked():
    details = {"password": "hunter2"}
    for _ in range(200):
        details = {"down": [details]}
    assert "hunter2" not in repr(MASK.details(details))


def test_the_keys_of_secrets_are_recognized():
    entries = [{"action": "a", "details": {key: SECRET}} for key in SECRET_KEYS]
    kept = [entry for entry in entries if SECRET in repr(MASK.details(entry))]
    assert kept == []


def test_the_keys_of_harmless_values_are_not_masked():
    values = [{key: "readable"} for key in HARMLESS_KEYS]
    assert [value for value in values if MASK.details(value) != value] == []


def test_of_a_text_only_the_credential_is_replaced():
    found = {text: MASK.text(text) for text in SECRET_VALUES}
    assert [text for text, masked in found.items() if SECRET in masked or masked == text] == []
    expected = {text: rest for text, rest in SECRET_VALUES.items() if rest is not None}
    assert {text: found[text] for text in expected} == expected


def test_a_masked_text_is_not_masked_again():
    masked = [MASK.text(text) for text in SECRET_VALUES]
    assert [MASK.text(text) for text in masked] == masked


def test_a_secret_is_recognized_by_what_is_beside_it():
    secrets = (SECRET, "411111111111", "1234567")
    texts = [json.dumps(MASK.details(value)) for value in SECRET_STRUCTURES]
    assert [text for text in texts if any(secret in text for secret in secrets)] == []


def test_harmless_values_stay_as_they_are(pool, settings):  # noqa: ARG001 # the tables have to exist
    details = [{"value": value} for value in HARMLESS_VALUES]
    AuditLog.record_many({"action": "a", "details": each} for each in details)
    stored = [each for (each,) in execute(settings, "SELECT details FROM audit_log ORDER BY id")]
    assert stored == as_json(details)


def hide(random, value):
    """The value somewhere within details."""
    for _ in range(random.randrange(6)):
        others = {"n": 1, "path": "/items/7?page=2", "user agent": "a (b; c) d"}
        value = random.choice(
            [{"down": value} | others, others | {"x": value}, [1, value, "é"], (value, 2, None)]
        )
    return {"details": value}


def test_no_secret_is_stored_anywhere(pool, settings):
    random = Random(7)
    keys = [{key: random.choice([SECRET, [SECRET], {"x": SECRET}])} for key in SECRET_KEYS]
    shapes = [*keys, *SECRET_STRUCTURES, *(text for text in SECRET_VALUES if SECRET in text)]
    entries = [
        {"action": "a", "details": hide(random, shape)} for _ in range(5) for shape in shapes
    ]
    texts = [text for text in SECRET_VALUES if SECRET in text and len(text) < 60]
    entries += [{"action": text, "entity": (text, text), "user_id": text} for text in texts]
    AuditLog.record_many(entries)
    with pool.connection_context():
        for entry in entries[-len(texts) :]:
            text = entry["action"]
            AuditLog.record(**entry)
            AuditLog.create(action=text, entity_type=text, entity_id=text, user_id=text)
    query = "SELECT count(*), count(*) FILTER (WHERE a::text ~ %s) FROM audit_log a"
    assert execute(settings, query, SECRET) == [(len(entries) + 2 * len(texts), 0)]


@pytest.mark.usefixtures("pool")
def test_rows_are_found_by_the_ids_that_were_recorded():
    url = f"https://bob:{SECRET}@example.org"
    row = AuditLog.record("a", entity=("url", url), user_id=url)
    assert row.entity_id == row.user_id == "https://bob:[masked]@example.org"
    assert AuditLog.for_entity(("url", url)) == AuditLog.for_user(url) == [row]


def test_long_keys_are_not_kept_in_memory():
    tracemalloc.start()
    try:
        for number in range(100):
            MASK.details({f"{number}" + "x" * 100_000: 1})
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


# A project's own keys


def test_a_project_adds_secrets_and_names_readable_keys(pool, monkeypatch):
    monkeypatch.setattr(AuditLog, "secret_keys", ("national_id", "x-internal"))
    monkeypatch.setattr(AuditLog, "readable_keys", ("session_key", "cookies"))
    secrets = {"nationalId": "a", "customer_national_ids": "kept", "customer-national-id": "a"}
    readable = {"sessionKey": "kept", "cookies": {"sid": "a", "theme": "dark", "b": "Bearer a1"}}
    with pool.connection_context():
        row = AuditLog.record("a", details=secrets | readable | {"q": "?x-internal=a", "pin": "a"})
    assert row.details == {
        "nationalId": "[masked]",
        "customer_national_ids": "kept",
        "customer-national-id": "[masked]",
        "sessionKey": "kept",
        "cookies": {"sid": "[masked]", "theme": "dark", "b": "Bearer [masked]"},
        "q": "?x-internal=[masked]",
        "pin": "[masked]",
    }
