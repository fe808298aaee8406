"""Edits as chats and back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.policy.bridge_edits import from_chat, to_chat
from gateway.policy.endpoints import Body, Charge, Endpoint
from gateway.policy.facts import read

EDITS = Endpoint("edits", "POST", "/edits", "inference", Body.JSON, Charge.USAGE)
MODEL = "gpt-4o"


def bridged(model: str = MODEL, **fields: Any) -> dict[str, Any]:
    body = json.dumps(fields).encode()
    return json.loads(to_chat(body, read(EDITS, body, engine="e"), model))  # type: ignore[no-any-return]


def test_the_instruction_is_the_systems_and_the_input_the_users() -> None:
    chat = bridged(instruction="Fix the spelling.", input="helo", n=2, temperature=0.5, top_p=1)
    assert chat == {
        "model": MODEL,
        "messages": [{"role": "system", "content": "Fix the spelling."}, {"role": "user", "content": "helo"}],
        "n": 2,
        "temperature": 0.5,
        "top_p": 1,
    }


@pytest.mark.parametrize("fields", [{}, {"input": None}, {"input": ""}])
def test_there_need_be_no_input(fields: dict[str, Any]) -> None:
    chat = bridged(instruction="Write.", **fields)
    assert [message["content"] for message in chat["messages"]] == ["Write.", ""]


def test_a_model_that_thinks_is_to_think_little() -> None:
    assert bridged("gpt-6-luna", instruction="x")["reasoning_effort"] == "none"
    assert "reasoning_effort" not in bridged(instruction="x")


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "secret"},
        {"input": "secret", "instruction": None},
        {"instruction": ["secret"]},
        {"instruction": "x", "input": ["secret"]},
        {"instruction": "x", "max_tokens": 5},
        {"instruction": "x", "stream": True},
    ],
)
def test_what_no_edit_has_is_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        bridged(**fields)
    named = "instruction" if fields.get("instruction") is None else list(fields)[-1]
    assert (refused.value.code, refused.value.param, refused.value.status) == ("cannot_bridge", named, 400)
    assert "secret" not in refused.value.message


def test_the_answer_is_an_edit() -> None:
    usage = b'{"prompt_tokens":5, "completion_tokens":7,"total_tokens":12.0}'
    chat = (
        b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":['
        b'{"index":0,"message":{"role":"assistant","content":"hello","refusal":null},"finish_reason":"stop"},'
        b'{"index":1,"message":{"content":null,"refusal":"No."},"finish_reason":"stop"}],"usage":%b}' % usage
    )
    edit = from_chat(chat)
    assert json.loads(edit) == {
        "object": "edit",
        "created": 1700000000,
        "choices": [{"text": "hello", "index": 0}, {"text": "No.", "index": 1}],
        "usage": json.loads(usage),
    }
    assert usage in edit


@pytest.mark.parametrize("body", [b'{"error":{"message":"no"}}', b"<html>", b"[]", b'{"choices":"x"}', b""])
def test_what_is_no_answer_of_a_chat_stays_as_it_is(body: bytes) -> None:
    assert from_chat(body) == body


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_goes_over(instruction: str, text: str) -> None:
    chat = bridged(instruction=instruction, input=text)
    assert [message["content"] for message in chat["messages"]] == [instruction, text]
