"""Members count wherever they stand, and texts never."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.policy.inside import is_veiled, members_of, models_in, naming, read

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)


def planted(value: Any) -> int:
    if isinstance(value, list):
        return sum(planted(item) for item in value)
    return sum(1 + planted(inner) for inner in value.values()) if isinstance(value, dict) else 0


@given(JSON)
def test_every_member_is_told(document: Any) -> None:
    assert len(read(json.dumps(document).encode(), members_of)) == planted(document)


@pytest.mark.parametrize(
    ("body", "models"),
    [
        (b'{"model":"a"}', {"a"}),
        (b'{"model":"a","model":"b"}', {"a", "b"}),
        (b'{"session":{"model":"a","audio":{"input":{"transcription":{"model" : "b"}}}}}', {"a", "b"}),
        (b'[[{"mod\\u0065l":"a"}]]', {"a"}),
        (b'{"model":{"id":"a"}}', set()),
        (b'{"metadata":{"model":"a"},"input":"\\"model\\": \\"b\\""}', set()),
        (b'{"source":{"type":"file_content","content":[{"item":{"model":"a"}}]}}', set()),
        (b'{"source":{"type":"new","model":"a"}}', {"a"}),
        (b'{"prompt":{"variables":{"model":"a","x":{"model":"b"}}}}', {"b"}),
    ],
)
def test_the_models_that_a_body_names(body: bytes, models: set[str]) -> None:
    assert models_in(body) == models


def test_the_one_at_the_top_is_known() -> None:
    assert models_in(b'{"model":"a"}', "a") == set()
    assert models_in(b'{"model":"a","tools":[{"model":"b"}]}', "a") == {"b"}
    assert models_in(b'{"model":"a","tools":[{"mod\\u0065l":"b"}]}', "a") == {"b"}
    assert models_in(b'{"mod\\u0065l":"a","tools":[{"model":"b"}]}', "a") == {"b"}


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"model":"a"', b'{"model":"a"} x'])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(body, members_of)


def test_a_name_is_found_however_it_is_spelt() -> None:
    has = naming(("file_id", "file_ids", "audio"))
    for body in (b'"file_id":', b'"audio" \n:', b'"file\\u005fid":', b'"file_ids"\t:'):
        assert has(body)
    for body in (b'"file_idx":', b'\\"file_id\\":', b'"a":"file_id"', b'"caf\\u00e9":'):
        assert not has(body)


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_json_of_another_encoding_is_veiled(document: dict[str, str]) -> None:
    text = json.dumps(document)
    for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig"):
        assert is_veiled(text.encode(encoding)), encoding
    assert not is_veiled(text.encode())


@given(st.binary())
def test_sound_is_not(data: bytes) -> None:
    try:
        json.loads(data)
    except ValueError:
        assert not is_veiled(data)
