"""Holds live as long as their requests do."""

import asyncio

from gateway.leases import renew
from gateway.policy.ledger import decode
from tests.conftest import Start
from tests.running import Running
from tests.scripted import Scripted, hold

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


async def test_a_renewed_hold_outlives_its_first_lease_and_an_abandoned_one_does_not(
    start: Start, upstream: Scripted
) -> None:
    gateway = await start(limits='["1 concurrent"]')
    upstream.plan(hold(asyncio.Event()))
    running = gateway.gateway
    first = asyncio.create_task(_ask(gateway))
    await upstream.received(1)
    lease = running.settings.store.lease.ms
    running.clock.offset += lease - 1000
    await renew(running)
    running.clock.offset += lease - 1000
    assert await running.holds.expire(running.clock.now()) == []
    assert await _ask(gateway) == 429
    # Nobody renews any more, as if this process had been killed.
    running.open_holds.clear()
    running.clock.offset += lease
    (row,) = await running.holds.expire(running.clock.now())
    assert decode(row).settled == "lease"
    upstream.plan()
    assert await _ask(gateway) == 200
    first.cancel()


async def test_a_request_that_ended_is_renewed_no_more(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits='["1 concurrent"]')
    assert await _ask(gateway) == 200
    await gateway.concluded()
    assert gateway.gateway.open_holds == {}


async def _ask(gateway: Running) -> int:
    async with gateway.post(CHAT, QUESTION, x_gateway_cache="bypass") as answer:
        await answer.read()
        return int(answer.status)
