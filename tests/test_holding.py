"""A hold grows by whole steps, a refused step leaves it as it was, and its end is told once."""

import pytest

from gateway.accounts import record
from gateway.errors import QuotaExceeded
from gateway.exchange import Exchange
from gateway.holding import dispatch, hold, release, settle
from gateway.policy.quota import parse_limit
from gateway.policy.records import Claim, Client, Unit
from gateway.runtime import Gateway
from tests import books
from tests.conftest import Start
from tests.exchanges import ended

DAILY = parse_limit("3 requests/day", "key:a")
HOURS = parse_limit("9 concurrent", "key:a")


async def test_a_refused_step_leaves_the_hold_as_it_was(start: Start) -> None:
    gateway = (await start()).gateway
    exchange = ended(id="one", client=Client("a", "a", b""))
    await hold(gateway, exchange, "admit", [])
    assert not exchange.held
    with pytest.raises(QuotaExceeded):
        await hold(gateway, exchange, "admit", [Claim(HOURS, 1, False), Claim(DAILY, 4, False)])
    assert (exchange.held, gateway.open_holds) == (False, {})
    await hold(gateway, exchange, "again", [Claim(DAILY, 2, False)])
    assert (exchange.held, gateway.open_holds) == (True, {"one": "a"})
    with pytest.raises(QuotaExceeded):
        await hold(gateway, exchange, "reserve", [Claim(DAILY, 2, False)])
    assert exchange.held
    (standing,) = await gateway.holds.standings("a", [DAILY], gateway.clock.now())
    assert standing.used == 2
    assert await gateway.holds.release("a", "one", gateway.clock.now())
    gateway.open_holds.clear()


BUDGET = parse_limit("$1/total", "key:a")


async def _held(gateway: Gateway, name: str, amount: int) -> Exchange:
    """An exchange that was dispatched at a cost of `amount` at most."""
    exchange = ended(id=name, client=Client("a", "a", b"", limits=(BUDGET,)), worst=amount, cost=200)
    exchange.input_tokens = 10
    await hold(gateway, exchange, "reserve", [Claim(BUDGET, amount, True)])
    dispatch(gateway, exchange)
    return exchange


async def _charged(gateway: Gateway) -> int:
    (standing,) = await gateway.holds.standings("a", [BUDGET], gateway.clock.now())
    return standing.used


async def test_a_late_end_takes_back_what_its_lease_was_charged(start: Start) -> None:
    running = await start()
    gateway = running.gateway
    for name, spent, end in (("settled", 200, settle), ("released", 0, release)):
        before = await books.nano(running, "gateway_refunded_dollars_total")
        exchange = await _held(gateway, name, 900)
        gateway.telemetry.expired(await gateway.holds.expire(gateway.clock.now() + 60_000))
        exchange.cost = spent
        charged = await _charged(gateway)
        told = (record(gateway, exchange),)
        for _ in range(2):
            if end is settle:
                await settle(gateway, exchange, {Unit.DOLLARS: spent}, *told)
            else:
                await release(gateway, exchange, *told)
        assert await _charged(gateway) == charged - 900 + spent
        assert await books.nano(running, "gateway_refunded_dollars_total") == before + 900
    gateway.open_holds.clear()


async def test_an_end_in_time_takes_nothing_back(start: Start) -> None:
    running = await start()
    exchange = await _held(running.gateway, "one", 900)
    await settle(running.gateway, exchange, {Unit.DOLLARS: 200}, record(running.gateway, exchange))
    assert await _charged(running.gateway) == 200
    assert await books.nano(running, "gateway_refunded_dollars_total") == 0
    running.gateway.open_holds.clear()
