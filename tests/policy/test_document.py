import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.document import LARGEST, is_plain, plain

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.sampled_from([0.5, -1.25, 1.0, 1e-05])
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=5)


@given(OBJECTS, st.sampled_from([None, 0, 1, 4]))
def test_what_clients_write_is_plain_whatever_its_white_space(
    value: dict[str, Any], indent: int | None
) -> None:
    compact = msgspec.json.encode(value)
    assert plain(compact) == value
    assert plain(msgspec.json.format(compact, indent=indent or 0)) == value
    written = json.dumps(value, ensure_ascii=False, indent=indent)
    if "\x7f" not in written and "e-05" not in written:  # which msgspec spells in another way
        assert plain(written.encode()) == value


@given(OBJECTS)
def test_what_is_plain_is_what_everybody_reads(value: dict[str, Any]) -> None:
    body = json.dumps(value, ensure_ascii=True).encode()
    read = plain(body)
    assert read is None or read == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"a":1} x',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"a":[{"b":1,"b":1}]}',
        b'{"\\u0061":1}',
        b'{"a":"\\/"}',
        b'{"a":-0}',
        b'{"a":1E5}',
        b'{"a":1.50}',
        b'{"a":9007199254740993.0}',
        b'{"a":1e999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"a":"' + b"x" * LARGEST + b'"}',
    ],
)
def test_all_else_is_to_be_read_from_its_bytes(body: bytes) -> None:
    assert plain(body) is None
    assert not is_plain(body)


def test_a_body_is_decoded_once() -> None:
    body, other = b'{"a":[1,2]}', b'{"b":1}'
    assert plain(body) is plain(body)
    assert is_plain(body)
    assert plain(other) == {"b": 1}
    assert not is_plain(body)
    assert plain(body) == {"a": [1, 2]}
