"""Every hold ends once, charged with what was spent: said by the upstream, or counted and marked."""

import asyncio

import pytest

from tests.conftest import Start
from tests.running import Running
from tests.scripted import Answer, Scripted, chat, close_now, hold, json, sse

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi there"}], "max_tokens": 500}
LIMITS = '["100k tokens/day", "100 requests/day", "5 concurrent"]'


def delta(text: str, finish: str | None = None) -> dict[str, object]:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


async def used(gateway: Running) -> list[int]:
    """Tokens, requests, slots."""
    await gateway.concluded()
    client = gateway.gateway.clients.client("test")
    assert client is not None
    now = gateway.gateway.clock.now()
    return [s.used for s in await gateway.gateway.holds.standings(client.shard, client.limits, now)]


@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [
        (chat(prompt_tokens=11, completion_tokens=7), 200, [18, 1, 0]),
        (json(400, {"error": {"message": "no"}}), 400, [0, 1, 0]),
        (json(429, {"error": {"message": "slow"}}), 429, [0, 1, 0]),
    ],
)
async def test_plain_answers(
    start: Start, upstream: Scripted, answer: Answer, status: int, expected: list[int]
) -> None:
    gateway = await start(limits=LIMITS)
    upstream.plan(answer)
    async with gateway.post(CHAT, QUESTION) as reply:
        assert reply.status == status
    assert await used(gateway) == expected


async def test_a_stream_is_charged_by_its_usage_event(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits=LIMITS)
    usage = {
        "id": "c",
        "choices": [],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }
    upstream.plan(sse([delta("a"), delta("b", "stop"), usage]))
    async with gateway.post(CHAT, QUESTION | {"stream": True}) as reply:
        text = await reply.text()
    assert "usage" not in text
    assert await used(gateway) == [7, 1, 0]


async def test_a_cut_stream_is_charged_by_count_and_marked(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits=LIMITS)
    upstream.plan(sse([delta(" word") for _ in range(40)], end="reset"))
    async with gateway.post(CHAT, QUESTION | {"stream": True}) as reply:
        with pytest.raises(Exception, match=r"(?i)payload|transfer|connection"):
            await reply.read()
    tokens, requests, slots = await used(gateway)
    assert 40 <= tokens <= 70
    assert (requests, slots) == (1, 0)
    assert 'gateway_settlements_total{source="estimate"} 1.0' in await gateway.metrics()


async def test_nothing_is_charged_when_nothing_was_sent(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits=LIMITS)
    await upstream.stop()
    async with gateway.post(CHAT, QUESTION) as reply:
        assert reply.status == 502
        assert (await reply.json())["error"]["code"] == "upstream_unreachable"
    assert await used(gateway) == [0, 0, 0]


async def test_an_upstream_that_took_the_request_and_said_nothing_is_charged_its_input(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits=LIMITS)
    upstream.plan(close_now)
    async with gateway.post(CHAT, QUESTION) as reply:
        assert reply.status == 502
        assert (await reply.json())["error"]["code"] == "upstream_protocol_error"
    tokens, requests, slots = await used(gateway)
    assert 2 <= tokens <= 30
    assert (requests, slots) == (1, 0)


async def test_a_client_that_hangs_up_is_charged_and_its_slot_is_free(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits=LIMITS)
    upstream.plan(hold(asyncio.Event()))
    client = asyncio.create_task(_ask(gateway))
    await upstream.received(1)
    client.cancel()
    await upstream.disconnected()
    tokens, requests, slots = await used(gateway)
    assert tokens >= 2
    assert (requests, slots) == (1, 0)


async def _ask(gateway: Running) -> None:
    async with gateway.post(CHAT, QUESTION) as reply:
        await reply.read()
