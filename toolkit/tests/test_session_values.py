"""Data and ids that a session's columns cannot hold are errors before anything is sent."""

from datetime import UTC, datetime
from enum import IntEnum, StrEnum

import pytest

from dbfoundation import SessionStore
from dbfoundation.errors import InvalidValueError
from models import Session


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


@pytest.mark.parametrize(
    ("sid", "message"),
    [
        (None, "sid: must be a text, not a NoneType"),
        (5, "sid: must be a text, not a int"),
        ("a\0", "sid: has a NUL character"),
        ("\ud800", "sid: has half of a surrogate pair"),
        ("x" * 601, "sid: has 601 characters, more than 600"),
    ],
    ids=["None", "int", "NUL", "surrogate", "long"],
)
def test_an_id_that_no_column_can_hold_is_an_error_without_the_data(store, sid, message):
    for method in (
        store.get,
        store.touch,
        store.destroy,
        store.regenerate,
        lambda sid: store.set(sid, {"password": "hunter2"}),
        lambda sid: store.save(sid, {"password": "hunter2"}),
    ):
        with pytest.raises(InvalidValueError, match=message) as caught:
            method(sid)
        assert "hunter2" not in str(caught.value)


def test_an_id_of_the_greatest_length_fits(store):
    sid = "".join(chr(0x10000 + n) for n in range(600))  # four bytes each, and no two alike
    store.set(sid, {"a": 1})
    assert store.get(sid) == {"a": 1}
