"""Streams of chats as streams of completions, event by event; and clients of 2023 and of today read them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy import sse
from gateway.policy.bridge_answer import from_chat
from gateway.policy.bridge_stream import Bridge
from gateway.policy.replay_chat import join
from tests.legacy import legacy

COMMON = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1700000000,
    "model": "gpt-5.6-terra",
}
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def piece(index: int = 0, reason: str | None = None, logprobs: Any = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}


def chunk(*pieces: dict[str, Any], **more: Any) -> bytes:
    return event({**COMMON, "choices": list(pieces), **more})


def token(text: str) -> dict[str, Any]:
    return {"token": text, "logprob": -0.5, "bytes": list(text.encode()), "top_logprobs": []}


RECORDED = [
    chunk(piece(role="assistant", content="", refusal=None), usage=None, obfuscation="x1"),
    chunk(piece(content="Hel"), usage=None, obfuscation="x23"),
    chunk(piece(content="lo"), usage=None, obfuscation="x"),
    chunk(piece(reason="length"), usage=None, obfuscation="xyz"),
    chunk(usage=USAGE, obfuscation=""),
    DONE,
]


def read(raw: bytes) -> dict[str, Any]:
    return json.loads(sse.data(raw))  # type: ignore[no-any-return]


def test_every_event_becomes_one() -> None:
    bridge = Bridge()
    said = [read(bridge.event(raw)) for raw in RECORDED[:-1]]
    assert [[each["text"] for each in one["choices"]] for one in said] == [[""], ["Hel"], ["lo"], [""], []]
    assert said[1] == {
        "id": "chatcmpl-1",
        "object": "text_completion",
        "created": 1700000000,
        "model": "gpt-5.6-terra",
        "choices": [{"text": "Hel", "index": 0, "logprobs": None, "finish_reason": None}],
        "usage": None,
        "obfuscation": "x23",
    }
    assert said[3]["choices"][0]["finish_reason"] == "length"
    assert said[4]["usage"] == USAGE
    assert {one["object"] for one in said} == {"text_completion"}


@pytest.mark.parametrize(
    "raw",
    [
        DONE,
        b'data: {"error":{"message":"cut","type":"server_error","param":null,"code":null}}\n\n',
        b": ping\n\n",
        b"\n",
        b"data: half\n\n",
        sse.Piece(RECORDED[1]),
    ],
)
def test_what_is_no_chunk_stays_as_it_is(raw: bytes) -> None:
    assert Bridge().event(raw) is raw


def test_offsets_go_on_from_chunk_to_chunk_for_each_choice() -> None:
    bridge = Bridge(offset=10)
    said = []
    for index, text in [(0, "One"), (1, "ü"), (0, " two"), (1, "b"), (0, "!")]:
        answered = read(bridge.event(chunk(piece(index, logprobs={"content": [token(text)]}, content=text))))
        said.append((index, answered["choices"][0]["logprobs"]["text_offset"]))
    assert said == [(0, [10]), (1, [10]), (0, [13]), (1, [11]), (0, [17])]


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=5)), max_size=8))
def test_a_stream_says_what_the_whole_answer_says(said: list[tuple[int, str]]) -> None:
    pieces = [piece(index, role="assistant", content="") for index in range(3)]
    pieces += [piece(index, logprobs={"content": [token(text)]}, content=text) for index, text in said]
    pieces += [piece(index, reason="stop") for index in range(3)]
    whole = {**COMMON, "choices": [join([each for each in pieces if each["index"] == at]) for at in range(3)]}
    completed = json.loads(from_chat(json.dumps(whole).encode(), offset=4))["choices"]

    bridge = Bridge(offset=4)
    streamed = [read(bridge.event(chunk(each)))["choices"][0] for each in pieces]
    for at in range(3):
        mine = [each for each in streamed if each["index"] == at]
        assert "".join(each["text"] for each in mine) == completed[at]["text"]
        marked = [each["logprobs"] for each in mine if each["logprobs"] is not None]
        for name, values in (completed[at]["logprobs"] or {}).items():
            assert [value for each in marked for value in each[name]] == values
        assert [each["finish_reason"] for each in mine if each["finish_reason"]] == ["stop"]


@given(st.binary(max_size=50))
def test_no_event_is_lost_whatever_it_is(raw: bytes) -> None:
    assert Bridge().event(raw) == raw


def serve(events: list[bytes]) -> web.Application:
    """A server that answers completions with these events."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for raw in events:
            await response.write(raw)
        return response

    app = web.Application()
    for path in ("/v1/completions", "/v1/engines/{engine}/completions"):
        app.router.add_post(path, answer)
    return app


def bridged() -> list[bytes]:
    bridge = Bridge(3)
    return [bridge.event(raw) for raw in RECORDED]


async def test_the_newest_client_reads_it() -> None:
    async with (
        TestServer(serve(bridged())) as server,
        openai.AsyncOpenAI(api_key="k", base_url=str(server.make_url("/v1"))) as client,
    ):
        stream = await client.completions.create(model="text-davinci-003", prompt="Hi!", stream=True)
        chunks = [each async for each in stream]
    assert "".join(choice.text for each in chunks for choice in each.choices) == "Hello"
    assert [choice.finish_reason for each in chunks for choice in each.choices][-1] == "length"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 7


OLD = """
import openai
text = ""
for chunk in openai.Completion.create(model="text-davinci-003", prompt="Hi!", stream=True):
    for choice in chunk.choices:
        text += choice.text
        reason = choice.finish_reason
print(text, reason, chunk.usage.total_tokens, chunk.object)
"""


async def test_the_client_of_2023_reads_it(tmp_path: Path) -> None:
    async with TestServer(serve(bridged())) as server, asyncio.timeout(60):
        printed = await legacy(OLD, str(server.make_url("/v1")), "k", tmp_path)
    assert printed == ["Hello length 7 text_completion"]
