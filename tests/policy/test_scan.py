"""The scanner finds what msgspec finds, however the document is cut, and keeps little."""

import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.policy.scan import Scanner

NAMES = ("usage", "text", 'a"b\\', "好", "")
RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])

names = st.sampled_from([*NAMES, "data", "other"]) | st.text(max_size=4)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)


def read(document: bytes, cuts: list[int], most: int = 10_000) -> Scanner:
    scanner = Scanner(NAMES, most)
    for start, end in pairwise([0, *sorted(cut % (len(document) + 1) for cut in cuts), len(document)]):
        scanner.feed(document[start:end])
    return scanner


@given(
    st.dictionaries(names, values, max_size=5),
    st.sampled_from([None, 0, 3]),
    st.booleans(),
    st.lists(st.integers(0, 10_000), max_size=40),
)
@example({"usage": {"a": "]}"}, "text": "x\\"}, 2, False, list(range(100)))
def test_any_cut_finds_what_a_parser_finds(
    document: dict[str, Any], indent: int | None, ascii_only: bool, cuts: list[int]
) -> None:
    raw = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        known = {name: bytes(value) for name, value in RAW.decode(raw).items() if name in NAMES and name}
        raw.decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return  # half a surrogate is no JSON
    scanner = read(raw, cuts)
    assert scanner.values == known
    assert scanner.over


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=9))
@example(b'{"usage":1]', [3])
@example(b'[{"usage":1}]', [])
@example(b'{"\\', [2])
def test_what_is_no_json_fails_nothing(data: bytes, cuts: list[int]) -> None:
    whole, cut = read(data, []), read(data, cuts)
    assert (whole.values, whole.over) == (cut.values, cut.over)


@pytest.mark.parametrize("document", [b"", b"[]", b'"usage"', b"\xef\xbb\xbf{}", b'[{"usage": 1}]', b"null"])
def test_only_an_object_has_members(document: bytes) -> None:
    assert read(document, []).values == {}


def test_of_a_name_that_comes_twice_the_last_one_counts() -> None:
    assert read(b'{"usage": 1, "usage" : 2 }', []).values == {"usage": b"2"}
    # One that is too long is not known, and neither is the one before it.
    assert read(b'{"usage": 1, "usage": "0123456789"}', [], most=8).values == {}


def test_an_escaped_name_is_the_same_name() -> None:
    assert read(rb'{"\u0075sage": {"x": "\"}"}}', [12, 13, 14]).values == {"usage": rb'{"x": "\"}"}'}


def test_what_follows_the_object_is_not_read() -> None:
    assert read(b'{"usage": 1}{"usage": 2}', []).values == {"usage": b"1"}


def test_little_is_kept_of_much() -> None:
    scanner = Scanner(("usage",), 1000)
    scanner.feed(b'{"usage": 1, "' + b"n" * 100_000)
    for _ in range(100):
        scanner.feed(b"n" * 10_000)
    scanner.feed(b'": [{"b64_json": "')
    for _ in range(100):
        scanner.feed(b"QUJD" * 10_000)
    scanner.feed(b'"}], "usage": "')
    for _ in range(100):
        scanner.feed(b"x" * 10_000)
    assert (len(scanner._name), len(scanner._value)) <= (300, 1100)
    scanner.feed(b'"}')
    assert (scanner.values, scanner.over) == ({}, True)
