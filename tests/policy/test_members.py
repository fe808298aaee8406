import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.policy.members import Spans, members, once

_SPACE = st.text(" \t\n\r", max_size=2)
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)


def _escaped(text: str) -> str:
    """Every character as `\\uXXXX`: another spelling of the same string."""
    units = text.encode("utf-16-be")
    return '"' + "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)) + '"'


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Objects as no program would write them: any white space, any spelling, any repetition."""
    names = draw(st.lists(st.sampled_from(["model", "n", "a", "é", '"\\', ""]) | _TEXT, max_size=6))
    written = []
    for name in names:
        key = _escaped(name) if draw(st.booleans()) else json.dumps(name, ensure_ascii=draw(st.booleans()))
        value = json.dumps(
            draw(_VALUES),
            ensure_ascii=draw(st.booleans()),
            indent=draw(st.sampled_from([None, 1])),
        )
        written.append(f"{draw(_SPACE)}{key}{draw(_SPACE)}:{draw(_SPACE)}{value}{draw(_SPACE)}")
    return f"{draw(_SPACE)}{{{','.join(written) or draw(_SPACE)}}}{draw(_SPACE)}"


@given(documents())
def test_agrees_with_the_standard_library(text: str) -> None:
    pairs: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=_Pairs)
    names = [name for name, _ in pairs]
    document = text.encode()
    if len(set(names)) < len(names):
        with pytest.raises(InvalidRequest) as caught:
            members(document)
        assert caught.value.code == "duplicate_key"
        return
    spans = members(document)
    assert list(spans) == names
    for name, value in pairs:
        start, end = spans[name]
        part = document[start:end]
        assert part == part.strip(b" \t\n\r")
        assert json.loads(part, object_pairs_hook=_Pairs) == value


class _Pairs(list[Any]):
    """A list that equals only its like, so that an object is not taken for an array."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and list.__eq__(self, other)  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "document",
    [
        b'{"a":1,"a":1}',
        b'{"a":12,"a":1}',
        b'{"a":1,"a":12}',
        b'{"a":1.5,"b":0,"a":1}',
        b'{"mod\\u0065l":"x","model":"x"}',
        b'{"a":{"a":1},"a":{}}',
        b'{"a":"\\",\\"a","a":"\\"}"}',
        b'{"a":true,"a":null,"a":true}',
        b'{"a":0,"a":{"x":1,"":1}}',  # a jump by the last value's length would land on the inner comma
    ],
)
def test_a_name_that_comes_twice_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        members(document)
    assert caught.value.code == "duplicate_key"
    assert caught.value.param in ("a", "model")


@pytest.mark.parametrize(
    "document",
    [
        *(b"", b" ", b"[]", b"null", b'"x"', b"{", b"{}}", b"{} x", b'{"a":1,}', b"{'a':1}", b"{a:1}"),
        *(b'{"a":NaN}', b'{"a":Infinity}', b'{"a":01}', b'{"a":"\x01"}', b'{"a":"\\x"}', b'{"a":1}\x00'),
        *(
            b'\xef\xbb\xbf{"a":1}',
            b'{"a":"\xff"}',
            b'{"\xff":1}',
            b'{"a":{"b":"\xc3"}}',
            b'{"a":"\xed\xa0\x80"}',
        ),
        *(b'{"a":"\\ud800"}', b'{"\\udc00":1}', b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        b'{"a":[' + b"1," * 1_000_001 + b"1]}",
    ],
)
def test_what_is_no_json_object_in_utf8_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        members(document)
    assert caught.value.code == "invalid_json"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_complaint_does_not_repeat_what_could_be_a_prompt() -> None:
    name = "tell me " * 20
    with pytest.raises(InvalidRequest) as caught:
        members(json.dumps({name: 1}).encode()[:-1] + f',"{name}":2}}'.encode())
    assert caught.value.param is None
    assert name not in caught.value.message


def test_a_large_text_with_many_commas_is_fine() -> None:
    document = json.dumps({"a": "word, " * 600_000}).encode()
    assert members(document) == {"a": (6, len(document) - 1)}


@given(documents())
def test_once_looks_at_every_depth(text: str) -> None:
    once(f'{{"a":[{{"b":{text if _is_unique(text) else "{}"}}}]}}'.encode())
    if not _is_unique(text):
        with pytest.raises(InvalidRequest) as caught:
            once(f'{{"a":[{{"b":{text}}}]}}'.encode())
        assert caught.value.code == "duplicate_key"


def _is_unique(text: str) -> bool:
    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError
        return dict(pairs)

    try:
        json.loads(text, object_pairs_hook=check)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    "document", [b"[1e999999]", b"[" + b"9" * 100_000 + b"]", b'{"a":"\\u0061"}', b" [ ] ", b"1.0", b"[1.50]"]
)
def test_once_minds_nothing_else(document: bytes) -> None:
    once(document)


def test_once_refuses_what_is_too_deep_to_be_looked_at() -> None:
    with pytest.raises(InvalidRequest):
        once(b"[1e999999," + b"[" * 100_000 + b"]" * 100_000 + b"]")


def test_spans_are_those_of_the_members() -> None:
    document = b'{"a": 1, "b": {"c": []}, "d": null}'
    spans = Spans(document, 3)
    assert len(spans) == 3
    assert spans == members(document)
    assert spans["d"] == members(document)["d"]
    assert "c" not in spans
    assert spans.get("c") is None
    assert repr(spans) == "<Spans 3 members>"
