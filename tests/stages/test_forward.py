"""The plan is walked while nothing was sent; what an upstream says passes, what is no answer does not."""

import json as jsonlib

import pytest

from tests.conftest import Start
from tests.running import REAL_KEY, Running
from tests.scripted import Answer, Scripted, chat, close_now, json, raw, sse

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422, 429, 500, 503, 529])
async def test_an_upstreams_error_passes_unchanged(gateway: Running, upstream: Scripted, status: int) -> None:
    body = b'{"error" : {"message":"as it came","type":"x","param":null,"code":"y"}, "more": 1.0}'
    headers = [("x-request-id", "req_1"), ("retry-after", "7"), ("set-cookie", "a=b"),
               ("openai-organization", "o"), ("x-ratelimit-limit-requests", "9")]  # fmt: skip
    upstream.plan(json(status, body, headers))
    async with gateway.post(CHAT, QUESTION) as answer:
        assert (answer.status, await answer.read()) == (status, body)
        assert (answer.headers["x-request-id"], answer.headers["retry-after"]) == ("req_1", "7")
        assert not {"set-cookie", "openai-organization", "x-ratelimit-limit-requests"} & {
            name.lower() for name in answer.headers
        }
        assert "x-gateway-error" not in answer.headers


async def test_the_gateways_own_key_being_refused_is_not_the_clients_fault(
    gateway: Running, upstream: Scripted
) -> None:
    upstream.plan(json(401, {"error": {"message": f"Incorrect API key provided: {REAL_KEY}"}}))
    async with gateway.post(CHAT, QUESTION) as answer:
        text = await answer.text()
        assert (answer.status, jsonlib.loads(text)["error"]["code"]) == (502, "upstream_auth")
        assert REAL_KEY not in text


@pytest.mark.parametrize(
    "answer",
    [
        json(200, b"<html>", [("content-type", "text/html")]),
        json(200, b"{"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{", end="close"),
        raw(b"nonsense\r\n\r\n", end="close"),
        json(302, b"", [("location", "http://127.0.0.1:1/")]),
        sse([{"choices": []}]),
        close_now,
    ],
)
async def test_what_is_no_answer_is_a_502(gateway: Running, upstream: Scripted, answer: Answer) -> None:
    upstream.plan(answer)
    async with gateway.post(CHAT, QUESTION) as reply:
        assert reply.status == 502
        assert (await reply.json())["error"]["type"] == "upstream_error"
        assert "location" not in reply.headers
    assert upstream.calls == 1, "a POST that was sent is never sent again"


async def test_the_next_upstream_is_tried_only_while_nothing_was_sent(
    start: Start, upstream: Scripted
) -> None:
    async with Scripted() as gone:
        dead = gone.base_url
    gateway = await start(f'[[upstreams]]\nname = "dead"\nbase_url = "{dead}"\nweight = 9')
    async with gateway.post(CHAT, QUESTION) as answer:
        assert (answer.status, answer.headers["x-gateway-upstream"]) == (200, "scripted")


async def test_a_plain_answer_to_a_stream_question_passes_as_it_is(
    gateway: Running, upstream: Scripted
) -> None:
    upstream.plan(chat("hi"))
    async with gateway.post(CHAT, QUESTION | {"stream": True}) as answer:
        assert answer.content_type == "application/json"
        assert (await answer.json())["choices"][0]["message"]["content"] == "hi"
