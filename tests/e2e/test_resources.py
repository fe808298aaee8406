"""What a request takes is given back, however it ends: tasks, descriptors, connections, holds, flights."""

import asyncio
import contextlib
import os
import random
import resource
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest

from gateway.policy.records import Kind
from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import Answer, Scripted, Seen, Wire, hold, json, openai, reset, sse
from tests.waiting import until, until_answer

TIMES = 10 if os.environ.get("GATEWAY_PROOF") else 1
REQUESTS = 300 * TIMES
STREAMS = 200 * TIMES
USUAL_DESCRIPTORS = 1024 * TIMES  # what a login shell allows
AT_ONCE = 20
CHAT = "/v1/chat/completions"
LIMITS = '["1M requests/second", "1000M tokens/minute", "5000 concurrent"]'
DELTA = {"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
END = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
# By the field `as` of a question, which the gateway passes on as it does with all that it does not know.
ANSWERS = {
    "error": json(503, {"error": {"message": "m"}}),
    "reset": reset,
    "cut": sse([DELTA], end="cut"),
    "endless": sse([DELTA], end="hang"),
    "silent": hold(asyncio.Event()),
}
LASTING = ("usual", "stream", "same", "error", "reset", "cut", "stranger")
LEFT = ("silent", "endless", "early")  # three of ten


async def _send_as_asked(seen: Seen, wire: Wire) -> None:
    await ANSWERS.get(seen.json().get("as"), openai()).send(seen, wire)


def question(number: int, kind: str) -> dict[str, Any]:
    said = [{"role": "user", "content": "hi"}]
    stream = kind in ("stream", "cut", "endless")
    seed = number // 20 if kind in ("same", "endless") else number  # these are asked again while under way
    return {"model": "gpt-4o-mini", "as": kind, "seed": seed, "stream": stream, "messages": said}


class Clients:
    """They ask as they should, or leave: before the answer, in the middle of it, or at any moment."""

    def __init__(self, gateway: Running, upstream: Scripted, session: aiohttp.ClientSession) -> None:
        self._url = gateway.url + CHAT
        self._upstream = upstream
        self._session = session
        self._chance = random.Random(7)
        self._room = asyncio.Semaphore(AT_ONCE)

    async def one(self, number: int) -> None:
        kind = LEFT[number % 10] if number % 10 < 3 else LASTING[number % len(LASTING)]
        async with self._room:
            await (self._leave(number, kind) if number % 10 < 3 else self._stay(number, kind))

    def _ask(self, number: int, kind: str) -> Any:
        key = "sk-gw-stranger" if kind == "stranger" else KEY
        headers = {"Authorization": f"Bearer {key}"}
        return self._session.post(self._url, json=question(number, kind), headers=headers)

    async def _stay(self, number: int, kind: str) -> None:
        with contextlib.suppress(aiohttp.ClientPayloadError):
            async with self._ask(number, kind) as answer:
                await answer.read()

    async def _leave(self, number: int, kind: str) -> None:
        if kind == "endless":
            async with self._ask(number, kind) as answer:
                await answer.content.readuntil(b"\n\n")
                answer.close()
            return
        asking = asyncio.create_task(self._stay(number, kind))
        if kind == "silent":
            await self._upstream.until(
                lambda: any(s.json()["seed"] == number for s in self._upstream.requests)
            )
        else:
            for _ in range(self._chance.randrange(12)):
                await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


@dataclass(frozen=True)
class Taken:
    """What an open gateway takes from its process, its store and its upstream."""

    tasks: tuple[str, ...]
    descriptors: int
    upstream_connections: int
    calls: int
    holds: int
    slots: int
    flights: int


async def taken(gateway: Running, upstream: Scripted) -> Taken:
    inside = gateway.gateway
    client = inside.clients.client("test")
    assert client is not None
    standings = await inside.holds.standings(client.shard, client.limits, inside.clock.now())
    tasks = [*inside.tasks.running(), *inside.serving]
    return Taken(
        tasks=tuple(sorted(task.get_name() for task in tasks)),
        descriptors=len(os.listdir("/proc/self/fd")),
        upstream_connections=upstream.open_connections,
        calls=sum(one["in_flight"] for one in inside.upstreams.status()),
        holds=len(inside.open_holds),
        slots=sum(one.used for one in standings if one.limit.kind is Kind.CONCURRENCY),
        flights=len(inside.flights),
    )


@contextlib.asynccontextmanager
async def clients(gateway: Running, upstream: Scripted) -> AsyncIterator[Clients]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Clients(gateway, upstream, session)


@pytest.mark.timeout(60 * TIMES)
async def test_everything_is_given_back(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits=LIMITS)
    await until(lambda: all(task.get_name() != "load the tokenizer" for task in asyncio.all_tasks()))
    await _ledger_is_open(gateway)
    before = await taken(gateway, upstream)
    upstream.plan(Answer(_send_as_asked))
    async with clients(gateway, upstream) as many:
        await asyncio.gather(*map(many.one, range(REQUESTS)))
    assert upstream.hangups >= REQUESTS // 10
    assert upstream.open_connections <= AT_ONCE  # the pool's, idle
    await gateway.concluded()
    for connection in list(upstream._open):
        connection.break_off()

    async def left() -> Taken:
        """Idle connections of before may have been closed meanwhile: fewer descriptors are none too many."""
        now = await taken(gateway, upstream)
        return replace(now, descriptors=max(now.descriptors, before.descriptors))

    await until_answer(left, before)


async def _ledger_is_open(gateway: Running) -> None:
    """A refused request leaves a row, whose way into the database opens files that stay open."""
    async with gateway.post("/v1/chat/completions", {}) as answer:
        assert answer.status == 400

    async def drained() -> bool:
        return "gateway_ledger_drained_total 1.0" in await gateway.metrics()

    await until_answer(drained, True)


@pytest.fixture
def _usual_limit() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < USUAL_DESCRIPTORS:
        pytest.skip(f"ulimit -Hn is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (USUAL_DESCRIPTORS, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("_usual_limit")
@pytest.mark.timeout(60 * TIMES)
async def test_many_idle_streams_fit_into_the_usual_ulimit(start: Start, upstream: Scripted) -> None:
    gateway = await start(limits=LIMITS)
    more = asyncio.Event()
    upstream.plan(sse([DELTA, more, END]))
    opened: list[aiohttp.ClientResponse] = []
    async with clients(gateway, upstream) as many:

        async def one(number: int) -> None:
            answer = await many._ask(number, "stream")
            assert await answer.content.readuntil(b"\n\n")
            opened.append(answer)

        await asyncio.gather(*map(one, range(STREAMS)))
        assert upstream.open_connections == STREAMS
        assert f'gateway_inflight{{kind="streams"}} {STREAMS}.0' in await gateway.metrics()
        more.set()
        ends = await asyncio.gather(*(answer.read() for answer in opened))
    assert [end[-14:] for end in ends] == [b"data: [DONE]\n\n"] * STREAMS
