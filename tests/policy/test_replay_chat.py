from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.replay_chat import join, split
from gateway.policy.replay_chunks import UnfaithfulError

CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


def choice(logprobs: Any = None, reason: str = "stop", **message: Any) -> dict[str, Any]:
    whole = {"role": "assistant", "content": None, **message}
    return {"index": 0, "message": whole, "logprobs": logprobs, "finish_reason": reason}


def piece(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": reason}


def token(text: str) -> dict[str, Any]:
    return {"token": text, "logprob": -0.25, "bytes": list(text.encode()), "top_logprobs": []}


texts = st.none() | st.text(max_size=8)
calls = st.builds(
    lambda call, name, arguments: {
        "id": "call_" + call,
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    },
    *(st.text(max_size=4), st.text(max_size=4), st.text(max_size=8)),
)
messages = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": texts, "refusal": texts},
    optional={
        "tool_calls": st.none() | st.lists(calls, max_size=3),
        "function_call": st.none()
        | st.fixed_dictionaries({"name": st.text(max_size=4), "arguments": st.text()}),
        "annotations": st.none() | st.lists(st.just({"type": "url_citation"}), max_size=2),
        "audio": st.none(),
        "reasoning_content": texts,
        "padding": st.integers() | st.booleans(),
    },
)
tokens = st.none() | st.lists(st.text(max_size=2).map(token), max_size=3)
choices = st.fixed_dictionaries(
    {
        "index": st.integers(0, 3),
        "message": messages,
        "finish_reason": st.sampled_from(["stop", "length", "tool_calls", "function_call"]),
    },
    optional={
        "logprobs": st.none() | st.fixed_dictionaries({"content": tokens, "refusal": tokens}),
        "stop_reason": st.none() | st.integers(),
        "content_filter_results": st.just({"hate": {"filtered": False}}),
    },
)


@given(choices)
def test_apart_and_together_again(whole: dict[str, Any]) -> None:
    assert join(split(whole)) == whole


def test_each_piece_says_one_thing_and_the_last_why_it_ends() -> None:
    pieces = split(choice(content="Hi", tool_calls=[CALL, CALL], reason="tool_calls"))
    assert [piece["delta"] for piece in pieces] == [
        {"role": "assistant", "content": ""},
        {"content": "Hi"},
        {"tool_calls": [CALL | {"index": 0}]},
        {"tool_calls": [CALL | {"index": 1}]},
        {},
    ]
    assert [piece["finish_reason"] for piece in pieces] == [None] * 4 + ["tool_calls"]


def test_the_log_probabilities_come_with_the_text() -> None:
    logprobs = {"content": [token("Hi")], "refusal": None}
    assert [piece["logprobs"] for piece in split(choice(logprobs, content="Hi"))] == [None, logprobs, None]


def test_deltas_of_a_real_stream() -> None:
    parts: list[Any] = [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"a"'}},
        {"index": 1, "id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        {"index": 0, "id": "", "type": None, "function": {"name": "", "arguments": ":1}"}},
    ]
    joined = join(
        [
            piece(role="assistant", content="", refusal=None),
            piece(content="Hel"),
            piece(role="assistant", content="lo"),
            *(piece(tool_calls=[part]) for part in parts),
            piece("tool_calls"),
        ]
    )
    assert joined["message"] == {
        "role": "assistant",
        "content": "Hello",
        "refusal": None,
        "tool_calls": [
            CALL,
            {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }


def test_a_stream_that_says_little_still_makes_a_message() -> None:
    assert join([piece(function_call={"name": "f"}), piece(function_call={"arguments": "{"}), piece("stop")])[
        "message"
    ] == {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{"}}


@pytest.mark.parametrize(
    "message",
    [
        {"audio": {"id": "audio_1"}},
        {"tool_calls": [{"id": "call_1", "type": "custom", "custom": {"name": "c", "input": "x"}}]},
        {"tool_calls": "f"},
        {"reasoning_details": [{"text": "x"}]},
        {"content": [{"type": "text", "text": "x"}]},
    ],
)
def test_a_message_that_cannot_be_told_in_deltas(message: dict[str, Any]) -> None:
    with pytest.raises(UnfaithfulError):
        split(choice(**message))


@pytest.mark.parametrize(
    "pieces",
    [
        [piece(content="cut")],
        [piece("stop", audio={"data": "UklGRg=="})],
        [piece("stop", tool_calls=[{"function": {"name": "f"}}])],
        [piece("stop", tool_calls=[{"index": 0, "type": "custom", "custom": {"input": "x"}}])],
        [piece("stop", content=[{"type": "text", "text": "x"}])],
        [piece("stop", reasoning_details=[{"text": "x"}])],
        [{"index": 0, "delta": 7, "finish_reason": "stop"}],
        [{"index": 0, "delta": {}, "finish_reason": "stop", "token_ids": [1]}],
    ],
)
def test_deltas_that_make_no_message(pieces: list[dict[str, Any]]) -> None:
    with pytest.raises(UnfaithfulError):
        join(pieces)
