"""Limits change while requests run, in two gateway processes; one that was stopped comes back late."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.e2e.outage import (
    ENVIRON,
    RATE_LIMITED,
    SERVED,
    STREAMED,
    USED_UP,
    WRONG_KEY,
    Gateways,
    Told,
    asked_until,
    audit,
    config,
    gated,
    holds,
)
from tests.scripted import Scripted
from tests.served import Served, served
from tests.store.servers import Server, valkey
from tests.waiting import until_answer

BOTH = (0, 1)
MUCH = "$1/total"
# Less than one request of `outage.question` can cost, more than it does.
LITTLE = "$0.00002/total"


class Pair(Gateways):
    """Two processes on one store."""

    def __init__(self, session: aiohttp.ClientSession, server: Server, *processes: Served) -> None:
        super().__init__(session, *((process.url, process.admin_url) for process in processes))
        self.server, self.processes = server, processes

    async def ordered(self, method: str, path: str, body: Any = None) -> None:
        """An admin call that has to succeed, to the first process."""
        status, answer = await self.admin(method, path, body)
        assert status == 200, answer

    async def change(self, name: str, *limits: str) -> None:
        """The limits of a key, from now on."""
        await self.ordered("PATCH", f"keys/{self.ids[name]}", {"limits": list(limits)})

    async def charged(self) -> int:
        """Nano-dollars by the metrics of both."""
        total = 0.0
        for at in BOTH:
            total += await self.metric('gateway_cost_dollars_total{model="gpt-4o-mini",team="none"}', at)
            total -= await self.metric("gateway_refunded_dollars_total", at)
        return round(total * 10**9)

    async def meet(self, key: str, *outcome: object) -> list[Told]:
        """Both answer like this before long; all that they said until then."""
        told = [await asked_until(lambda at=at: self.ask(key, at), *outcome) for at in BOTH]  # type: ignore[misc]
        return [*told[0], *told[1]]


@pytest.fixture
async def pair(upstream: Scripted, home: Path) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        server = Server(valkey(), home).start()
        stack.callback(server.stop)
        processes = []
        for name in ("one", "two"):
            folder = home / name
            folder.mkdir()
            text = config(upstream, folder, server.url)
            processes.append(await stack.enter_async_context(served(folder, config=text, environ=ENVIRON)))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Pair(session, server, *processes)


@contextlib.asynccontextmanager
async def under_way(pair: Pair, upstream: Scripted, key: str, told: list[Told]) -> AsyncIterator[None]:
    """A stream in each process, begun before what happens within, and brought to its end afterwards."""
    gate = asyncio.Event()
    upstream.plan(gated(gate))
    async with pair.streaming(key, 0) as one, pair.streaming(key, 1) as other:
        upstream.plan()
        yield
        gate.set()
        told += [await one.rest(), await other.rest()]


async def test_a_budget_lowered_and_raised(pair: Pair, upstream: Scripted) -> None:
    key = await pair.make_key("live", MUCH)
    told = await pair.meet(key, *SERVED)
    async with under_way(pair, upstream, key, told):
        await pair.change("live", LITTLE)
        assert await pair.used("live", LITTLE) > 20_000  # what is used is more
        told += await pair.meet(key, *USED_UP)
        await pair.change("live", MUCH)
        told += await pair.meet(key, *SERVED)
    await audit(pair, pair.server, told, client="live")


async def test_a_limit_added_and_removed(pair: Pair, upstream: Scripted) -> None:
    key = await pair.make_key("live", MUCH)
    told: list[Told] = []
    async with under_way(pair, upstream, key, told):
        await pair.change("live", MUCH, "1 requests/day")
        told += await pair.meet(key, *USED_UP)
        assert sum(each.outcome == SERVED for each in told) == 1  # who ran before is not counted
        await pair.change("live", MUCH)
        told += await pair.meet(key, *SERVED)
    await audit(pair, pair.server, told, client="live")


async def test_slots_taken_away_from_those_who_have_them(pair: Pair, upstream: Scripted) -> None:
    key = await pair.make_key("live", MUCH, "5 concurrent")
    told: list[Told] = []
    async with under_way(pair, upstream, key, told):
        assert await pair.used("live", "5 concurrent") == 2
        await pair.change("live", MUCH, "1 concurrent")
        told += await pair.meet(key, *RATE_LIMITED)
        await pair.change("live", MUCH, "3 concurrent")
        told += await pair.meet(key, *SERVED)
        await pair.change("live", MUCH, "1 concurrent")
    told += await pair.meet(key, *SERVED)
    await audit(pair, pair.server, told, client="live")


async def test_a_teams_budget_and_a_key_of_it_deleted(pair: Pair, upstream: Scripted) -> None:
    """The team's other key shows what the deleted one is still charged for."""
    assert (await pair.admin("POST", "teams", {"name": "lab", "limits": [MUCH]}))[0] == 201
    gone, stays = await pair.make_key("gone", team="lab"), await pair.make_key("stays", team="lab")
    told = [*await pair.meet(gone, *SERVED), *await pair.meet(stays, *SERVED)]
    async with under_way(pair, upstream, gone, told):
        await pair.ordered("PATCH", "teams/lab", {"limits": [LITTLE]})
        for key in (gone, stays):
            told += await pair.meet(key, *USED_UP)
        await pair.ordered("PATCH", "teams/lab", {"limits": [MUCH]})
        for key in (gone, stays):
            told += await pair.meet(key, *SERVED)
        await pair.ordered("DELETE", f"keys/{pair.ids['gone']}")
        told += await pair.meet(gone, *WRONG_KEY)
        told += await pair.meet(stays, *SERVED)
    cost = sum(each.cost for each in told)
    await until_answer(lambda: pair.used("stays", MUCH), cost)
    assert sum(row["cost_nano"] for row in await pair.rows() if row["team"] == "lab") == cost
    assert await holds(pair.server) == 0


async def test_a_process_stopped_for_longer_than_its_leases(pair: Pair, upstream: Scripted) -> None:
    """The other one charges its request as at worst; when it ends after all, the difference is charged."""
    key = await pair.make_key("late", MUCH)
    told: list[Told] = []
    stopped, _ = pair.processes
    gate = asyncio.Event()
    upstream.plan(gated(gate))
    async with pair.streaming(key) as stream:
        stopped.signal(signal.SIGSTOP)
        try:
            await until_answer(lambda: holds(pair.server), 0)
            (lease,) = await pair.rows(at=1)
            assert (lease["settled"], lease["correction"]) == ("lease", False)
            assert await pair.used("late", at=1) == lease["cost_nano"] > STREAMED
        finally:
            stopped.signal(signal.SIGCONT)
        gate.set()
        told.append(await stream.rest())
    await audit(pair, pair.server, told, client="late")
    _, correction = await pair.rows()
    assert (correction["id"], correction["settled"], correction["correction"]) == (lease["id"], "usage", True)
    assert await pair.charged() == STREAMED
    assert await pair.metric('gateway_settlements_total{source="lease"}', at=1) == 1
