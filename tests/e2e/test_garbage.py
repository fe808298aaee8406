"""What a request is made of is gone when it is over: nothing waits for the collector of cycles."""

import asyncio
import contextlib
import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest

from gateway.exchange import Exchange, Reply
from gateway.flights import Flight
from gateway.incoming import Incoming
from tests.conftest import Start
from tests.running import Running
from tests.scripted import Answer, Scripted, Seen, Wire, chat, json, sse
from tests.waiting import until

CHAT = "/v1/chat/completions"
TIMES = 20
KINDS = (Exchange, Flight, Incoming, Reply)


def question(number: int, **more: object) -> dict[str, object]:
    asked = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": f"question {number}"}]}
    return asked | more


async def ask(gateway: Running, number: int, **more: object) -> int:
    async with gateway.post(CHAT, question(number, **more)) as answer:
        with contextlib.suppress(aiohttp.ClientPayloadError):
            await answer.read()
        return int(answer.status)


async def misses(gateway: Running, upstream: Scripted) -> None:
    for number in range(1, TIMES + 1):
        assert await ask(gateway, number) == 200


async def hits(gateway: Running, upstream: Scripted) -> None:
    for _ in range(TIMES):
        assert await ask(gateway, 0) == 200


async def joined(gateway: Running, upstream: Scripted) -> None:
    more, before = asyncio.Event(), upstream.calls
    upstream.plan(slow(more))
    for number in range(1, TIMES // 4 + 1):
        more.clear()
        asked = [asyncio.create_task(ask(gateway, number)) for _ in range(4)]
        await upstream.received(before + number)
        more.set()
        assert await asyncio.gather(*asked) == [200] * 4


async def joined_failures(gateway: Running, upstream: Scripted) -> None:
    for number in range(1, TIMES // 4 + 1):
        more, before = asyncio.Event(), upstream.calls
        upstream.plan(slow(more, json(200, b"{")))
        asked = [asyncio.create_task(ask(gateway, number)) for _ in range(4)]
        await upstream.received(before + 1)
        more.set()
        assert await asyncio.gather(*asked) == [502] * 4


async def joined_and_left(gateway: Running, upstream: Scripted) -> None:
    for number in range(1, TIMES // 4 + 1):
        more, before = asyncio.Event(), upstream.calls
        upstream.plan(slow(more))
        first = asyncio.create_task(ask(gateway, number))
        await upstream.received(before + 1)
        others = [asyncio.create_task(ask(gateway, number)) for _ in range(3)]
        await until(lambda: gateway.gateway.flights.readers() == 4)
        first.cancel()
        await until(lambda: gateway.gateway.flights.readers() == 3)
        more.set()
        assert await asyncio.gather(*others) == [200] * 3


async def streams(gateway: Running, upstream: Scripted) -> None:
    delta = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
    upstream.plan(sse([delta]))
    for number in range(1, TIMES + 1):
        assert await ask(gateway, number, stream=True) == 200


async def broken_streams(gateway: Running, upstream: Scripted) -> None:
    delta = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
    upstream.plan(sse([delta], end="cut"))
    for number in range(1, TIMES + 1):
        assert await ask(gateway, number, stream=True) == 200


async def cancelled(gateway: Running, upstream: Scripted) -> None:
    before = upstream.calls
    upstream.plan(slow(asyncio.Event()))
    for number in range(1, TIMES + 1):
        asked = asyncio.create_task(ask(gateway, number))
        await upstream.received(before + number)
        asked.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asked


async def cancelled_streams(gateway: Running, upstream: Scripted) -> None:
    delta = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
    upstream.plan(sse([delta], end="hang"))
    for number in range(1, TIMES + 1):
        async with gateway.post(CHAT, question(number, stream=True)) as answer:
            await answer.content.readany()
            answer.close()
    await until(lambda: not gateway.gateway.serving)


async def refused(gateway: Running, upstream: Scripted) -> None:
    for number in range(1, TIMES + 1):
        assert await ask(gateway, number, max_tokens=-1) == 400


async def over_the_limit(gateway: Running, upstream: Scripted) -> None:
    assert await ask(gateway, 1, model="gpt-4o") == 200
    for number in range(1, TIMES + 1):
        assert await ask(gateway, number, model="gpt-4o") == 429


async def failures(gateway: Running, upstream: Scripted) -> None:
    upstream.plan(json(500, {"error": {"message": "no"}}))
    for number in range(1, TIMES + 1):
        assert await ask(gateway, number) == 500


async def no_answers(gateway: Running, upstream: Scripted) -> None:
    upstream.plan(json(200, b"{"))
    for number in range(1, TIMES + 1):
        assert await ask(gateway, number) == 502


def slow(more: asyncio.Event, answer: Answer | None = None) -> Answer:
    async def send(seen: Seen, wire: Wire) -> None:
        await more.wait()
        await (answer or chat()).send(seen, wire)

    return Answer(send)


@contextlib.asynccontextmanager
async def uncollected() -> AsyncIterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive() -> Counter[str]:
    return Counter(type(one).__name__ for one in gc.get_objects() if type(one) in KINDS)


ALL = (
    *(
        misses,
        hits,
        joined,
        joined_failures,
        joined_and_left,
        streams,
        broken_streams,
        cancelled,
        cancelled_streams,
    ),
    *(refused, over_the_limit, failures, no_answers),
)


@pytest.mark.parametrize("kind", ALL)
async def test_nothing_of_a_request_waits_for_the_collector(
    start: Start, upstream: Scripted, kind: Callable[[Running, Scripted], Awaitable[None]]
) -> None:
    gateway = await start(limits='["1000 requests/minute", "1 requests/day on gpt-4o"]')
    assert await ask(gateway, 0) == 200
    await gateway.concluded()
    await gateway.metrics()
    async with uncollected():
        others = alive()  # what another test has made to look at
        await kind(gateway, upstream)
        await gateway.concluded()
        await gateway.metrics()  # which is told all that has ended
        assert alive() - others == Counter()
