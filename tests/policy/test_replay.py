"""An answer is told as it was asked for, and says the same either way."""

import json
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from gateway.policy import sse
from gateway.policy.entry import Entry, worth_keeping_plain, worth_keeping_stream
from gateway.policy.records import Usage
from gateway.policy.replay import for_plain, for_stream
from gateway.policy.usage import Meter

DONE = b"data: [DONE]\n\n"
CHAT, COMPLETIONS = "chat.completions", "completions"
COUNTS = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
HEAD = {"id": "x-1", "created": 1_741_569_952, "model": "gpt-4.1", "system_fingerprint": "fp_1"}


def entry(mode: Literal["plain", "stream"], chunks: list[bytes], usage: Usage | None = None) -> Entry:
    return Entry(mode, 200, [], chunks, created=0, model="m", upstream="u", usage=usage)


def plain(answer: Any) -> Entry:
    return entry("plain", [json.dumps(answer).encode()])


def event(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def chunks(events: list[bytes] | None) -> list[Any]:
    assert events is not None
    assert events[-1] == DONE
    return [json.loads(sse.data(raw)) for raw in events[:-1] if sse.data(raw)]


def stream(endpoint: str, answer: Any, include_usage: bool = True) -> list[bytes]:
    events = for_stream(endpoint, plain(answer), include_usage)
    assert events is not None
    return events


def whole(endpoint: str, events: list[bytes]) -> Any:
    told = for_plain(endpoint, entry("stream", events))
    assert told is not None
    return json.loads(told)


texts = st.none() | st.text(max_size=8)
tokens = st.lists(
    st.fixed_dictionaries(
        {
            "token": st.text(max_size=3),
            "logprob": st.floats(-9, 0),
            "bytes": st.none(),
            "top_logprobs": st.just([]),
        }
    ),
    max_size=3,
)
calls = st.builds(
    lambda name, arguments: {
        "id": "call_1",
        "type": "function",
        "function": {"name": name, "arguments": arguments},
    },
    *(st.text(max_size=4), st.text(max_size=9)),
)
messages = st.fixed_dictionaries(
    {"role": st.just("assistant"), "content": texts, "refusal": texts},
    optional={"tool_calls": st.lists(calls, max_size=3), "annotations": st.just([])},
)
chat_choices = st.fixed_dictionaries(
    {
        "message": messages,
        "logprobs": st.none() | st.fixed_dictionaries({"content": tokens, "refusal": st.none() | tokens}),
        "finish_reason": st.sampled_from(["stop", "length", "tool_calls"]),
    }
)
text_choices = st.fixed_dictionaries(
    {
        "text": st.text(max_size=8),
        "logprobs": st.none() | st.fixed_dictionaries({"tokens": st.lists(st.text(max_size=2), max_size=3)}),
        "finish_reason": st.sampled_from(["stop", "length"]),
    }
)


def answers(kind: str, choices: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    several = st.lists(choices, min_size=1, max_size=3).map(
        lambda ones: [{"index": at, **one} for at, one in enumerate(ones)]
    )
    return several.map(lambda ones: HEAD | {"object": kind, "choices": ones, "usage": COUNTS})


@given(answers("chat.completion", chat_choices), st.sampled_from([{}, {"service_tier": "default"}]))
def test_a_chat_completion_survives_both_ways(answer: Any, tier: Any) -> None:
    answer |= tier
    events = stream(CHAT, answer)
    assert whole(CHAT, events) == answer
    ChatCompletion.model_validate(answer)
    for said in chunks(events):
        ChatCompletionChunk.model_validate(said)
        assert {name: said[name] for name in HEAD} == HEAD


@given(answers("text_completion", text_choices))
def test_a_completion_survives_both_ways(answer: Any) -> None:
    events = stream(COMPLETIONS, answer)
    assert whole(COMPLETIONS, events) == answer
    Completion.model_validate(answer)
    for said in chunks(events):
        assert said["object"] == "text_completion"


@given(answers("chat.completion", chat_choices))
def test_what_was_told_as_a_stream_is_metered_as_a_stream(answer: Any) -> None:
    assert worth_keeping_plain(CHAT, 200, "application/json", json.dumps(answer).encode())
    meter = Meter(CHAT, hide_usage=True)
    passed = [raw for raw in map(meter.event, stream(CHAT, answer)) if raw is not None]
    assert worth_keeping_stream(CHAT, meter)
    assert meter.usage == Usage(19, 10, 3, 0)
    assert all('"usage":{' not in raw.decode() for raw in passed)


def test_a_body_is_replayed_byte_for_byte() -> None:
    body = b'{ "choices" : [ ], "x": 1.50 }\n'
    for endpoint in (CHAT, "responses", "embeddings", "moderations"):
        assert for_plain(endpoint, entry("plain", [body])) == body


REAL = [
    event(
        HEAD | {"object": "chat.completion.chunk", "choices": [], "usage": None, "prompt_filter_results": []}
    ),
    b": ping\n\n",
    *(
        event(
            HEAD
            | {"object": "chat.completion.chunk", "choices": [choice], "usage": None, "obfuscation": "Zk"}
        )
        for choice in (
            {
                "index": 0,
                "delta": {"role": "assistant", "content": "", "refusal": None},
                "finish_reason": None,
            },
            {"index": 0, "delta": {"content": "Hel"}, "finish_reason": None},
            {"index": 0, "delta": {"content": "lo"}, "finish_reason": None},
            {"index": 0, "delta": {}, "finish_reason": "stop"},
        )
    ),
    event(HEAD | {"object": "chat.completion.chunk", "choices": [], "usage": COUNTS}),
    DONE,
]


def test_a_stream_is_replayed_byte_for_byte() -> None:
    assert for_stream(CHAT, entry("stream", REAL), include_usage=True) == REAL
    assert for_stream(CHAT, entry("stream", REAL), include_usage=False) == [*REAL[:-2], DONE]


def test_a_stream_without_usage_gets_it_for_a_client_that_asked() -> None:
    mute = [*REAL[:-2], DONE]
    *_, last = chunks(for_stream(CHAT, entry("stream", mute, Usage(19, 10)), include_usage=True))
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 29)
    ChatCompletionChunk.model_validate(last)


def test_a_real_stream_makes_a_chat_completion() -> None:
    answer = ChatCompletion.model_validate(whole(CHAT, REAL))
    assert (answer.id, answer.object, answer.created) == ("x-1", "chat.completion", 1_741_569_952)
    assert answer.choices[0].message.content == "Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 29


def test_responses_are_replayed_and_cut_out() -> None:
    inner = b'{"id":"resp_1", "status":"completed","output":[]}'
    events = [
        b'event: response.created\ndata: {"type":"response.created","response":{}}\n\n',
        b'event: response.completed\ndata: {"type":"response.completed","response":' + inner + b"}\n\n",
    ]
    assert for_stream("responses", entry("stream", events), include_usage=False) == events
    assert for_plain("responses", entry("stream", events)) == inner
    told = for_stream("responses", entry("plain", [inner]), include_usage=True)
    assert told is not None
    assert for_plain("responses", entry("stream", told)) == inner.replace(b" ", b"")


@pytest.mark.parametrize("endpoint", ["embeddings", "moderations", "other"])
def test_other_answers_have_one_form(endpoint: str) -> None:
    assert for_stream(endpoint, plain({"data": []}), include_usage=False) is None
    assert for_plain(endpoint, entry("stream", REAL)) is None


def test_what_cannot_be_told_faithfully_is_a_miss() -> None:
    spoken = {"role": "assistant", "content": None, "audio": {"id": "audio_1", "data": "UklGRg=="}}
    choice = {"index": 0, "message": spoken, "finish_reason": "stop"}
    assert for_stream(CHAT, plain(HEAD | {"choices": [choice]}), include_usage=False) is None
    delta = {"index": 0, "delta": {"audio": {"data": "UklGRg=="}}, "finish_reason": "stop"}
    assert for_plain(CHAT, entry("stream", [event({"choices": [delta]}), DONE])) is None
    assert for_plain("responses", entry("stream", [DONE])) is None


@given(st.sampled_from([CHAT, COMPLETIONS, "responses"]), st.binary(max_size=50), st.booleans())
def test_noise_is_a_miss_and_never_an_exception(endpoint: str, noise: bytes, include_usage: bool) -> None:
    assert for_stream(endpoint, entry("plain", [noise]), include_usage) is None
    for_plain(endpoint, entry("stream", [b"data: " + noise + b"\n\n"]))


def test_no_depth_raises() -> None:
    for n in range(1, 1200):
        deep = b'{"choices":[{"index":0,"text":"","finish_reason":"stop"}],"x":' + b"[" * n + b"]" * n + b"}"
        for_stream(COMPLETIONS, entry("plain", [deep]), include_usage=False)
        for_plain(COMPLETIONS, entry("stream", [b"data: " + deep + b"\n\n"]))
