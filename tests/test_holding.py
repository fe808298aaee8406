"""A hold grows by whole steps; a refused step leaves it as it was."""

import pytest

from gateway.errors import QuotaExceeded
from gateway.holding import hold
from gateway.policy.quota import parse_limit
from gateway.policy.records import Claim, Client
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
