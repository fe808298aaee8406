"""Tokens are reserved at their worst, and only a miss pays."""

import asyncio

from tests.conftest import Start
from tests.running import Running
from tests.scripted import Scripted, chat, hold

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


async def test_the_worst_case_is_held_while_the_answer_is_awaited(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["1000 tokens/day"]')
    answered = asyncio.Event()
    upstream.plan(hold(answered, chat(prompt_tokens=10, completion_tokens=5)))
    first = asyncio.create_task(_ask(gateway, 1, 600))
    await upstream.received(1)
    assert await _ask(gateway, 2, 600) == 429
    answered.set()
    assert await first == 200
    await gateway.concluded()
    assert await _ask(gateway, 3, 600) == 200
    assert await _used(gateway) == 30


async def test_n_multiplies_and_a_request_that_can_never_fit_is_told_so(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits='["1000 tokens/day"]')
    async with gateway.post(CHAT, QUESTION | {"max_tokens": 400, "n": 3}) as answer:
        assert answer.status == 429
        assert answer.headers["x-should-retry"] == "false"
        assert "max_tokens" in (await answer.json())["error"]["message"]
    assert upstream.calls == 0
    assert await _used(gateway) == 0


async def test_without_a_bound_a_rate_lets_one_through_when_idle(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["1000 tokens/minute"]')
    async with gateway.post(CHAT, QUESTION) as answer:
        assert answer.status == 200
        assert answer.headers["x-ratelimit-limit-tokens"] == "1000"


async def test_a_hit_costs_no_tokens_even_when_the_budget_is_gone(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["100 tokens/day"]')
    upstream.plan(chat(prompt_tokens=10, completion_tokens=80))
    assert await _ask(gateway, 1, 80) == 200
    await gateway.concluded()
    assert await _ask(gateway, 2, 80) == 429
    assert await _ask(gateway, 1, 80) == 200
    assert upstream.calls == 1


async def test_a_refusal_gives_back_the_request_that_was_counted(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["2 requests/day", "1000 tokens/day"]')
    for number in range(5):
        assert await _ask(gateway, number, 5000) == 429
        await gateway.concluded()
    assert await _ask(gateway, 9, 50) == 200


async def _ask(gateway: Running, number: int, max_tokens: int) -> int:
    async with gateway.post(CHAT, QUESTION | {"seed": number, "max_tokens": max_tokens}) as answer:
        await answer.read()
        return int(answer.status)


async def _used(gateway: Running) -> int:
    await gateway.concluded()
    client = gateway.gateway.clients.client("test")
    assert client is not None
    standings = await gateway.gateway.holds.standings(
        client.shard, client.limits, gateway.gateway.clock.now()
    )
    return standings[0].used
