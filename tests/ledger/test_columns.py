"""Any row becomes columns that a database takes, and its text stays what it was."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.columns import COLUMNS, canonical, differing, entry, kept_of, readable
from gateway.policy.ledger import Row, encode
from gateway.store.base import Kept
from tests.ledger.rows import chained, row

TEXT = st.text(st.characters(codec="utf-8"))
ROWS = st.builds(
    Row,
    id=TEXT,
    time=st.integers(),
    key=TEXT,
    endpoint=TEXT,
    model=st.none() | TEXT,
    cost=st.none() | st.integers(),
    input=st.integers(),
    tags=st.dictionaries(TEXT, TEXT, max_size=3),
    shadow=st.lists(TEXT, max_size=3),
    correction=st.booleans(),
)


def columns(kept: Kept) -> dict[str, Any]:
    return dict(zip(COLUMNS, entry(kept), strict=True))


def again(values: dict[str, Any]) -> Kept:
    return kept_of(*(values[name] for name in ("position_ms", "position_seq", "number", "row", "hash")))


@given(ROWS)
def test_any_row_fits(row: Row) -> None:
    kept = chained([row])[0]
    values = columns(kept)
    assert again(values) == kept
    assert differing(tuple(values.values())) == ""
    for value in values.values():
        assert value is None or isinstance(value, int | str)
        assert not isinstance(value, int) or abs(value) <= 2**53
        assert not isinstance(value, str) or "\0" not in value.encode().decode()
    assert all(len(values[name]) <= 500 for name in ("id", "key", "endpoint"))


@given(st.binary())
def test_any_bytes_fit_and_are_named_by_their_text_alone(text: bytes) -> None:
    values = columns(Kept("5-1", 7, text, "hash"))
    assert (values["position_ms"], values["position_seq"], values["number"]) == (5, 1, 7)
    assert "\0" not in values["row"].encode().decode()
    assert values["id"] is None
    if b"\0" not in text and text.decode(errors="ignore").encode() == text:
        assert again(values).row == text


def test_columns_hold_what_the_row_says() -> None:
    values = columns(chained([row(3, tags={"b": "2", "a": "1"}, shadow=["$5/day"], error=None, saved=4)])[0])
    assert values["time"] == "2026-09-21T14:13:23.000+00:00"
    expected = {"id": "request-3", "cost_nano": 1003, "saved_nano": 4, "tags": '{"a":"1","b":"2"}'}
    expected |= {
        "shadow": '["$5/day"]',
        "error": None,
        "correction": False,
        "duration_ms": 250,
        "sent": "gpt-6",
    }
    assert {name: values[name] for name in expected} == expected


@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in ("row", "hash")])
def test_whichever_column_was_changed_is_named(name: str) -> None:
    values = columns(chained([row(1)])[0])
    values[name] = "another"
    places = ("position_ms", "position_seq", "number")
    assert differing(tuple(values.values())) == ("" if name in places else name)


def test_times_that_no_calendar_has_are_the_last_that_it_has() -> None:
    assert readable(10**20) == "9999-12-31T23:59:59.999+00:00"
    assert readable(-1) == "1970-01-01T00:00:00.000+00:00"


def test_equal_values_are_the_same_text() -> None:
    assert canonical({"b": "ü", "a": []}) == canonical({"a": [], "b": "ü"}) == '{"a":[],"b":"ü"}'


def test_a_row_in_the_test_is_a_row() -> None:
    assert encode(row(1)) == chained([row(1)])[0].row
