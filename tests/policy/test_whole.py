"""One look at a plain answer says what three looks say."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.entry import worth_keeping_plain
from gateway.policy.usage import usage_of
from gateway.policy.whole import _ANSWER, Whole, read_whole

CHAT = {
    "id": "c",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    "service_tier": "flex",
}
RESPONSE = {
    "status": "completed",
    "output": [{"type": "web_search_call", "id": "ws", "action": {"type": "search"}}],
    "usage": {"input_tokens": 3, "output_tokens": 4},
}
ENDPOINTS = ("chat.completions", "completions", "responses", "embeddings", "moderations")
_SYNTAX = msgspec.json.Decoder(msgspec.Raw)


def one_by_one(endpoint: str, status: int, kind: str, body: bytes) -> Whole | None:
    try:
        _SYNTAX.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return Whole(usage_of(endpoint, body), worth_keeping_plain(endpoint, status, kind, body))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just(RESPONSE["output"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
members = st.sampled_from([*CHAT, *RESPONSE, "data", "results", "error", "object"])


@settings(max_examples=400)
@given(
    endpoint=st.sampled_from(ENDPOINTS),
    whole=st.sampled_from([CHAT, RESPONSE, {"data": [{"embedding": [0.5]}]}, {"results": [{}]}]),
    wrong=st.dictionaries(members, values, max_size=2),
    status=st.sampled_from([200, 201]),
    kind=st.sampled_from(["application/json", "application/json; charset=utf-8", "text/json"]),
    at=st.integers(0, 400),
    byte=st.none() | st.integers(0, 255),
)
def test_one_look_says_what_three_say(
    endpoint: str,
    whole: dict[str, Any],
    wrong: dict[str, Any],
    status: int,
    kind: str,
    at: int,
    byte: int | None,
) -> None:
    body = bytearray(json.dumps(whole | wrong).encode())
    if byte is not None:
        body[at % len(body)] = byte
    assert read_whole(endpoint, status, kind, bytes(body)) == one_by_one(endpoint, status, kind, bytes(body))


def test_what_is_used_and_worth_keeping() -> None:
    whole = read_whole("chat.completions", 200, "application/json", json.dumps(CHAT).encode())
    assert whole is not None
    assert whole.usage is not None
    assert (whole.usage.total, whole.usage.tier, whole.worth) == (7, "flex", True)
    whole = read_whole("responses", 200, "application/json", json.dumps(RESPONSE).encode())
    assert whole is not None
    assert whole.usage is not None
    assert (whole.usage.web_searches, whole.worth) == (1, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"a":1}x',
        b'{"a":1}{"b":2}',
        b'{"x":[1,}',
        b'{"x":{"y":tru}}',
        b'{"x":01}',
        b'{"x":"\n"}',
        b'{"x":"\\q"}',
        b'{"choices":[],"x":nul}',
        b'{"x":' + b"[" * 100_000,
    ],
)
def test_what_is_no_json_is_no_answer_wherever_it_is_broken(body: bytes) -> None:
    assert read_whole("chat.completions", 200, "application/json", body) is None


@pytest.mark.parametrize(
    "body", [b"[]", b"1", b'"a"', b"null", b'{"choices":5}', b'{"output":{"a":1}}', b"{} \n"]
)
def test_json_of_another_shape_is_an_answer_that_says_nothing(body: bytes) -> None:
    assert read_whole("responses", 200, "application/json", body) == Whole(None, worth=False)


@given(st.binary(max_size=40), st.sampled_from([b'{"x":%b}', b'{"choices":[],"x":"%b"}', b"%b", b"{}%b"]))
def test_what_the_shape_takes_is_json_as_a_whole(noise: bytes, around: bytes) -> None:
    """What this rests on: a member that no shape names is checked as if nothing but its syntax were asked."""
    body = around.replace(b"%b", noise)
    try:
        _ANSWER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    _SYNTAX.decode(body)
