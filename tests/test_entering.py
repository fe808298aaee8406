"""What a request needs of the store is asked at once, and comes to the same as if it were asked piecemeal."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.policy.records import Claim, Record
from gateway.store.base import Entered, Holds
from tests import books
from tests.conftest import Start
from tests.running import Running
from tests.scripted import Scripted, chat, hold, sse
from tests.scripted import json as plain
from tests.stages.questions import CHAT, QUESTION
from tests.waiting import until

LIMITS = '["$1/total", "1000 tokens/total", "10 requests/total", "5 concurrent"]'
BOUND = QUESTION | {"max_tokens": 50}


class Watched:
    """The gateway's own holds, with a note of what is asked of them."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name in ("reserve", "enter", "dispatch"):
            self.asked.append(name)
        return getattr(self._holds, name)


async def started(start: Start, more: str = "", limits: str = LIMITS) -> tuple[Running, Watched]:
    gateway = await start(more, limits=limits)
    await gateway.gateway.tokens.load()
    watched = Watched(gateway.gateway.holds)
    gateway.gateway.holds = watched
    return gateway, watched


async def test_a_miss_asks_once_and_so_does_a_hit(start: Start, upstream: Scripted) -> None:
    gateway, watched = await started(start)
    upstream.plan(chat("hi", prompt_tokens=9, completion_tokens=3))
    async with gateway.post(CHAT, BOUND) as answer:
        assert (answer.status, answer.headers["x-gateway-cache"]) == (200, "miss")
    await gateway.concluded()
    assert watched.asked == ["enter"]
    async with gateway.post(CHAT, BOUND) as answer:
        assert (answer.status, answer.headers["x-gateway-cache"]) == (200, "hit")
    await gateway.concluded()
    assert watched.asked == ["enter"] * 2
    assert await books.used(gateway) == [9 * 150 + 3 * 600, 12, 2, 0]
    await books.agree(gateway, gateway.gateway.clients.everybody())


async def test_what_is_held_meanwhile_is_the_worst_case(start: Start, upstream: Scripted) -> None:
    gateway, watched = await started(start, limits='["100 tokens/total"]')
    answered = asyncio.Event()
    upstream.plan(hold(answered, chat(prompt_tokens=9, completion_tokens=3)))
    first = asyncio.create_task(asked(gateway, seed=1))
    await upstream.received(1)
    assert await asked(gateway, seed=2) == (429, "miss")
    answered.set()
    assert await first == (200, "miss")
    assert await books.used(gateway) == [12]
    assert watched.asked == ["enter"] * 2


async def asked(gateway: Running, **more: Any) -> tuple[int, str]:
    async with gateway.post(CHAT, BOUND | more) as answer:
        await answer.read()
        return int(answer.status), str(answer.headers["x-gateway-cache"])


async def test_a_hit_reserves_nothing_and_is_answered_when_the_budget_is_gone(
    start: Start, upstream: Scripted
) -> None:
    gateway, watched = await started(start, limits='["80 tokens/total", "9 requests/total"]')
    upstream.plan(chat(prompt_tokens=10, completion_tokens=50))
    for cache in ("miss", "hit"):
        async with gateway.post(CHAT, BOUND) as answer:
            assert (answer.status, answer.headers["x-gateway-cache"]) == (200, cache)
        await gateway.concluded()
    assert await books.used(gateway) == [60, 2]
    async with gateway.post(CHAT, BOUND | {"seed": 1}) as answer:
        assert (answer.status, answer.headers["x-gateway-cache"]) == (429, "miss")
        assert "80 tokens" in (await answer.json())["error"]["message"]
    assert await books.used(gateway) == [60, 2], "who is refused gives back what admitted him"
    assert watched.asked == ["enter"] * 3
    await books.agree(gateway, gateway.gateway.clients.everybody())


async def test_who_is_not_even_admitted_has_asked_no_cache(start: Start, upstream: Scripted) -> None:
    gateway, _ = await started(start, limits='["1 requests/total"]')
    for status, cache in ((200, "miss"), (429, "bypass")):
        async with gateway.post(CHAT, BOUND) as answer:
            assert (answer.status, answer.headers["x-gateway-cache"]) == (status, cache)
        await gateway.concluded()
    assert len(gateway.gateway.flights) == 0


async def test_entered_and_then_no_upstream_gives_everything_back(start: Start, upstream: Scripted) -> None:
    gateway, watched = await started(start)
    await upstream.stop()
    async with gateway.post(CHAT, BOUND) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (502, "upstream_unreachable")
    assert await books.used(gateway) == [0, 0, 0, 0]
    assert watched.asked == ["enter"]
    assert gateway.gateway.open_holds == {}
    (row,) = await books.rows(gateway)
    assert (row.cost, row.settled, row.cache) == (0, "none", "miss")


async def test_who_asks_the_same_meanwhile_joins_and_reserves_nothing(
    start: Start, upstream: Scripted
) -> None:
    gateway, watched = await started(start, limits='["150 tokens/total"]')
    answered = asyncio.Event()
    upstream.plan(hold(answered, chat(prompt_tokens=9, completion_tokens=3)))
    asking = [asyncio.create_task(asked(gateway)) for _ in range(8)]  # no two of them fit into the limit
    await until(lambda: gateway.gateway.flights.readers() == 8)
    answered.set()
    assert sorted(await asyncio.gather(*asking)) == [(200, "joined")] * 7 + [(200, "miss")]
    assert (upstream.calls, watched.asked.count("enter")) == (1, 1)
    assert await books.used(gateway) == [12]


async def test_what_is_kept_and_cannot_be_replayed_is_asked_for_step_by_step(
    start: Start, upstream: Scripted
) -> None:
    gateway, watched = await started(start)
    message = {"role": "assistant", "content": [{"odd": 1}]}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    upstream.plan(plain(200, body | {"usage": usage}))
    async with gateway.post(CHAT, BOUND) as answer:
        assert answer.headers["x-gateway-cache"] == "miss"
    delta = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
    upstream.plan(sse([delta, {"choices": [], "usage": usage}]))
    await gateway.concluded()
    watched.asked.clear()
    async with gateway.post(CHAT, BOUND | {"stream": True}) as answer:
        assert (answer.headers["x-gateway-cache"], b"[DONE]" in await answer.read()) == ("miss", True)
    await gateway.concluded()
    assert watched.asked == ["enter", "reserve", "dispatch"]
    assert await books.used(gateway) == [2 * 750, 4, 2, 0]
    await books.agree(gateway, gateway.gateway.clients.everybody())


@pytest.mark.parametrize(
    "body",
    [
        BOUND | {"messages": [{"role": "user", "content": "word " * 12_000}]},
        BOUND | {"model": "nobody-knows-it"},
    ],
)
async def test_what_is_not_certain_is_asked_step_by_step(
    start: Start, upstream: Scripted, body: dict[str, Any]
) -> None:
    gateway, watched = await started(start)
    async with gateway.post(CHAT, body) as answer:
        assert answer.status >= 400
        assert answer.headers["x-gateway-cache"] == "miss"
    await gateway.concluded()
    assert "enter" not in watched.asked
    assert await books.used(gateway) == [0, 0, 0, 0]


async def test_whoever_leaves_while_the_store_is_asked_gives_everything_back(
    start: Start, upstream: Scripted
) -> None:
    gateway, watched = await started(start)
    enter, go, told = watched._holds.enter, asyncio.Event(), asyncio.Event()

    async def slow(
        shard: str,
        hold: str,
        admit: Sequence[Claim],
        answer: Sequence[Claim],
        now: int,
        lease: int,
        *,
        key: bytes | None = None,
        record: Record | None = None,
    ) -> Entered:
        entered = await enter(shard, hold, admit, answer, now, lease, key=key, record=record)
        told.set()
        await go.wait()
        return entered

    watched.enter = slow  # type: ignore[attr-defined]
    asking = asyncio.create_task(asked(gateway))
    await told.wait()
    other = asyncio.create_task(asked(gateway))
    await until(lambda: gateway.gateway.flights.readers() == 1)
    del watched.enter
    asking.cancel()
    assert await other == (200, "miss"), "nobody waits for one who has left"
    assert upstream.calls == 1
    rows = await books.agree(gateway, gateway.gateway.clients.everybody())
    assert sorted((row.status, row.cost == 0) for row in rows) == [(200, False), (499, True)]


async def test_a_store_that_is_away_is_not_asked_twice(start: Start, upstream: Scripted) -> None:
    gateway, watched = await started(start, limits='["1 requests/total"]')

    async def away(*_: Any, **__: Any) -> Entered:
        raise StoreUnavailable("It does not answer.")

    watched.enter = away  # type: ignore[attr-defined]
    async with gateway.post(CHAT, BOUND) as answer:
        assert (answer.status, answer.headers["x-gateway-cache"]) == (503, "bypass")
    assert "reserve" not in watched.asked
    assert upstream.calls == 0
