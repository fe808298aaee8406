"""Alerts over a real store, told to a real server."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway import alerts as alerts_module
from gateway.alerts import REST_MS, Alerts
from gateway.errors import StoreUnavailable
from gateway.policy.limits import parse_limit
from gateway.policy.records import Claim, Client, Limit, Unit
from gateway.policy.windows import Calendar
from gateway.runtime import Tasks
from gateway.settings import Alerts as Settings
from gateway.store.redis import RedisStore, open_store
from gateway.upstream.webhook import Webhook
from tests.store.servers import NOW, Server, valkey

NANO = 10**9
DAY_MS = 86_400_000
FIVE = parse_limit("$5/day", "team:research")
RATE = parse_limit("60 requests/minute", "team:research")
ALICE = Client(id="ab12cd", name="alice", digest=b"", team="research", limits=(FIVE, RATE))


class Hook:
    """A webhook's receiver."""

    def __init__(self) -> None:
        self.status = 200
        self.heard: list[dict[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        event = json.loads(await request.read())
        self.asked.set()
        await self.open.wait()
        if self.status == 200:
            self.heard.append(event)
        return web.Response(status=self.status)

    @property
    def shares(self) -> list[int]:
        return [event["share"] for event in self.heard]


async def no_time(seconds: float) -> None:
    await asyncio.sleep(0)


class Process:
    """What one gateway has of it: a connection to the store, a webhook, and the alerts between them."""

    def __init__(self, store: RedisStore, webhook: Webhook, tasks: Tasks, at: list[int]) -> None:
        self.store = store
        self.now = NOW
        self.outcomes: list[str] = []
        self.alerts = Alerts(
            Settings(at=at),
            store.holds,
            store.marks,
            Calendar("UTC"),
            lambda: self.now,
            webhook.send,
            tasks.spawn,
            self.outcomes.append,
        )
        self._spent = 0

    async def spend(
        self, amount: int, client: Client = ALICE, unit: Unit = Unit.DOLLARS, *, touch: bool = True
    ) -> None:
        """A request that is settled at so much."""
        self._spent += 1
        hold = f"{id(self)}-{self._spent}"
        claims = [Claim(limit, amount, held=True) for limit in client.limits if limit.unit is unit]
        await self.store.holds.reserve(client.shard, hold, "reserve", claims, self.now, 30_000)
        await self.store.holds.settle(client.shard, hold, {unit: amount}, self.now)
        if touch:
            self.alerts.touch(client)

    async def reserve(self, amount: int, client: Client = ALICE, limit: Limit = FIVE) -> bool:
        """A request under way; one that is refused is told of, as the line does."""
        self._spent += 1
        hold = f"{id(self)}-{self._spent}"
        claims = [Claim(limit, amount, held=True)]
        verdict = await self.store.holds.reserve(client.shard, hold, "reserve", claims, self.now, 30_000)
        if not verdict.admitted:
            self.alerts.refused(client, verdict.standings)
        return verdict.admitted

    async def look(self) -> None:
        """Look, and wait until all of it is told."""
        await self.alerts.look()
        await self.alerts.settled()


@pytest.fixture
def server() -> Iterator[Server]:
    with tempfile.TemporaryDirectory(prefix="gw") as folder:
        server = Server(valkey(), Path(folder)).start()
        yield server
        server.stop()


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    app = web.Application()
    app.router.add_post("/hook", hook.answer)
    async with TestServer(app) as listening:
        hook.url = f"http://127.0.0.1:{listening.port}/hook"
        yield hook
        hook.open.set()


class Started:
    """Starts processes on one store."""

    def __init__(self, stack: contextlib.AsyncExitStack, server: Server, hook: Hook) -> None:
        self._stack, self._server, self._hook = stack, server, hook

    async def __call__(self, *at: int) -> Process:
        tasks = Tasks()
        store = await open_store(
            self._server.url, deadline=2.0, timezone="UTC", max_memory=2**20, spawn=tasks.spawn
        )
        self._stack.push_async_callback(tasks.drain, 0)
        self._stack.push_async_callback(store.close)
        webhook = Webhook(self._hook.url, sleep=no_time)
        await webhook.start()
        self._stack.push_async_callback(webhook.close)
        process = Process(store, webhook, tasks, list(at) or [80, 100])
        self._stack.push_async_callback(process.alerts.close)
        return process


@pytest.fixture
async def start(server: Server, hook: Hook) -> AsyncIterator[Started]:
    async with contextlib.AsyncExitStack() as stack:
        yield Started(stack, server, hook)


@pytest.fixture
async def process(start: Started) -> Process:
    return await start()


async def test_each_share_is_told_when_it_is_reached_and_once(process: Process, hook: Hook) -> None:
    for spent, shares in ((3, []), (1, [80]), (0, [80]), (1, [80, 100]), (0, [80, 100])):
        await process.spend(spent * NANO)
        await process.look()
        assert hook.shares == shares
    assert [event["used"] for event in hook.heard] == ["4", "5"]
    assert process.outcomes == ["sent", "sent"]


async def test_two_shares_at_once_arrive_in_order(process: Process, hook: Hook) -> None:
    await process.spend(5 * NANO)
    await process.look()
    assert hook.shares == [80, 100]


async def test_three_processes_tell_each_share_once_per_window(start: Started, hook: Hook) -> None:
    processes = [await start(20, 40, 60, 80, 100) for _ in range(3)]
    for _ in range(10):
        await asyncio.gather(
            *(each.spend(n * NANO // 10) for each, n in zip(processes, (1, 2, 2), strict=True))
        )
        await asyncio.gather(*(process.look() for process in processes))
    assert sorted(hook.shares) == [20, 40, 60, 80, 100]
    for process in processes:
        process.now += DAY_MS
    await processes[0].spend(5 * NANO)
    for process in processes[1:]:
        process.alerts.touch(ALICE)
    await asyncio.gather(*(process.look() for process in processes))
    assert sorted(hook.shares) == sorted([20, 40, 60, 80, 100] * 2)
    assert len({event["id"] for event in hook.heard}) == 10


async def test_what_is_reserved_and_given_back_was_never_spent(process: Process, hook: Hook) -> None:
    assert await process.reserve(5 * NANO)
    process.alerts.touch(ALICE)
    await process.look()
    assert hook.shares == []


async def test_a_refusal_counts_as_the_whole(process: Process, hook: Hook) -> None:
    await process.spend(3 * NANO)
    assert not await process.reserve(4 * NANO)
    await process.look()
    (event,) = hook.heard
    assert (event["share"], event["used"], event["refused"]) == (100, "3", True)
    assert not await process.reserve(4 * NANO)
    await process.look()
    assert len(hook.heard) == 1


async def test_a_refusal_for_want_of_room_now_is_no_exhausted_budget(process: Process, hook: Hook) -> None:
    assert await process.reserve(4 * NANO)
    assert not await process.reserve(2 * NANO)  # the first may give most of it back
    assert not await process.reserve(6 * NANO)  # it can never fit
    await process.look()
    assert hook.shares == []


async def test_a_refusal_just_before_midnight_is_the_old_days(process: Process, hook: Hook) -> None:
    end = Calendar("UTC").span(FIVE.window, NOW).end  # type: ignore[arg-type]  # it has a window
    assert end is not None
    process.now = end - 1
    await process.spend(3 * NANO)
    assert not await process.reserve(4 * NANO)
    process.now = end
    await process.look()
    (event,) = hook.heard
    assert event["window_ends"] == "2026-09-22T00:00:00Z"
    assert event["sent_at"] == event["window_ends"]


async def test_rates_are_no_budgets(process: Process, hook: Hook) -> None:
    full = Client(
        id="rated", name="rated", digest=b"", limits=(parse_limit("10 requests/minute", "key:rated"),)
    )
    claims = [Claim(full.limits[0], 10, held=False)]
    await process.store.holds.reserve(full.shard, "h", "admit", claims, NOW, 30_000)
    process.alerts.touch(full)
    await process.look()
    assert hook.shares == []


async def test_tokens_and_shadows_are_told_of_as_well(process: Process, hook: Hook) -> None:
    limit = parse_limit({"limit": "1k tokens/day", "mode": "shadow"}, "key:bob")
    bob = Client(id="bob", name="bob", digest=b"", limits=(limit,))
    await process.spend(1500, bob, Unit.TOKENS)
    await process.look()
    assert [(event["share"], event["used"], event["unit"], event["mode"]) for event in hook.heard] == [
        (80, "1500", "tokens", "shadow"),
        (100, "1500", "tokens", "shadow"),
    ]


async def test_a_raised_limit_is_told_of_anew_and_a_restored_one_is_not(process: Process, hook: Hook) -> None:
    await process.spend(4 * NANO)
    await process.look()
    raised = Client(
        id=ALICE.id, name="alice", digest=b"", team="research", limits=(parse_limit("$10/day", FIVE.scope),)
    )
    process.alerts.touch(raised)
    await process.look()
    assert hook.shares == [80]
    await process.spend(4 * NANO, raised)
    await process.look()
    assert [(event["share"], event["amount"]) for event in hook.heard] == [(80, "5"), (80, "10")]
    process.alerts.touch(ALICE)
    await process.look()
    assert [event["share"] for event in hook.heard] == [80, 80, 100]  # $8 of $5


async def test_what_nobody_took_is_told_later_and_meanwhile_others_may(start: Started, hook: Hook) -> None:
    one, other = await start(), await start()
    hook.status = 500
    await one.spend(4 * NANO)
    await one.look()
    await one.look()
    assert (one.outcomes, hook.heard) == (["failed"], [])  # it rests, and does not hammer
    hook.status = 200
    other.alerts.touch(ALICE)
    await other.look()
    assert hook.shares == [80]
    one.now += REST_MS
    await one.look()
    assert hook.shares == [80]


async def test_it_tries_again_by_itself_when_it_has_rested(process: Process, hook: Hook) -> None:
    hook.status = 404
    await process.spend(4 * NANO)
    await process.look()
    hook.status = 200
    process.now += REST_MS - 1
    await process.look()
    assert hook.heard == []
    process.now += 1
    await process.look()
    assert (hook.shares, process.outcomes) == ([80], ["refused", "sent"])


async def test_what_is_over_for_an_hour_is_not_told_any_more(process: Process, hook: Hook) -> None:
    hook.status = 404
    await process.spend(4 * NANO)
    await process.look()
    hook.status = 200
    process.now += 2 * DAY_MS
    await process.look()
    assert hook.heard == []
    assert repr(process.alerts) == "<Alerts 0 to tell, 0 being told>"


async def test_a_share_that_is_reached_while_another_is_told_comes_after_it(
    process: Process, hook: Hook
) -> None:
    hook.open.clear()
    await process.spend(4 * NANO)
    await process.alerts.look()
    await hook.asked.wait()
    await process.spend(NANO)
    process.now += REST_MS  # however long it takes
    await process.alerts.look()
    hook.open.set()
    await process.alerts.settled()
    await process.look()
    assert hook.shares == [80, 100]


async def test_a_store_that_is_away_loses_nothing(process: Process, hook: Hook, server: Server) -> None:
    await process.spend(4 * NANO)
    server.stop()
    with pytest.raises(StoreUnavailable):
        await process.alerts.look()
    server.start()
    async with asyncio.timeout(20):
        while not process.store.up:
            await asyncio.sleep(0.01)
    await process.spend(4 * NANO, touch=False)  # what it had kept is gone, and nobody asks again
    await process.look()
    assert hook.shares == [80]


async def test_the_end_does_not_wait_for_a_receiver_that_hangs_and_leaves_it_to_others(
    start: Started, hook: Hook
) -> None:
    one, other = await start(), await start()
    hook.open.clear()
    await one.spend(4 * NANO)
    await one.alerts.look()
    await hook.asked.wait()
    await one.alerts.close(0.05)
    assert repr(one.alerts) == "<Alerts 1 to tell, 0 being told>"
    hook.open.set()
    other.alerts.touch(ALICE)
    await other.look()
    assert (one.outcomes, other.outcomes) == ([], ["sent"])


async def test_what_was_spent_last_is_told_before_the_end(process: Process, hook: Hook) -> None:
    await process.spend(4 * NANO)
    await process.alerts.close()
    assert hook.shares == [80]


async def test_many_limits_at_once_are_all_told(
    process: Process, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts_module, "_MOST_TELLING", 3)
    for number in range(10):
        limit = parse_limit("$1/day", f"key:k{number}")
        client = Client(id=f"k{number}", name="k", digest=b"", limits=(limit,))
        await process.spend(NANO, client)
    for _ in range(4):
        await process.look()
    assert len(hook.heard) == 20


async def test_what_was_told_is_not_remembered_without_end(
    process: Process, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts_module, "_MOST_TOLD", 1)
    await process.spend(5 * NANO)
    await process.look()
    process.alerts.touch(ALICE)
    await process.look()  # the store remembers
    assert hook.shares == [80, 100]


async def test_the_loop_looks_by_itself(
    process: Process, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts_module, "INTERVAL_SECONDS", 0.01)
    await process.spend(4 * NANO)
    loop = asyncio.ensure_future(process.alerts.run())
    async with asyncio.timeout(20):
        await hook.asked.wait()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
    await process.alerts.settled()
    assert hook.shares == [80]


async def test_without_an_address_nothing_is_kept_and_the_loop_ends() -> None:
    nothing: Any = None
    alerts = Alerts(Settings(), nothing, nothing, Calendar("UTC"), lambda: NOW, None, nothing, nothing)
    alerts.touch(ALICE)
    alerts.refused(ALICE, ())
    await alerts.run()
    await alerts.look()
    await alerts.close()
    assert repr(alerts) == "<Alerts 0 to tell, 0 being told>"
