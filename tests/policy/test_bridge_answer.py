"""Answers of chats as completions: their text, reasons, logprobs and counts; and clients read them."""

import json
from itertools import pairwise
from typing import Any

import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.bridge_answer import Answer, from_chat

USAGE = b'{"prompt_tokens":5, "completion_tokens":7,"total_tokens":12.0}'


def token(text: str | bytes, logprob: float = -0.5, **top: float) -> dict[str, Any]:
    encoded = text.encode() if isinstance(text, str) else text
    shown = text if isinstance(text, str) else repr(text)
    likely = [{"token": each, "logprob": value, "bytes": None} for each, value in top.items()]
    return {"token": shown, "logprob": logprob, "bytes": list(encoded), "top_logprobs": likely}


def choice(content: str | None, index: int = 0, reason: str = "stop", **more: Any) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None, "annotations": []}
    return {"index": index, "message": message, "finish_reason": reason, **more}


def chat(*choices: dict[str, Any]) -> bytes:
    return (
        b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-5.6-terra-x",'
        b'"choices":%b,"usage":%b,"system_fingerprint":"fp_1"}' % (json.dumps(choices).encode(), USAGE)
    )


def completion(*choices: dict[str, Any], **how: Any) -> dict[str, Any]:
    return json.loads(from_chat(chat(*choices), **how))  # type: ignore[no-any-return]


def test_a_whole_answer() -> None:
    assert completion(choice(" upon a", reason="length"), choice("!", index=1)) == {
        "id": "chatcmpl-1",
        "object": "text_completion",
        "created": 1700000000,
        "model": "gpt-5.6-terra-x",
        "choices": [
            {"text": " upon a", "index": 0, "logprobs": None, "finish_reason": "length"},
            {"text": "!", "index": 1, "logprobs": None, "finish_reason": "stop"},
        ],
        "usage": json.loads(USAGE),
        "system_fingerprint": "fp_1",
    }


def test_usage_is_not_touched() -> None:
    assert b'"usage":' + USAGE in from_chat(chat(choice("x")))


def test_a_refusal_is_what_it_says() -> None:
    refused = choice(None)
    refused["message"]["refusal"] = "I will not."
    assert completion(refused)["choices"][0]["text"] == "I will not."
    assert completion(choice(None))["choices"][0]["text"] == ""


def test_logprobs_in_the_shape_of_completions() -> None:
    tokens = [token("On", -0.1, On=-0.1, In=-2.5), token("ce", -3.0, t=-0.25), token("!", 0)]
    said = completion(choice("Once!", logprobs={"content": tokens, "refusal": None}), offset=4)
    assert said["choices"][0]["logprobs"] == {
        "tokens": ["On", "ce", "!"],
        "token_logprobs": [-0.1, -3.0, 0],
        "top_logprobs": [{"On": -0.1, "In": -2.5}, {"t": -0.25, "ce": -3.0}, {"!": 0}],
        "text_offset": [4, 6, 8],
    }


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, {"content": []}])
def test_no_logprobs_are_none(logprobs: Any) -> None:
    assert completion(choice("x", logprobs=logprobs))["choices"][0]["logprobs"] is None


def offsets(tokens: list[dict[str, Any]], offset: int = 0) -> list[int]:
    said = completion(choice("x", logprobs={"content": tokens}), offset=offset)
    return said["choices"][0]["logprobs"]["text_offset"]  # type: ignore[no-any-return]


def test_a_token_within_a_character_stands_where_that_begins() -> None:
    smile = "😀".encode()
    assert offsets([token("a"), token(smile[:1]), token(smile[1:3]), token(smile[3:]), token("b")]) == [
        0,
        1,
        1,
        1,
        2,
    ]
    assert offsets([token(smile[1:]), token(smile[2:])], 3) == [
        3,
        3,
    ]  # bytes of which nobody sees the beginning
    assert offsets([token("ä") | {"bytes": None}, token(""), token("c")]) == [0, 1, 1]


@given(st.text(max_size=12), st.lists(st.integers(0, 40), max_size=6), st.integers(0, 50))
def test_offsets_hold_for_any_cut_of_the_text(text: str, cuts: list[int], offset: int) -> None:
    encoded = text.encode()
    edges = sorted({0, len(encoded), *(min(cut, len(encoded)) for cut in cuts)})
    pieces = [encoded[start:end] for start, end in pairwise(edges)]
    starts = [len(encoded[:start].decode(errors="ignore")) + offset for start in edges[:-1]]
    if pieces:
        assert offsets([token(piece) for piece in pieces], offset) == starts


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":{"message":"no","type":"server_error","param":null,"code":null}}',
        b'{"choices":null}',
        b'{"choices":"many"}',
        b'{"choices":[7]}',
        b'{"choices":[{"index":"first"}]}',
        b'{"choices":[{"message":{"content":[]}}]}',
        b'{"choices":[{"logprobs":{"content":[{"token":"x","logprob":0,"bytes":[256]}]}}]}',
        b"[]",
        b"<html>",
        b"",
        b"\xff",
    ],
)
def test_what_is_no_answer_of_a_chat_stays_as_it_is(body: bytes) -> None:
    assert from_chat(body) == body
    assert Answer().completion(body) is None


@given(st.binary(max_size=60))
def test_any_bytes_are_survived(body: bytes) -> None:
    assert from_chat(body) == body


@given(
    st.lists(
        st.tuples(st.text(max_size=10), st.sampled_from(["stop", "length", "content_filter"])), max_size=4
    )
)
def test_every_choice_keeps_its_text_and_its_reason(said: list[tuple[str, str]]) -> None:
    answer = completion(*(choice(text, at, reason) for at, (text, reason) in enumerate(said)))
    assert [(each["text"], each["finish_reason"]) for each in answer["choices"]] == said
    assert [each["index"] for each in answer["choices"]] == list(range(len(said)))


async def test_the_newest_client_reads_it() -> None:
    tokens = [token("Hel", -0.25), token("lo", -0.5)]
    body = from_chat(chat(choice("Hello", logprobs={"content": tokens})), 3)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/completions", answer)
    async with (
        TestServer(app) as server,
        openai.AsyncOpenAI(api_key="k", base_url=str(server.make_url("/v1"))) as client,
    ):
        read = await client.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hi!")
    assert (read.object, read.model, read.id) == ("text_completion", "gpt-5.6-terra-x", "chatcmpl-1")
    assert read.choices[0].text == "Hello"
    assert read.choices[0].logprobs is not None
    assert read.choices[0].logprobs.text_offset == [3, 6]
    assert read.usage is not None
    assert read.usage.total_tokens == 12
