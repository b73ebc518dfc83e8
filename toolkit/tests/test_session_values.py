"""Data that a session's columns cannot hold are errors; an id that none can have is absent."""

from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum

import pytest

from dbfoundation import SessionStore
from dbfoundation.errors import InvalidValueError
from models import Session
from tests.support import execute


@pytest.fixture
def store(pool):  # noqa: ARG001 # the store uses the pool
    return SessionStore(Session)


class Color(StrEnum):
    RED = "red"


class Size(IntEnum):
    LARGE = 3


ENDLESS = {}
ENDLESS["list"] = [ENDLESS]
JSON = "data: cannot be written as JSON: "
INVALID = {
    "NaN": ({"a": [1, {"b": float("nan")}]}, f"{JSON}.*not JSON compliant"),
    "infinity": ({"a": float("-inf")}, f"{JSON}.*not JSON compliant"),
    "a key that is NaN": ({float("nan"): 1}, f"{JSON}.*not JSON compliant"),
    "a set": ({"a": {1, 2}}, f"{JSON}Object of type set"),
    "a datetime": ({"a": datetime.now(UTC)}, f"{JSON}Object of type datetime"),
    "bytes": ({"a": b"bytes"}, f"{JSON}Object of type bytes"),
    "a key that is a tuple": ({"a": {(1, 2): "pair"}}, f"{JSON}keys must be str.* not tuple"),
    "a key that is bytes": ({b"a": 1}, f"{JSON}keys must be str.* not bytes"),
    "too many digits": ({"a": 10**5000}, f"{JSON}Exceeds the limit"),
    "a value inside of itself": (ENDLESS, f"{JSON}Circular reference"),
    "a NUL": ({"a": "x\0y"}, "data: has a NUL character"),
    "a NUL after a backslash": ({"a": ["\\\0"]}, "data: has a NUL character"),
    "a NUL after its escape": ({"a": "\\u0000\\\\\0"}, "data: has a NUL character"),
    "a key with a NUL": ({"a\0": 1}, "data: has a NUL character"),
    "half of a pair": ({"a": "\ud800"}, "data: has half of a surrogate pair"),
    "a key with half of a pair": ({"\udfff": 1}, "data: has half of a surrogate pair"),
    "a list": ([1], "data: must be a dict, not a list"),
    "a text": ("text", "data: must be a dict, not a str"),
    "None": (None, "data: must be a dict, not a NoneType"),
}


@pytest.mark.parametrize(("data", "message"), INVALID.values(), ids=INVALID)
def test_data_that_jsonb_cannot_hold_are_an_error_and_change_nothing(store, data, message):
    store.set("one", {"a": 1})
    for write in (store.set, store.save):
        with pytest.raises(InvalidValueError, match=message):
            write("one", data)
    assert store.get("one") == {"a": 1}


def test_data_that_jsonb_can_hold_come_back_equal(store):
    data = {
        "": [None, True, 1, 2**70, 0.1, -1.5e-7, "ünï 😀", {"b": {}, "a": []}],
        "B": r"%s \ \u0000",
        "backslashes": ["\\", r"\\u0000", "\\\\\\u0000", '"\\', "\x01\x1f\x7f"],
        r"\u0000": "\U0010ffff",
    }
    store.set("one", data)
    assert store.get("one") == data


def test_tuples_come_back_as_lists_and_enums_as_their_values(store):
    store.set("one", {"tuple": (1, (2,)), "color": Color.RED, "size": Size.LARGE})
    assert store.get("one") == {"tuple": [1, [2]], "color": "red", "size": 3}


def test_keys_come_back_as_text_and_of_two_equal_ones_the_last_remains(store):
    store.set("one", {7: "int", 2.5: "float", True: "bool", None: "none", "deep": {3: "three"}})
    assert store.get("one") == {
        "7": "int",
        "2.5": "float",
        "true": "bool",
        "null": "none",
        "deep": {"3": "three"},
    }
    store.set("one", {1: "number", "1": "text"})
    assert store.get("one") == {"1": "text"}


def test_a_large_float_comes_back_as_a_whole_number(store):
    store.set("one", {"n": 1e23})
    assert store.get("one") == {"n": 10**23}


def test_nested_data_come_back_and_too_deeply_nested_data_are_an_error(store):
    def nested(levels):
        value = {}
        for _ in range(levels // 2):
            value = {"down": [value]}
        return value

    store.set("one", nested(800))
    assert store.get("one") == nested(800)
    with pytest.raises(InvalidValueError, match=f"{JSON}.*recursion"):
        store.set("one", nested(200_000))
    assert store.get("one") == nested(800)


IMPOSSIBLE = {
    "NUL": ("a\0", "sid: has a NUL character"),
    "surrogate": ("\ud800", "sid: has half of a surrogate pair"),
    "long": ("x" * 1000, "sid: has 1000 characters, more than 600"),
    "empty": ("", "sid: is empty"),
}


@pytest.mark.parametrize(("sid", "message"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_an_id_that_no_session_can_have_is_absent_and_no_session_gets_it(store, sid, message):
    assert store.get(sid) is None
    assert store.regenerate(sid) is None
    assert not store.touch(sid)
    assert not store.save(sid, {"a": 1})
    assert not store.destroy(sid)
    with pytest.raises(InvalidValueError, match=message) as caught:
        store.set(sid, {"password": "hunter2"})
    assert "hunter2" not in str(caught.value)
    assert store.count() == 0


@pytest.mark.parametrize("sid", [None, 5, b"one"])
def test_an_id_that_is_no_text_is_an_error(store, sid):
    for method in (
        store.get,
        store.touch,
        store.destroy,
        store.regenerate,
        lambda sid: store.set(sid, {}),
        lambda sid: store.save(sid, {}),
    ):
        with pytest.raises(InvalidValueError, match="sid: must be a text, not a "):
            method(sid)


@pytest.mark.parametrize("ttl", ["60", None, True, timedelta(seconds=60)], ids=repr)
def test_a_ttl_that_is_no_number_is_an_error(ttl):
    with pytest.raises(InvalidValueError, match="ttl: must be a number of seconds, not a "):
        SessionStore(Session, ttl=ttl)


UNREADABLE = {
    "nested too deeply": "(repeat('[', 5000) || repeat(']', 5000))::jsonb",
    "a number of 5,000 digits": "jsonb_build_object('n', repeat('9', 5000)::numeric)",
    "a list": "'[1]'",
    "a number": "'1'",
    "null": "'null'",
}


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
def test_a_session_that_another_program_made_unreadable_is_absent(store, settings, value):
    store.set("one", {"a": 1})
    store.set("two", {"b": 2})
    execute(settings, f"UPDATE sessions SET sess = {value} WHERE sid = 'two'")
    assert store.get("two") is None
    assert store.all() == {"one": {"a": 1}}
    assert store.touch("two")
    assert store.destroy("two")


def test_an_id_of_the_greatest_length_fits(store):
    sid = "".join(chr(0x10000 + n) for n in range(600))  # four bytes each, and no two alike
    store.set(sid, {"a": 1})
    assert store.get(sid) == {"a": 1}
