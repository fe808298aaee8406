import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.endpoints import TABLE
from gateway.policy.facts import read
from gateway.policy.splice import with_absent, with_cap, with_model, with_usage

ENDPOINTS = {endpoint.name: endpoint for endpoint in TABLE}
CHAT = ENDPOINTS["chat.completions"]


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


@pytest.mark.parametrize(
    ("endpoint", "model", "name"),
    [
        ("responses", "gpt-6-luna", "max_output_tokens"),
        ("responses", "house-model", "max_output_tokens"),
        ("completions", "gpt-3.5-turbo-instruct", "max_tokens"),
        ("chat.completions", "gpt-4o", "max_tokens"),
        ("chat.completions", "SmolLM2-135M-Instruct", "max_tokens"),
        ("chat.completions", "o3-mini", "max_completion_tokens"),
        ("chat.completions", "openai/gpt-6-luna", "max_completion_tokens"),
    ],
)
@pytest.mark.parametrize("null", [False, True])
def test_a_cap_is_named_as_the_upstream_knows_it(endpoint: str, model: str, name: str, null: bool) -> None:
    rest = b'"model":"x", "n":1 }'
    body = b' { "%b" : null ,%b' % (name.encode(), rest) if null else b" { " + rest
    facts = read(ENDPOINTS[endpoint], body)
    capped = with_cap(endpoint, model, body, facts, 1000)
    expected = b' { "%b" : 1000 ,%b' if null else b' {"%b":1000, %b'
    assert capped == expected % (name.encode(), rest)
    assert read(ENDPOINTS[endpoint], capped).max_output == 1000


@given(
    st.dictionaries(st.text(max_size=4).map("x".__add__), _VALUES, max_size=4),
    st.fixed_dictionaries(
        {"model": st.just("a")},
        optional={"max_tokens": st.none(), "max_completion_tokens": st.none(), "stream_options": _OPTIONS},
    ),
    st.integers(1, 10**9),
    st.sampled_from(["gpt-4o", "gpt-5"]),
    st.sampled_from([None, 1]),
)
def test_a_capped_body_takes_the_other_changes_too(
    others: dict[str, Any], ours: dict[str, Any], cap: int, model: str, indent: int | None
) -> None:
    asked = {**others, **ours, "stream": True}
    body = json.dumps(asked, indent=indent).encode()
    capped = with_cap("chat.completions", model, body, read(CHAT, body), cap)
    name = "max_completion_tokens" if model == "gpt-5" else "max_tokens"
    assert json.loads(capped) == {**asked, name: cap}
    facts = read(CHAT, capped)
    assert facts.max_output == cap
    changed = with_usage(with_model(capped, facts, model), facts)
    options = {**(asked.get("stream_options") or {}), "include_usage": True}
    assert json.loads(changed) == {**asked, name: cap, "model": model, "stream_options": options}


@pytest.mark.parametrize("before", ['"m"', '"a-model-with-a-name-that-is-longer-than-what-is-added"'])
@pytest.mark.parametrize("said", ["", ',"a":null', ',"b":null,"a":null', ',"a":"mine"'])
def test_absent_members_are_added_and_what_is_said_stays(before: str, said: str) -> None:
    body = b'{"model":%b,"stream":true%b}' % (before.encode(), said.encode())
    facts = read(CHAT, body)
    changed = with_absent(body, facts, {"a": b'"A"', "b": b'"B"'})
    changed = with_model(with_usage(changed, facts), facts, "x")
    assert json.loads(changed) == {
        "model": "x",
        "stream": True,
        "stream_options": {"include_usage": True},
        "a": "mine" if '"mine"' in said else "A",
        "b": "B",
    }
