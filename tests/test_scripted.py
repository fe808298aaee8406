"""The tests' own upstream keeps its promises, byte by byte."""

import asyncio
import json as _json
from typing import Any

import aiohttp
import pytest

from tests.scripted import Scripted, close_now, hold, json, raw, reset, sse


async def talk(up: Scripted, *messages: bytes) -> bytes:
    """Send these bytes on one connection and read to its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", up.port)
    try:
        for message in messages:
            writer.write(message)
        return await reader.read()
    finally:
        writer.close()


async def post(up: Scripted, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.post(up.base_url + path, json=body) as answer:
        return answer.status, await answer.read()


async def test_both_framings_of_a_request_body_are_read(upstream: Scripted) -> None:
    upstream.plan(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", end="close"))
    await talk(upstream, b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
    await talk(
        upstream, b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    )
    assert [(seen.path, seen.body, seen.number) for seen in upstream.requests] == [
        ("/a", b"abc", 1),
        ("/b", b"abc", 2),
    ]


@pytest.mark.parametrize(
    ("chunking", "chunks"), [("event", 3), ("whole", 1), (1, len(b"data: a\n\ndata: b\n\ndata: [DONE]\n\n"))]
)
async def test_a_stream_is_cut_as_asked(upstream: Scripted, chunking: Any, chunks: int) -> None:
    upstream.plan(sse(["a", "b"], chunking=chunking, headers=[("Connection", "close")]))
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    answer = await reader.readuntil(b"\r\n0\r\n\r\n")
    writer.close()
    body = answer.partition(b"\r\n\r\n")[2]
    sizes, data = 0, b""
    while (size := int(body.partition(b"\r\n")[0], 16)) > 0:
        body = body.partition(b"\r\n")[2]
        data, body, sizes = data + body[:size], body[size + 2 :], sizes + 1
    assert (data, sizes) == (b"data: a\n\ndata: b\n\ndata: [DONE]\n\n", chunks)


async def test_plans_are_used_up_and_the_last_one_stays(upstream: Scripted) -> None:
    upstream.plan(json(500), json(201))
    assert [(await post(upstream, "/x", {}))[0] for _ in range(3)] == [500, 201, 201]


async def test_a_connection_can_end_badly(upstream: Scripted) -> None:
    upstream.plan(close_now, reset)
    assert await talk(upstream, b"GET / HTTP/1.1\r\n\r\n") == b""
    with pytest.raises(ConnectionResetError):
        await talk(upstream, b"GET / HTTP/1.1\r\n\r\n")
    assert upstream.hangups == 0


async def test_a_client_that_leaves_is_noticed_at_once(upstream: Scripted) -> None:
    upstream.plan(hold(asyncio.Event()))
    _, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    await upstream.received(1)
    assert upstream.open_connections == 1
    writer.close()
    await upstream.disconnected()
    assert upstream.open_connections == 0


async def test_without_a_plan_it_answers_as_openai_would(upstream: Scripted) -> None:
    question = {"model": "m", "messages": [{"role": "user", "content": "one two"}], "odd": 1}
    status, body = await post(upstream, "/chat/completions", question)
    answer = _json.loads(body)
    assert (status, answer["choices"][0]["message"]["content"]) == (200, "You said: one two .")
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (5, 5)
    assert answer["echo"] == {"odd": 1}

    _, body = await post(upstream, "/chat/completions", question | {"stream": True})
    assert b'"usage"' not in body
    assert body.endswith(b"data: [DONE]\n\n")
    _, body = await post(
        upstream, "/chat/completions", question | {"stream": True, "stream_options": {"include_usage": True}}
    )
    assert b'"choices":[],"usage":{"prompt_tokens":5,' in body
    assert (await post(upstream, "/nothing", {}))[0] == 404


async def test_a_wrong_key_is_refused_when_it_has_one() -> None:
    async with Scripted(key="sk-right") as up:
        assert (await post(up, "/embeddings", {"model": "m", "input": "a"}))[0] == 401
        async with aiohttp.ClientSession(headers={"Authorization": "Bearer sk-right"}) as session:
            answer = await session.get(up.base_url + "/models")
            assert answer.status == 200
