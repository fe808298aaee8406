"""Where there is much room, what is held is a bound; what is charged is exact all the same."""

import asyncio

import pytest

from tests import books
from tests.conftest import Start
from tests.running import Running
from tests.scripted import Scripted, hold
from tests.scripted import chat as reply

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}


async def _held(gateway: Running, upstream: Scripted, question: dict[str, object]) -> int:
    """How many tokens a request holds while it is under way."""
    answered = asyncio.Event()
    upstream.plan(hold(answered, reply(prompt_tokens=8, completion_tokens=5)))
    asking = asyncio.create_task(_ask(gateway, question))
    await upstream.received(1)
    client = gateway.gateway.clients.everybody()[0]
    holds, now = gateway.gateway.holds, gateway.gateway.clock.now()
    (standing,) = await holds.standings(client.shard, client.limits, now)
    answered.set()
    await asking
    await gateway.concluded()
    return standing.held


async def _ask(gateway: Running, question: dict[str, object]) -> None:
    async with gateway.post(CHAT, question) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(("limit", "exact"), [("100k tokens/day", True), ("1M tokens/day", False)])
async def test_only_a_wide_limit_is_asked_for_a_bound(
    start: Start, upstream: Scripted, limit: str, exact: bool
) -> None:
    gateway = await start(limits=f'["{limit}"]')
    held = await _held(gateway, upstream, QUESTION)
    assert (held == 3 + 4 + 1 + 5) is exact
    assert held < 1_000
    assert await books.used(gateway) == [13]


async def test_pictures_are_always_counted(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["1000M tokens/day"]')
    part = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    held = await _held(gateway, upstream, QUESTION | {"messages": [{"role": "user", "content": [part]}]})
    assert held == 3 + 4 + 4_096 + 5


async def test_an_estimate_that_is_charged_is_counted(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["1000M tokens/day"]')
    upstream.plan(reply("Hello there.", usage=None))
    await _ask(gateway, QUESTION)
    await gateway.concluded()
    row = await books.row(gateway)
    assert (row.settled, row.input, row.output) == ("estimate", 3 + 4 + 1, 3)
