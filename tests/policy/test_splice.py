import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.endpoints import TABLE
from gateway.policy.facts import read
from gateway.policy.splice import with_model, with_usage

CHAT = next(endpoint for endpoint in TABLE if endpoint.name == "chat.completions")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"model":"a","n":1}', b'{"model":"b/c","n":1}'),
        (b' { "n" : 1 ,\n"mod\\u0065l" : "a" } ', b' { "n" : 1 ,\n"mod\\u0065l" : "b/c" } '),
        (b'{"n":1}', b'{"model":"b/c","n":1}'),
        (b" { } ", b' {"model":"b/c" } '),
        (b'{"x":{"model":"a"},"model":"a"}', b'{"x":{"model":"a"},"model":"b/c"}'),
    ],
)
def test_the_model_alone_changes(body: bytes, expected: bytes) -> None:
    facts = read(CHAT, body, None if b'el" : "a"' in body or b'"model":"a"' in body else "a")
    assert with_model(body, facts, "b/c") == expected


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (b"", b'{"stream_options":{"include_usage":true},"model":"a","stream":true}'),
        (b',"stream_options": null', b',"stream_options": {"include_usage":true}'),
        (b',"stream_options":{}', b',"stream_options":{"include_usage":true}'),
        (b',"stream_options": { }', b',"stream_options": {"include_usage":true }'),
        (
            b',"stream_options":{ "include_obfuscation" : false}',
            b',"stream_options":{"include_usage":true, "include_obfuscation" : false}',
        ),
        (
            b',"stream_options":{"x": [1] ,"include_usage" : false , "y":2}',
            b',"stream_options":{"x": [1] ,"include_usage" : true , "y":2}',
        ),
        (b',"stream_options":{"include_usage":null}', b',"stream_options":{"include_usage":true}'),
        (b',"stream_options":{"include_usage": true}', b',"stream_options":{"include_usage": true}'),
    ],
)
def test_usage_is_asked_for_with_as_few_bytes_as_possible(options: bytes, expected: bytes) -> None:
    body = b'{"model":"a","stream":true' + options + b"}"
    if not expected.startswith(b"{"):
        expected = b'{"model":"a","stream":true' + expected + b"}"
    assert with_usage(body, read(CHAT, body)) == expected


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
_OPTIONS = st.none() | st.fixed_dictionaries(
    {},
    optional={"include_usage": st.none() | st.booleans(), "include_obfuscation": st.booleans(), "x": _VALUES},
)


@given(
    st.dictionaries(st.text(max_size=4).map("x".__add__), _VALUES, max_size=4),
    st.fixed_dictionaries({}, optional={"stream_options": _OPTIONS, "model": st.just("old")}),
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=5),
    st.sampled_from([None, 1]),
    st.permutations([with_model, with_usage]),
    st.randoms(use_true_random=False),
)
def test_all_else_stays_in_whatever_order_the_two_are_applied(
    others: dict[str, Any],
    ours: dict[str, Any],
    model: str,
    indent: int | None,
    order: list[Any],
    random: Any,
) -> None:
    asked = {**others, **ours, "stream": True}
    names = list(asked)
    random.shuffle(names)
    asked = {name: asked[name] for name in names}
    body = json.dumps(asked, indent=indent).encode()
    facts = read(CHAT, body, None if "model" in asked else "old")
    changed = body
    for change in order:
        changed = change(changed, facts, model) if change is with_model else change(changed, facts)
    options = {**(asked.get("stream_options") or {}), "include_usage": True}
    assert json.loads(changed) == {**asked, "model": model, "stream_options": options}
    # What was not to change stands in the same bytes, and in the same order.
    found = read(CHAT, changed)
    kept = [name for name in facts.spans if name not in ("model", "stream_options")]
    assert [name for name in found.spans if name in kept] == kept
    for name in kept:
        assert changed[slice(*found.spans[name])] == body[slice(*facts.spans[name])]
