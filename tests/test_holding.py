"""A hold grows by whole steps, a refused step leaves it as it was, and its end is told once."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.accounts import lease_record, record
from gateway.errors import QuotaExceeded, RateLimited, StoreUnavailable
from gateway.exchange import Exchange
from gateway.holding import dispatch, enter, hold, release, settle
from gateway.policy.quota import parse_limit
from gateway.policy.records import Claim, Client, Unit
from gateway.runtime import Gateway
from tests import books
from tests.conftest import Start
from tests.exchanges import ended
from tests.store.servers import Server, valkey


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a name short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        yield Path(folder)


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


async def _entered(
    gateway: Gateway, name: str, admit: list[Claim], answer: list[Claim], key: bytes | None = None
) -> tuple[Exchange, bytes | None]:
    client = Client("a", "a", b"", limits=(BUDGET, DAILY, HOURS))
    exchange = ended(id=name, client=client, worst=900, cost=200)
    exchange.input_tokens = 10
    told = lease_record(gateway, exchange)
    return exchange, await enter(gateway, exchange, admit, answer, key=key, record=told)


async def test_who_enters_has_what_two_holds_and_a_dispatch_would_have_set(start: Start) -> None:
    gateway = (await start()).gateway
    by_calls = await _held(gateway, "calls", 900)
    await release(gateway, by_calls, record(gateway, by_calls))
    admit, answer = [Claim(HOURS, 1, False)], [Claim(BUDGET, 900, True)]
    exchange, kept = await _entered(gateway, "one", admit, answer)
    assert (kept, exchange.hold, exchange.held, exchange.shared) == (None, "one", True, False)
    assert exchange.claims == (*admit, *answer)
    assert [standing.used for standing in exchange.standings] == [1, 900]
    assert exchange.claimed > 0
    assert gateway.open_holds["one"] == "a"
    assert len(gateway.journal) == 0
    assert len(await gateway.holds.expire(gateway.clock.now() + 60_000)) == 1
    assert await _charged(gateway) == 900  # it was dispatched
    await settle(gateway, exchange, {Unit.DOLLARS: 200}, record(gateway, exchange))
    assert await _charged(gateway) == 200
    gateway.open_holds.clear()


async def test_who_finds_an_answer_has_only_what_was_admitted(start: Start) -> None:
    gateway = (await start()).gateway
    assert gateway.answers is not None
    await gateway.answers.put(b"key", b"kept\xff", 60_000, gateway.clock.now())
    admit, answer = [Claim(HOURS, 1, False)], [Claim(BUDGET, 900, True)]
    exchange, kept = await _entered(gateway, "one", admit, answer, key=b"key")
    assert (kept, exchange.claims, exchange.held) == (b"kept\xff", tuple(admit), True)
    assert await _charged(gateway) == 0
    free, kept = await _entered(gateway, "free", [], answer, key=b"key")
    assert (kept, free.claims, free.held) == (b"kept\xff", (), False)
    for each in (exchange, free):
        await settle(gateway, each, {}, record(gateway, each))
    gateway.open_holds.clear()


async def test_a_refusal_names_the_step_that_did_not_fit(start: Start) -> None:
    gateway = (await start()).gateway
    admit, answer = [Claim(DAILY, 1, False)], [Claim(BUDGET, 10**10, True)]
    with pytest.raises(QuotaExceeded, match="3 requests/day"):
        await _entered(gateway, "one", [Claim(DAILY, 4, False)], answer)
    assert gateway.open_holds == {}
    exchange = ended(id="two", client=Client("a", "a", b"", limits=(BUDGET, DAILY)), worst=10**10)
    with pytest.raises(QuotaExceeded, match=r"\$1/total"):
        await enter(gateway, exchange, admit, answer, key=None, record=None)
    assert (exchange.held, exchange.claims) == (True, tuple(admit))
    assert gateway.open_holds == {"two": "a"}
    await release(gateway, exchange, record(gateway, exchange))
    (standing,) = await gateway.holds.standings("a", [DAILY], gateway.clock.now())
    assert standing.used == 0
    gateway.open_holds.clear()


async def test_without_a_store_the_share_decides_and_the_journal_knows(start: Start, home: Path) -> None:
    """Rates and slots have shares; of money only the store may decide."""
    server = Server(valkey(), home).start()
    gateway = (await start(store=server.url)).gateway
    hourly = parse_limit("100 tokens/hour", "key:a")
    server.stop()
    exchange, kept = await _entered(gateway, "one", [Claim(HOURS, 1, False)], [Claim(hourly, 20, True)])
    assert (kept, exchange.shared, exchange.held, len(exchange.claims)) == (None, True, True, 2)
    assert len(exchange.standings) == 2
    await settle(gateway, exchange, {Unit.TOKENS: 5}, record(gateway, exchange))
    assert len(gateway.journal) == 1
    with pytest.raises(StoreUnavailable):
        await _entered(gateway, "two", [Claim(HOURS, 1, False)], [Claim(BUDGET, 20, True)])
    with pytest.raises(RateLimited):
        await _entered(gateway, "three", [Claim(HOURS, 1, False)], [Claim(hourly, 99, True)])
    gateway.open_holds.clear()
