"""Real faults of a real server under a gateway that serves: nothing is lost, charged twice or given away."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from gateway.store import keyspace, scripts
from gateway.store.redis import StoreMisconfigured
from gateway.store.wire import pack
from tests.e2e.house import AOF, Build
from tests.e2e.outage import (
    BASE,
    ENVIRON,
    RATE_LIMITED,
    RATED,
    REFUSED,
    SERVED,
    Gateways,
    asked_until,
    audit,
    config,
    gated,
    holds,
    in_step,
    unbroken,
)
from tests.running import running
from tests.scripted import Scripted, hold
from tests.served import served
from tests.store.servers import PROGRAMS, SINGLE, Server, connected, valkey
from tests.waiting import until, until_answer

EVERY_KIND = '["$1/total", "2 concurrent", "50 requests/day", "100k tokens/day"]'


# ---- killed ---------------------------------------------------------------------------------------------


async def test_killed_while_a_request_is_under_way(build: Build, upstream: Scripted) -> None:
    house = await build(rates='["5 requests/hour"]')
    told = [await house.ask()]
    assert (await house.ask(RATED)).outcome == SERVED
    gate = asyncio.Event()
    upstream.plan(hold(gate))
    asking = asyncio.create_task(house.ask(text="Who is there?"))
    await upstream.received(3)
    upstream.plan()
    house.server.stop()
    gate.set()
    told.append(await asking)
    assert told[-1].outcome == SERVED
    assert b"Who is there?" in told[-1].body
    await until(lambda: len(house.gateway.journal) == 1)
    assert told[-1].headers["x-gateway-request-id"].encode() in house.noted

    refused = await house.ask()
    assert refused.outcome == REFUSED
    assert 1 <= int(refused.headers["retry-after"]) <= 5
    shared = [(await house.ask(RATED)).outcome for _ in range(6)]
    assert shared == [SERVED] * 4 + [RATE_LIMITED] * 2
    assert upstream.calls == 7

    house.server.start()
    await house.replayed()
    assert await house.used("rated", "5 requests/hour") == 5
    assert (await house.ask(RATED)).outcome == RATE_LIMITED
    told += await asked_until(house.ask, *SERVED)
    await audit(house, house.server, told)
    assert house.noted == b""


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
async def test_killed_between_the_reservation_and_the_call(
    build: Build, upstream: Scripted, apart: bool
) -> None:
    """The store has heard of the dispatch with the reservation, or it has not, where they are apart."""
    house = await build(bad=True, apart=apart)
    house.line.then = house.server.stop
    house.line.set(scripts.RESERVE, "reserve")
    told = [await house.ask()]
    assert (house.line.caught, told[0].outcome, upstream.calls) == (1, SERVED, 1)
    house.server.start()
    await house.replayed()
    await audit(house, house.server, told)


@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
async def test_killed_and_nothing_could_be_sent(build: Build, upstream: Scripted, apart: bool) -> None:
    """What is noted then is that everything is to be given back."""
    house = await build(bad=True, apart=apart, money='["$1/total", "5 requests/day"]')
    house.line.then = house.server.stop
    house.line.set(scripts.RESERVE, "reserve")
    await upstream.stop()
    assert (await house.ask()).outcome == (502, "upstream_unreachable")
    await until(lambda: len(house.gateway.journal) == 1)
    house.server.start()
    await house.replayed()
    await audit(house, house.server, [])
    assert await house.used(limit="5 requests/day") == 0


async def test_killed_and_its_last_writes_never_reached_the_disk(build: Build, tmp_path: Path) -> None:
    """The ledger goes on behind the rows that were drained: none of their numbers is given to another."""
    database = tmp_path / "ledger.db"
    house = await build(more=f'[ledger]\nsink = "sqlite:{database}"\n')
    told = [await house.ask()]
    await house.concluded()
    (file,) = (house.server.folder / "appendonlydir").glob("*.incr.aof")
    size = file.stat().st_size
    told += [await house.ask() for _ in range(3)]
    await house.concluded()
    await until_answer(lambda: in_step(house, database), True)
    house.server.stop()
    os.truncate(file, size)
    house.server.start()
    await until(lambda: house.server.ask("HGET", keyspace.head(BASE), "number") == b"4")
    told += await asked_until(house.ask, *SERVED)
    await until_answer(lambda: in_step(house, database), True)
    assert [row["number"] for row in await house.rows()] == [1, 2, 3, 4, 5]
    assert await unbroken(house)


async def test_the_gateway_is_killed_as_well(upstream: Scripted, home: Path) -> None:
    """What was under way is charged as at worst: by its lease, or by the journal if no store heard of it."""
    server = Server(valkey(), home, AOF).start()
    text = config(upstream, home, server.url, rates='["100 requests/hour"]')
    try:
        async with served(home, config=text, environ=ENVIRON) as first, aiohttp.ClientSession() as session:
            house = Gateways(session, (first.url, first.admin_url))
            upstream.plan(gated(asyncio.Event()))
            async with house.streaming() as one:
                server.stop()
                assert (await house.ask()).outcome == REFUSED
                async with house.streaming(RATED) as other:
                    first.signal(signal.SIGKILL)
                    await first.ended()
                    ids = {one.id, other.id}
        server.start()
        async with served(home, config=text, environ=ENVIRON) as again, aiohttp.ClientSession() as session:
            house = Gateways(session, (again.url, again.admin_url))
            await until_answer(lambda: charged(house), ids)
            rows = await house.rows()
            assert [row["settled"] for row in rows] == ["lease", "lease"]
            assert await house.used() == sum(row["cost_nano"] for row in rows if row["key"] == "test")
            assert await house.used("rated", "100 requests/hour") == 1
            assert await holds(server) == 0
    finally:
        server.stop()


async def charged(house: Gateways) -> set[str]:
    return {row["id"] for row in await house.rows() if row["cost_nano"]}


# ---- frozen ---------------------------------------------------------------------------------------------


async def test_frozen(build: Build, upstream: Scripted) -> None:
    house = await build(bad=True, rates='["100 requests/hour"]')
    told = [await house.ask()]
    assert (await house.ask(RATED)).outcome == SERVED
    gate = asyncio.Event()
    upstream.plan(gated(gate))
    async with house.streaming() as stream:
        upstream.plan()
        house.server.freeze()
        first = await asyncio.gather(*(house.ask() for _ in range(5)))
        assert [each.outcome for each in first] == [REFUSED] * 5
        assert not house.up
        asked = house.line.runs(scripts.RESERVE)
        for _ in range(20):
            refused = await house.ask()
            assert refused.outcome == REFUSED
            assert 1 <= int(refused.headers["retry-after"]) <= 5
        assert (await house.ask(RATED)).outcome == SERVED
        assert house.line.runs(scripts.RESERVE) == asked
        assert (await house.get("/healthz"))[0] == 200
        assert await house.get("/readyz") == (503, {"status": "unready", "reasons": ["the store is down"]})
        gate.set()
        told.append(await stream.rest())
    assert not house.up
    house.server.thaw()
    told += await asked_until(house.ask, *SERVED)
    assert (await house.get("/readyz"))[0] == 200
    await audit(house, house.server, told)
    assert await house.used("rated", "100 requests/hour") == 2


async def test_a_slow_line_stops_nobody(build: Build) -> None:
    # A busy machine adds to the line's delay what nobody can foresee, so the deadline is far away.
    house = await build(bad=True, deadline="5s")
    house.line.delay, house.line.jitter = 0.02, 0.04
    told = await asyncio.gather(*(house.ask(seed=number) for number in range(20)))
    assert {each.outcome for each in told} == {SERVED}
    await audit(house, house.server, told)


# ---- reset after the command ran ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("apart", "script", "arguments", "outcome"),
    [
        (False, scripts.ENTER, (), REFUSED),
        (False, scripts.SETTLE, (), SERVED),
        (True, scripts.RESERVE, ("admit",), REFUSED),
        (True, scripts.RESERVE, ("reserve",), REFUSED),
        (True, scripts.DISPATCH, (), SERVED),
        (True, scripts.SETTLE, (), SERVED),
    ],
    ids=["enter", "settle", "admit", "reserve", "dispatch", "settle after those"],
)
async def test_a_lost_reply_charges_once(
    build: Build,
    apart: bool,
    script: scripts.Script,
    arguments: tuple[str, ...],
    outcome: tuple[int, str | None],
) -> None:
    house = await build(bad=True, apart=apart, money=EVERY_KIND)
    assert house.gateway.holds.can_enter is not apart
    told = [await house.ask()]
    await house.concluded()
    house.line.set(script, *arguments)
    told.append(await house.ask())
    assert told[-1].outcome == outcome
    await until(lambda: house.line.caught == 1)
    told += (await asked_until(house.ask, *SERVED))[-1:]
    await house.replayed()
    await audit(house, house.server, told)
    answered = sum(each.outcome == SERVED for each in told)
    assert await house.used(limit="50 requests/day") == answered
    assert await house.used(limit="2 concurrent") == 0


async def test_a_lost_reply_gives_back_once(build: Build, upstream: Scripted) -> None:
    house = await build(bad=True, money=EVERY_KIND)
    told = [await house.ask()]
    await upstream.stop()
    house.line.set(scripts.RELEASE)
    assert (await house.ask()).outcome == (502, "upstream_unreachable")
    await until(lambda: house.line.caught == 1)
    await house.replayed()
    await audit(house, house.server, told)
    assert await house.used(limit="50 requests/day") == 1


# ---- what a server answers that cannot serve ------------------------------------------------------------


@pytest.mark.parametrize("kind", SINGLE)
async def test_out_of_memory(build: Build, upstream: Scripted, kind: str) -> None:
    """Quotas are refused, answers are not: those that cannot be kept are served all the same."""
    house = await build(kind, rates='["9 concurrent", "100 requests/hour"]', more="[cache]\n")
    told = [await house.ask(text="What was kept before?")]
    await house.concluded()
    gate = asyncio.Event()
    upstream.plan(gated(gate))
    async with house.streaming() as stream:
        upstream.plan()
        house.server.ask("CONFIG", "SET", "maxmemory", 1)
        kept = house.server.ask("ZCARD", keyspace.ANSWERS_INDEX)
        refused = await house.ask(text="Is there room for money?")
        assert refused.outcome == REFUSED
        assert 1 <= int(refused.headers["retry-after"]) <= 5
        for number in range(5):
            answer = await house.ask(RATED, text=f"Is there room for answer {number}?")
            assert (answer.outcome, answer.headers["x-gateway-cache"]) == (SERVED, "miss")
        assert await holds(house.server) == 1
        gate.set()
        told.append(await stream.rest())
    await house.concluded()
    assert await house.metric('gateway_store_errors_total{op="put"}') == 6
    assert house.server.ask("ZCARD", keyspace.ANSWERS_INDEX) == kept
    house.server.ask("CONFIG", "SET", "maxmemory", 0)
    told += await asked_until(lambda: house.ask(text="Is there room again?"), *SERVED)
    await house.replayed()
    await audit(house, house.server, told)
    assert await house.used("rated", "100 requests/hour") == 5


@pytest.mark.parametrize("kind", SINGLE)
async def test_a_store_that_evicts_is_refused_at_the_start(upstream: Scripted, home: Path, kind: str) -> None:
    options = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    server = Server(PROGRAMS[kind](), home, options).start()
    try:
        with pytest.raises(StoreMisconfigured, match=r"may evict.*CONFIG SET maxmemory-policy noeviction"):
            async with running(config(upstream, home, server.url), home, ENVIRON):
                pass
    finally:
        server.stop()


@pytest.mark.parametrize("kind", SINGLE)
async def test_read_only(build: Build, upstream: Scripted, kind: str) -> None:
    house = await build(kind, rates='["100 requests/hour"]')
    told = [await house.ask()]
    gate = asyncio.Event()
    upstream.plan(gated(gate))
    async with house.streaming() as stream:
        upstream.plan()
        house.server.ask("REPLICAOF", "127.0.0.1", "1")
        assert (await house.ask()).outcome == REFUSED
        assert (await house.ask(RATED)).outcome == SERVED
        gate.set()
        told.append(await stream.rest())
    # What the two cost, and that the one that was refused was not sent.
    await until(lambda: len(house.gateway.journal) == 3)
    house.server.ask("REPLICAOF", "NO", "ONE")
    told += await asked_until(house.ask, *SERVED)
    await house.replayed()
    await audit(house, house.server, told)
    assert await house.used("rated", "100 requests/hour") == 1


async def test_busy_with_a_script_that_does_not_end(build: Build) -> None:
    house = await build(rates='["100 requests/hour"]')
    told = [await house.ask()]
    house.server.ask("CONFIG", "SET", "busy-reply-threshold", 20)
    with connected(house.server.socket) as line:
        line.sendall(pack(("EVAL", "while true do end", 0)))
        await until(lambda: house.server.tell("PING").startswith(b"-BUSY"))
        assert (await house.ask()).outcome == REFUSED
        assert (await house.ask(RATED)).outcome == SERVED
        assert house.server.tell("SCRIPT KILL") == b"+OK"
    told += await asked_until(house.ask, *SERVED)
    await house.replayed()
    await audit(house, house.server, told)


@pytest.mark.parametrize("kind", SINGLE)
async def test_forgotten_scripts_are_brought_along(build: Build, upstream: Scripted, kind: str) -> None:
    house = await build(kind, money=EVERY_KIND)
    gate = asyncio.Event()
    upstream.plan(gated(gate))
    async with house.streaming() as stream:
        upstream.plan()
        told = []
        for number in range(10):
            assert house.server.tell("SCRIPT FLUSH") == b"+OK"
            told += await asyncio.gather(*(house.ask(seed=10 * number + each) for each in range(2)))
        assert {each.outcome for each in told} <= {SERVED, RATE_LIMITED}
        assert house.server.tell("SCRIPT FLUSH") == b"+OK"
        gate.set()
        told.append(await stream.rest())
    assert await house.metric('gateway_store_errors_total{op="reserve"}') == 0
    await audit(house, house.server, told)
