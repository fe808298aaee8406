"""Every hold ends once, charged with what was spent: said by the upstream, or counted and marked."""

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest

from gateway.runtime import Upstreams
from tests import books
from tests.conftest import Start
from tests.running import Running
from tests.scripted import Answer, Scripted, chat, close_now, hold, json, sse
from tests.served import free_port
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


@pytest.mark.parametrize("stream", [False, True])
async def test_what_goes_on_in_the_background_is_charged_at_its_worst(
    start: Start, upstream: Scripted, stream: bool
) -> None:
    gateway = await start(limits=LIMITS)
    queued = {"id": "r", "object": "response", "status": "queued", "output": [], "usage": None}
    begun = [{"type": "response.created", "response": queued}]
    upstream.plan(sse(begun, end="cut") if stream else json(200, queued))
    body = {"model": "gpt-4o-mini", "input": "hi", "background": True, "max_output_tokens": 900}
    async with gateway.post("/v1/responses", body | {"stream": stream}) as reply:
        assert reply.status == 200
        with contextlib.suppress(aiohttp.ClientPayloadError):
            await reply.read()
    tokens, requests, slots = await used(gateway)
    assert 900 < tokens < 950
    assert (requests, slots) == (1, 0)
    row = await books.row(gateway)
    assert (row.settled, row.output, row.cost) == ("estimate", 900, row.input * 150 + 900 * 600)


async def test_an_unmetered_answer_of_a_model_with_a_price_is_charged_for_what_was_sent(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start("[prices.models.watch]\ninput = 3\noutput = 0\nrequest = 0.002", limits=LIMITS)
    async with gateway.post("/v1/moderations", {"model": "watch", "input": "one two three"}) as reply:
        assert reply.status == 200
    row = await books.row(gateway)
    assert (row.settled, row.input, row.output, row.cost) == ("estimate", 3, 0, 3 * 3000 + 2_000_000)
    assert await used(gateway) == [3, 1, 0]


async def test_the_next_upstream_is_charged_at_its_own_price(start: Start, upstream: Scripted) -> None:
    more = f'[[upstreams]]\nname = "down"\nbase_url = "http://127.0.0.1:{free_port()}/v1"\npriority = 0\n'
    gateway = await start(more + 'prices = "free"', limits='["$1/total"]')
    for name, plan in (("down", ["down", "scripted"]), ("scripted", ["scripted", "down"])):
        gateway.gateway.upstreams = _Ordered(gateway.gateway.upstreams, plan)
        async with gateway.post(CHAT, QUESTION | {"user": name}, x_gateway_cache="bypass") as reply:
            assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "scripted")
    assert [row.upstream for row in await books.rows(gateway)] == ["scripted", "scripted"]
    assert await books.used(gateway) == [2 * (5 * 150 + 5 * 600)]


class _Ordered:
    """Upstreams in the order that a test wants."""

    def __init__(self, upstreams: Upstreams, plan: list[str]) -> None:
        self._upstreams, self._plan = upstreams, plan

    def __getattr__(self, name: str) -> Any:
        return getattr(self._upstreams, name)

    def plan(self, model: str | None) -> list[str]:
        return self._plan


async def test_limits_that_change_meanwhile_are_charged_all_the_same(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start()
    made = await _made(gateway, ["$1/total", "5 concurrent"])
    answered = asyncio.Event()
    upstream.plan(hold(answered, chat(prompt_tokens=11, completion_tokens=7)))
    asking = [asyncio.create_task(_ask_as(gateway, made["key"], n)) for n in range(2)]
    await upstream.received(2)
    changes = {"limits": ["$0.000001/total", "9 requests/total"], "tags": {"late": "yes"}}
    async with gateway.admin("PATCH", f"/admin/v1/keys/{made['id']}", changes) as reply:
        assert reply.status == 200
    await until(lambda: _limits(gateway, made["id"]) == ["$0.000001/total", "9 requests/total"])
    assert await _ask_as(gateway, made["key"], 9) == 429
    answered.set()
    assert await asyncio.gather(*asking) == [200, 200]
    cost = 2 * (11 * 150 + 7 * 600)
    assert await books.used(gateway, made["id"]) == [cost, 0]
    assert sum(row.cost or 0 for row in await books.rows(gateway)) == cost


async def test_a_key_that_is_deleted_meanwhile_still_pays(start: Start, upstream: Scripted) -> None:
    gateway = await start(everybody='["$1/total", "5 concurrent"]')
    made = await _made(gateway, ["$1/total"])
    answered = asyncio.Event()
    upstream.plan(hold(answered, chat(prompt_tokens=11, completion_tokens=7)))
    asking = asyncio.create_task(_ask_as(gateway, made["key"], 1))
    await upstream.received(1)
    async with gateway.admin("DELETE", f"/admin/v1/keys/{made['id']}") as reply:
        assert reply.status in (200, 204)
    await until(lambda: gateway.gateway.clients.client(made["id"]) is None)
    answered.set()
    assert await asking == 200
    row = await books.row(gateway)
    assert (row.key, row.cost) == (made["id"], 11 * 150 + 7 * 600)
    assert await books.used(gateway) == [row.cost, 0]


async def _made(gateway: Running, limits: list[str]) -> dict[str, str]:
    async with gateway.admin("POST", "/admin/v1/keys", {"name": "made", "limits": limits}) as reply:
        made: dict[str, str] = await reply.json()
    await until(lambda: gateway.gateway.clients.client(made["id"]) is not None)
    return made


def _limits(gateway: Running, key: str) -> list[str]:
    client = gateway.gateway.clients.client(key)
    return [] if client is None else [limit.text for limit in client.limits]


async def _ask_as(gateway: Running, key: str, number: int) -> int:
    async with gateway.post(CHAT, QUESTION | {"seed": number}, key=key) as reply:
        await reply.read()
        return int(reply.status)
