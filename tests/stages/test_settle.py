"""Every hold ends once, charged with what was spent: said by the upstream, or counted and marked."""

import asyncio

import pytest

from tests.conftest import Start
from tests.running import Running
from tests.scripted import Answer, Scripted, chat, close_now, hold, json, sse
from tests.waiting import until

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


@pytest.mark.parametrize(("bound", "charged"), [(None, 600_000), (900_000, 600_000), (1000, 1000)])
async def test_a_very_long_answer_is_estimated_whole_and_within_its_bound(
    start: Start, upstream: Scripted, bound: int | None, charged: int
) -> None:
    gateway = await start(limits='["100M tokens/day"]')
    upstream.plan(sse([delta(" word" * 20_000) for _ in range(30)] + [delta("", "stop")]))
    async with gateway.post(CHAT, QUESTION | {"stream": True, "max_tokens": bound}) as reply:
        assert len(await reply.read()) > 3_000_000
    assert (await used(gateway))[0] == pytest.approx(charged, rel=0.02)


async def test_a_fault_in_settling_leaves_no_lease_that_is_renewed(
    start: Start, upstream: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start(limits='["5 concurrent"]')
    upstream.plan(close_now)
    gateway.gateway.tokens = None  # type: ignore[assignment]
    async with gateway.post(CHAT, QUESTION) as reply:
        assert reply.status == 502
    await gateway.concluded()
    assert "background task failed" in caplog.text
    assert gateway.gateway.open_holds == {}


async def test_several_choices_are_charged_together(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits=LIMITS)
    both = [{"index": n, "delta": {"content": " word" * 10}, "finish_reason": None} for n in (0, 1)]
    upstream.plan(sse([{"choices": [choice]} for choice in both], end="cut"))
    async with gateway.post(CHAT, QUESTION | {"stream": True, "n": 2}) as reply:
        with pytest.raises(Exception, match=r"(?i)payload|transfer|connection"):
            await reply.read()
    assert (await used(gateway))[0] >= 20


async def test_a_responses_stream_is_charged_by_its_last_event(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits=LIMITS)
    usage = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
    done = {"type": "response.completed", "response": {"status": "completed", "usage": usage}}
    upstream.plan(sse([done], end="clean"))
    async with gateway.post("/v1/responses", {"model": "m", "input": "hi", "stream": True}) as reply:
        assert b"response.completed" in await reply.read()
    assert await used(gateway) == [7, 1, 0]


async def test_a_stream_that_is_answered_plainly_is_charged_by_its_usage(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits=LIMITS)
    upstream.plan(chat(prompt_tokens=5, completion_tokens=2))
    async with gateway.post(CHAT, QUESTION | {"stream": True}) as reply:
        assert reply.content_type == "application/json"
    assert await used(gateway) == [7, 1, 0]


async def test_hits_and_those_who_joined_pay_no_tokens(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits=LIMITS)
    answered = asyncio.Event()
    upstream.plan(hold(answered, chat(prompt_tokens=5, completion_tokens=2)))
    asking = [asyncio.create_task(_ask(gateway)) for _ in range(3)]
    await until(lambda: gateway.gateway.flights.readers() == 3)
    answered.set()
    await asyncio.gather(*asking)
    await _ask(gateway)
    assert await used(gateway) == [7, 4, 0]
    assert upstream.calls == 1
