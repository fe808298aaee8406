import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.cachekey import Widest, cache_key, canonical, scope_of, wish

SECRET = b"s" * 32
MEMBERS = [
    "stream",
    "stream_options",
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "encoding_format",
    "x",
]
CHAT = {"model": "m", "messages": [{"role": "user", "content": "é"}]}

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
questions = st.dictionaries(st.sampled_from(["messages", "seed", "x", "n", "stop"]), values, max_size=4)


def body(question: Any, **style: Any) -> bytes:
    return json.dumps(question, **style).encode()


def chat(**members: Any) -> bytes | None:
    return canonical("chat.completions", body(CHAT | members), "m")


def exact(value: Any) -> Any:
    """The value with its types, since Python takes 1, 1.0 and True for the same."""
    if isinstance(value, dict):
        return frozenset((name, exact(member)) for name, member in value.items())
    if isinstance(value, list):
        return tuple(exact(element) for element in value)
    return (type(value), str(value))


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shuffled(value[name]) for name in reversed(value)}
    return [shuffled(element) for element in value] if isinstance(value, list) else value


@given(questions, questions)
def test_two_questions_are_the_same_exactly_if_they_say_the_same(a: Any, b: Any) -> None:
    forms = [canonical("chat.completions", body(question), "m") for question in (a, b)]
    assert None not in forms
    assert (forms[0] == forms[1]) is (exact(a) == exact(b))


@given(questions, st.booleans(), st.sampled_from([None, 2]))
def test_white_space_order_and_escapes_do_not_matter(
    question: Any, ascii_only: bool, indent: int | None
) -> None:
    other = body(shuffled(question), ensure_ascii=ascii_only, indent=indent)
    compact = body(question, separators=(",", ":"))
    assert canonical("completions", other, "m") == canonical("completions", compact, "m")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0),
        (1, True),
        ("é", "e\u0301"),
        (2**64, 2**64 + 1),
        (10**30, 10**30 + 1),
        (None, 0),
        ([1, 2], [2, 1]),
        ("1", 1),
    ],
)
def test_near_same_is_not_the_same(a: Any, b: Any) -> None:
    assert chat(seed=a) != chat(seed=b)
    assert None not in (chat(seed=a), chat(seed=b))


@pytest.mark.parametrize(
    ("endpoint", "silent"),
    [
        (
            "chat.completions",
            "stream stream_options user safety_identifier prompt_cache_key prompt_cache_retention",
        ),
        (
            "completions",
            "stream stream_options user safety_identifier prompt_cache_key prompt_cache_retention",
        ),
        ("embeddings", "user"),
        ("responses", "stream stream_options"),
        ("moderations", ""),
    ],
)
def test_what_never_changes_the_answer_is_left_out(endpoint: str, silent: str) -> None:
    question = {"input": "x", **({"store": False} if endpoint == "responses" else {})}
    plain = canonical(endpoint, body(question), "m")
    assert plain is not None
    for member in MEMBERS:
        form = canonical(endpoint, body(question | {member: "z"}), "m")
        assert (form == plain) is (member in silent.split()), member


def test_a_nested_member_of_that_name_counts() -> None:
    assert chat(messages=[{"role": "user", "content": "x", "user": "a"}]) != chat(
        messages=[{"role": "user", "content": "x"}]
    )


def test_the_model_is_the_one_that_is_asked() -> None:
    assert canonical("chat.completions", body(CHAT | {"model": "alias"}), "real") == canonical(
        "chat.completions", body(CHAT | {"model": "real"}), "real"
    )
    assert chat() != canonical("chat.completions", body(CHAT), "other")


@pytest.mark.parametrize("space", ["", " "])
@pytest.mark.parametrize(
    "repeated",
    [
        '{"model":"m",%s"seed":1,"seed":2}',
        '{"messages":[{"role":"user",%s"content":"a","content":"b"}]}',
        '{"messages":[{"a":{"b":[{"c":1,%s"\\u0063":2}]}}]}',
        '{"a":1,%s"a":1}',
    ],
)
def test_a_question_that_names_a_member_twice_is_not_cached(repeated: str, space: str) -> None:
    assert canonical("chat.completions", (repeated % space).encode(), "m") is None


@pytest.mark.parametrize(
    "noise", [b"", b"{", b"[]", b'"x"', b'{"a":NaN}', b'{"a":1e999}', b'{"a":"\\ud800"}', b'{"a":"\xff"}']
)
def test_what_is_no_question_is_not_cached(noise: bytes) -> None:
    assert canonical("chat.completions", noise, "m") is None


@given(st.binary(max_size=40))
def test_no_noise_raises(noise: bytes) -> None:
    canonical("chat.completions", noise, "m")


def test_no_depth_raises() -> None:
    forms = [canonical("completions", b'{"a":' + b"[" * n + b"]" * n + b"}", "m") for n in range(1, 1200)]
    assert forms[0] is not None
    assert forms[-1] is None


def test_an_unknown_endpoint_is_not_cached() -> None:
    assert canonical("images.generations", body({"prompt": "x"}), "m") is None


@pytest.mark.parametrize(
    "members",
    [
        {"store": True},
        {"modalities": ["text", "audio"]},
        {"modalities": 7},
        {"audio": {"voice": "x"}},
        {"web_search_options": {}},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": ["function"]}]},
        {"tools": {}},
    ],
)
def test_a_completion_that_rests_on_more_than_the_question_is_not_cached(members: Any) -> None:
    assert chat(**members) is None


@pytest.mark.parametrize(
    "members",
    [
        {"store": False},
        {"store": None},
        {"modalities": ["text"]},
        {"n": 2},
        {"temperature": 1.5},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tools": None},
    ],
)
def test_a_completion_that_rests_on_the_question_is_cached(members: Any) -> None:
    assert chat(**members) is not None


def test_a_model_that_searches_the_web_is_not_cached() -> None:
    assert canonical("chat.completions", body(CHAT), "gpt-4o-search-preview") is None


@pytest.mark.parametrize(
    ("members", "cached"),
    [
        ({"store": False}, True),
        (
            {"store": False, "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}]},
            True,
        ),
        ({"store": False, "previous_response_id": None, "background": False}, True),
        ({}, False),
        ({"store": None}, False),
        ({"store": 0}, False),
        ({"store": True}, False),
        ({"store": False, "previous_response_id": "resp_1"}, False),
        ({"store": False, "conversation": {"id": "conv_1"}}, False),
        ({"store": False, "background": True}, False),
        ({"store": False, "prompt": {"id": "pmpt_1"}}, False),
        *(
            ({"store": False, "tools": [{"type": tool}]}, False)
            for tool in ("web_search", "file_search", "code_interpreter", "mcp", "image_generation", "new")
        ),
    ],
)
def test_which_responses_are_cached(members: Any, cached: bool) -> None:
    form = canonical("responses", body({"model": "m", "input": "x"} | members), "m")
    assert (form is not None) is cached


parts = st.fixed_dictionaries(
    {
        "scope": st.sampled_from(["all", "team:a", "key:a"]),
        "upstreams": st.lists(st.sampled_from(["", "a", "ab", "b"]), max_size=3),
        "endpoint": st.sampled_from(["", "a", "responses"]),
        "question": st.sampled_from([b"", b"a", b"{}"]),
        "vary": st.lists(
            st.tuples(st.sampled_from(["", "a", "b"]), st.sampled_from(["", "a", "b"])), max_size=2
        ),
    }
)


@given(parts, parts)
def test_keys_are_equal_exactly_if_all_parts_are(a: Any, b: Any) -> None:
    same = all(a[name] == b[name] for name in a if name != "upstreams")
    same = same and set(a["upstreams"]) == set(b["upstreams"])
    assert (cache_key(SECRET, **a) == cache_key(SECRET, **b)) is same


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ({"vary": [("a", "bc")]}, {"vary": [("ab", "c")]}),
        ({"vary": [("a", ""), ("", "b")]}, {"vary": [("", "a"), ("b", "")]}),
        ({"upstreams": ["a", "bc"]}, {"upstreams": ["ab", "c"]}),
        ({"scope": "key:a", "upstreams": ["b"]}, {"scope": "key:ab", "upstreams": [""]}),
        ({"endpoint": "ab", "question": b""}, {"endpoint": "a", "question": b"b"}),
    ],
)
def test_parts_do_not_run_into_each_other(a: Any, b: Any) -> None:
    part: Any = {"scope": "all", "upstreams": [], "endpoint": "e", "question": b"q", "vary": []}
    assert cache_key(SECRET, **part | a) != cache_key(SECRET, **part | b)


def test_a_key_is_32_bytes_and_needs_the_secret() -> None:
    part: Any = {
        "scope": "all",
        "upstreams": [],
        "endpoint": "e",
        "question": b"q",
        "vary": [("h", "\udcff")],
    }
    assert len(cache_key(SECRET, **part)) == 32
    assert cache_key(SECRET, **part) != cache_key(b"t" * 32, **part)


@pytest.mark.parametrize(
    ("team", "widest", "asked", "scope"),
    [
        ("t", "team", None, "team:t"),
        ("t", "all", None, "all"),
        ("t", "private", None, "key:k"),
        (None, "team", None, "key:k"),
        (None, "all", None, "all"),
        ("t", "all", "private", "key:k"),
        ("t", "all", "team", "team:t"),
        ("t", "team", "all", "team:t"),
        ("t", "private", "all", "key:k"),
        ("t", "all", " Private ", "key:k"),
        ("t", "all", "pirvate", "key:k"),
    ],
)
def test_scope(team: str | None, widest: Widest, asked: str | None, scope: str) -> None:
    assert scope_of("k", team, widest, asked) == scope


@given(st.sampled_from(get_args(Widest)), st.none() | st.text(max_size=8))
def test_a_header_never_widens(widest: Widest, asked: str | None) -> None:
    breadth = ["key:k", "team:t", "all"].index
    assert breadth(scope_of("k", "t", widest, asked)) <= breadth(scope_of("k", "t", widest, None))


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({}, "use"),
        ({"x-gateway-cache": "bypass"}, "bypass"),
        ({"x-gateway-cache": " Refresh"}, "refresh"),
        ({"x-gateway-cache": "hit"}, "use"),
        ({"cache-control": "no-store"}, "bypass"),
        ({"cache-control": "max-age=0, No-Cache"}, "refresh"),
        ({"cache-control": "no-cache, no-store"}, "bypass"),
        ({"cache-control": 'ext="no-store"'}, "use"),
        ({"x-gateway-cache": "refresh", "cache-control": "no-store"}, "bypass"),
    ],
)
def test_wish(headers: dict[str, str], wanted: str) -> None:
    assert wish(headers) == wanted
