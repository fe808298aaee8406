"""Completions as chats: what goes over, what is refused, and for which models."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.policy.bridge import prompt_length, speaks_only_chat, to_chat
from gateway.policy.endpoints import TABLE
from gateway.policy.facts import Facts, read

ENDPOINTS = {endpoint.name: endpoint for endpoint in TABLE}
CHAT = "gpt-3.5-turbo"


def facts_of(body: bytes) -> Facts:
    return read(ENDPOINTS["completions"], body, engine="davinci")


def bridged(model: str = CHAT, **fields: Any) -> dict[str, Any]:
    body = json.dumps({"prompt": "Once", **fields}).encode()
    return json.loads(to_chat(body, facts_of(body), model))  # type: ignore[no-any-return]


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refused:
        bridged(**fields)
    assert refused.value.code == "cannot_bridge"
    return refused.value


def test_the_prompt_is_what_the_user_says() -> None:
    assert bridged() == {
        "model": CHAT,
        "messages": [{"role": "user", "content": "Once"}],
        "max_tokens": 16,
    }


def test_bytes_go_over_as_they_are() -> None:
    body = '{ "prompt" : ["\\u0041ä\\/"], "temperature": 0.70, "stop":["\\n", "z"] }'.encode()
    chat = to_chat(body, facts_of(body), CHAT)
    assert chat == (
        b'{"model":"gpt-3.5-turbo","messages":[{"role":"user","content":"\\u0041\xc3\xa4\\/"}],'
        b'"stop":["\\n", "z"],"temperature":0.70,"max_tokens":16}'
    )


def test_what_both_apis_have_goes_over() -> None:
    both: dict[str, Any] = {
        "n": 2,
        "stop": ["a", "b"],
        "temperature": 0.5,
        "top_p": 0.25,
        "presence_penalty": -1.5,
        "frequency_penalty": 1,
        "logit_bias": {"50256": -100},
        "seed": 7,
        "user": "ann",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    chat = bridged(**both)
    assert {name: chat[name] for name in both} == both


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        (CHAT, {"max_tokens": 5}, {"max_tokens": 5}),
        ("gpt-4o", {}, {"max_tokens": 16}),
        ("gpt-4o", {"max_tokens": None}, {"max_tokens": 16}),
        ("gpt-5.6-terra", {"max_tokens": 5}, {"max_completion_tokens": 5, "reasoning_effort": "none"}),
        ("gpt-6-luna", {}, {"max_completion_tokens": 16, "reasoning_effort": "none"}),
        ("gpt-5", {}, {"max_completion_tokens": 16, "reasoning_effort": "minimal"}),
        ("gpt-5-mini-2025-08-07", {}, {"max_completion_tokens": 16, "reasoning_effort": "minimal"}),
        ("gpt-5.3-chat-latest", {}, {"max_completion_tokens": 16}),
        ("o3", {}, {"max_completion_tokens": 16, "reasoning_effort": "low"}),
    ],
)
def test_the_bound_has_the_name_that_the_model_knows(
    model: str, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    chat = bridged(model, **fields)
    assert {name: chat[name] for name in chat.keys() - {"model", "messages"}} == expected


@pytest.mark.parametrize("top", range(6))
def test_logprobs_are_asked_for_in_two_members(top: int) -> None:
    chat = bridged(logprobs=top)
    assert (chat["logprobs"], chat["top_logprobs"]) == (True, top)


@pytest.mark.parametrize(
    "fields",
    [
        {"echo": False, "suffix": "", "best_of": 1},
        {"echo": None, "suffix": None, "best_of": None, "logprobs": None, "n": None, "stop": None},
        {"best_of": 0},
    ],
)
def test_what_asks_for_nothing_is_left_out(fields: dict[str, Any]) -> None:
    assert bridged(**fields) == bridged()
    assert bridged(n=3, best_of=3) == bridged(n=3)


@pytest.mark.parametrize(
    "fields",
    [
        {"echo": True},
        {"suffix": "."},
        {"best_of": 2},
        {"n": 2, "best_of": 3},
        {"max_tokens": 0},
        {"logprobs": 6},
        {"logprobs": True},
        {"logprobs": -1},
        {"prompt": None},
        {"prompt": []},
        {"prompt": ["one", "two"]},
        {"prompt": [15339, 1917]},
        {"prompt": [[15339]]},
        {"prompt": {"text": "x"}},
        {"prompt": 7},
        {"messages": [{"role": "user", "content": "x"}]},
        {"tools": []},
    ],
)
def test_what_a_chat_cannot_do_is_refused_by_name(fields: dict[str, Any]) -> None:
    refused = refusal(**fields)
    assert refused.param == list(fields)[-1]
    assert f"'{refused.param}'" in refused.message
    assert refused.status == 400


def test_a_missing_prompt_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refused:
        to_chat(b"{}", facts_of(b"{}"), CHAT)
    assert (refused.value.code, refused.value.param) == ("cannot_bridge", "prompt")


@pytest.mark.parametrize("name", ["a\nb", "x" * 65])
def test_a_name_that_cannot_be_shown_is_not(name: str) -> None:
    refused = refusal(**{name: 1})
    assert refused.param is None
    assert name not in refused.message


@pytest.mark.parametrize("prompt", [["secret one", "secret two"], [["secret"]], {"a": "secret"}])
def test_a_refusal_does_not_repeat_the_prompt(prompt: Any) -> None:
    assert "secret" not in refusal(prompt=prompt).message


@given(
    prompt=st.text(max_size=20),
    listed=st.booleans(),
    fields=st.fixed_dictionaries(
        {},
        optional={
            "n": st.integers(1, 128),
            "max_tokens": st.integers(1, 10**6),
            "temperature": st.floats(0, 2),
            "logprobs": st.integers(0, 5),
            "stop": st.text(max_size=3) | st.lists(st.text(max_size=3), max_size=4),
            "user": st.text(max_size=5),
            "stream": st.booleans(),
        },
    ),
)
def test_a_chat_is_what_the_gateway_itself_reads_the_same(
    prompt: str, listed: bool, fields: dict[str, Any]
) -> None:
    body = json.dumps({"prompt": [prompt] if listed else prompt, **fields}).encode()
    asked = facts_of(body)
    chat = to_chat(body, asked, "gpt-5.6-terra")
    sent = read(ENDPOINTS["chat.completions"], chat)
    assert json.loads(chat)["messages"] == [{"role": "user", "content": prompt}]
    assert (sent.model, sent.stream, sent.n) == ("gpt-5.6-terra", asked.stream, asked.n)
    assert sent.max_output == fields.get("max_tokens", 16)
    assert prompt_length(body, asked) == len(prompt)


@pytest.mark.parametrize(
    "model",
    [
        *(
            "gpt-3.5-turbo",
            "gpt-3.5-turbo-0125",
            "gpt-4",
            "gpt-4-turbo",
            "gpt-4o-mini",
            "gpt-4.1",
            "chatgpt-4o-latest",
        ),
        *(
            "gpt-5",
            "gpt-5-mini",
            "gpt-5.6-terra",
            "gpt-6-luna",
            "gpt-10",
            "o1",
            "o3-mini",
            "o4-mini-2025-04-16",
        ),
        *(
            "gpt-5.3-chat-latest",
            "ft:gpt-4o-2024-08-06:org::id",
            "ft:gpt-3.5-turbo-0125:some-instruct-pro:image:id",
        ),
    ],
)
def test_speaks_only_chat(model: str) -> None:
    assert speaks_only_chat(model)


@pytest.mark.parametrize(
    "model",
    [
        *("gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct-0914", "davinci-002", "ft:davinci-002:org::id"),
        *("text-davinci-003", "babbage-002", "llama-3", "gpt-oss-20b", "openai/gpt-4o", "gpt2", "olmo", ""),
        # these answer neither chats nor completions
        *("o1-pro", "gpt-5-pro-2025-10-06", "gpt-5.1-codex-max", "o3-deep-research", "gpt-5.6-cyber"),
        *("gpt-4o-realtime", "gpt-4o-transcribe", "gpt-4o-mini-tts", "gpt-4o-audio-preview"),
    ],
)
def test_may_complete_or_does_not_chat(model: str) -> None:
    assert not speaks_only_chat(model)
