"""What a connection is made of is gone when it ends, whichever way: no collector of cycles is needed."""

import asyncio
import contextlib
import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.straight import Straight
from gateway.upstream.arrival import Arrival
from gateway.upstream.connection import Connection
from gateway.web.lane import Lane
from gateway.web.lanebody import LaneBody
from gateway.web.lanedownstream import LaneDownstream
from tests.conftest import Start
from tests.running import KEY, Running
from tests.scripted import Answer, Scripted, Seen, Wire, json, sse
from tests.waiting import until

TIMES = 200
KINDS = (Arrival, Connection, Lane, LaneBody, LaneDownstream, Straight)
DELTA = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}]}
FINISHED = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def request(number: int, more: str = "", *, key: str = KEY) -> bytes:
    body = f'{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"{number}"}}]{more}}}'
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@contextlib.asynccontextmanager
async def connected(gateway: Running) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    port = gateway.app.listeners.public_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ask(gateway: Running, data: bytes, until_bytes: bytes) -> None:
    """On a connection of its own, which is cut once those bytes have come."""
    async with connected(gateway) as (reader, writer):
        writer.write(data)
        await reader.readuntil(until_bytes)


async def whole(gateway: Running, upstream: Scripted) -> None:
    for number in range(1, TIMES + 1):
        await ask(gateway, request(number), b'"usage"')


async def kept(gateway: Running, upstream: Scripted) -> None:
    for _ in range(TIMES):
        await ask(gateway, request(0), b'"usage"')


async def refused(gateway: Running, upstream: Scripted) -> None:
    for number in range(1, TIMES + 1):
        await ask(gateway, request(number, key="sk-nobody"), b'"error"')


async def streams(gateway: Running, upstream: Scripted) -> None:
    more = asyncio.Event()
    upstream.plan(sse([DELTA, more, DELTA, DELTA, FINISHED]))
    for number in range(1, TIMES + 1):
        more.clear()
        async with connected(gateway) as (reader, writer):
            writer.write(request(number, ',"stream":true'))
            await reader.readuntil(b'"a"')
            more.set()
            await reader.readuntil(b"[DONE]")


async def cut_streams(gateway: Running, upstream: Scripted) -> None:
    upstream.plan(sse([DELTA], end="hang"))
    for number in range(1, TIMES + 1):
        await ask(gateway, request(number, ',"stream":true'), b'"a"')


async def broken_streams(gateway: Running, upstream: Scripted) -> None:
    upstream.plan(sse([DELTA], end="cut"))
    for number in range(1, TIMES + 1):
        await ask(gateway, request(number, ',"stream":true'), b'"error"')


async def left(gateway: Running, upstream: Scripted) -> None:
    upstream.plan(silence())
    before = upstream.calls
    for number in range(1, TIMES + 1):
        async with connected(gateway) as (_, writer):
            writer.write(request(number))
            await upstream.received(before + number)


async def failures(gateway: Running, upstream: Scripted) -> None:
    upstream.plan(json(200, b"{"))
    for number in range(1, TIMES + 1):
        await ask(gateway, request(number), b'"error"')


async def half_requests(gateway: Running, upstream: Scripted) -> None:
    for number in range(1, TIMES + 1):
        async with connected(gateway) as (_, writer):
            writer.write(request(number)[: number % 190])
            await writer.drain()


async def handed_over(gateway: Running, upstream: Scripted) -> None:
    for _ in range(TIMES):
        await ask(gateway, b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n\r\n")


def silence() -> Answer:
    async def send(seen: Seen, wire: Wire) -> None:
        await asyncio.Event().wait()

    return Answer(send)


def alive() -> Counter[str]:
    """Those that are not in use: an upstream's idle connections are kept."""
    idle = {
        id(connection)
        for one in gc.get_objects()
        if type(one).__name__ == "Connections"
        for connection in one._idle
    }
    return Counter(
        type(one).__name__ for one in gc.get_objects() if type(one) in KINDS and id(one) not in idle
    )


ALL = (
    *(whole, kept, refused, streams, cut_streams, broken_streams),
    *(left, failures, half_requests, handed_over),
)


@pytest.mark.parametrize("kind", ALL)
async def test_nothing_of_a_connection_waits_for_the_collector(
    start: Start, upstream: Scripted, kind: Callable[[Running, Scripted], Awaitable[None]]
) -> None:
    gateway = await start()
    await ask(gateway, request(0), b'"usage"')
    gc.collect()
    gc.disable()
    try:
        others = alive()  # what another test has made to look at
        await kind(gateway, upstream)
        await until(lambda: not gateway.gateway.serving)
        await gateway.concluded()
        await gateway.metrics()
        await until(lambda: not any(type(one) is Lane and one.transport for one in gc.get_objects()))
        assert alive() - others == Counter()
    finally:
        gc.enable()
