import csv
import io
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.sheet import cell, csv_of


def read(body: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))


def test_a_header_row_and_an_item_a_row() -> None:
    items = [{"b": 'say "hi", twice\nplease', "a": 7, "c": "left out"}, {"a": None}]
    assert csv_of(("a", "b"), items) == b'a,b\r\n7,"say ""hi"", twice\nplease"\r\n,\r\n'


@pytest.mark.parametrize(
    "text", ["=1+1", "+cmd", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'", "- 5", "-"]
)
def test_no_text_is_taken_for_a_formula(text: str) -> None:
    assert cell(text) == "'" + text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (-5, "-5"),
        (msgspec.Raw(b"-0.000000001"), "-0.000000001"),
        ("-5", "-5"),
        (True, "true"),
        ({"site": "a,b"}, '{"site":"a,b"}'),
        (["=1"], '["=1"]'),
        ("plain = text", "plain = text"),
    ],
)
def test_what_is_none_stays_as_it_is(value: object, text: str) -> None:
    assert cell(value) == text


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
lines: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.fixed_dictionaries({"a": texts, "b": texts | st.integers()})
)


@given(lines)
def test_what_is_written_can_be_read_back(items: list[dict[str, Any]]) -> None:
    columns, *rows = read(csv_of(("a", "b"), items))
    assert columns == ["a", "b"]
    assert [[text.removeprefix("'") for text in row] for row in rows] == [
        [str(item["a"]), str(item["b"])] for item in items
    ]


@given(texts)
def test_a_cell_begins_a_formula_only_as_a_number(text: str) -> None:
    shown = cell(text)
    assert not shown.startswith(("=", "+", "@", "\t", "\r", "\n"))
    assert not shown.startswith("-") or float(shown) <= 0
