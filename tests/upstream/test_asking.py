"""Requests over the gateway's own connections: each gets its own answer, whatever happens around it."""

import asyncio
import gc
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.exchange import Outbound
from gateway.settings import Duration
from gateway.upstream.arrival import Arrival
from tests.scripted import Answer, Scripted, Seen, Wire, early, hold, json, raw, sse
from tests.upstream.conftest import Bench, bench_at, read
from tests.waiting import until


@pytest.fixture
async def bench(upstream: Scripted) -> AsyncIterator[Bench]:
    async with bench_at(upstream.base_url) as made:
        yield made


def echo(seed: int) -> Answer:
    """The request's body again, in one of several ways."""
    dice = random.Random(seed)

    async def send(seen: Seen, wire: Wire) -> None:
        how = dice.randrange(4)
        body = seen.body
        for _ in range(dice.randrange(3)):
            await asyncio.sleep(0)
        if how == 0:
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            return
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 5):
            await asyncio.sleep(0)
            await wire.send(b"%x\r\n%b\r\n" % (len(body[at : at + 5]), body[at : at + 5]))
        if how == 3:
            wire.close()
        else:
            await wire.send(b"0\r\n\r\n")

    return Answer(send)


@pytest.mark.parametrize("seed", range(3))
async def test_answers_are_never_mixed_whoever_leaves_when(
    upstream: Scripted, bench: Bench, seed: int
) -> None:
    upstream.plan(echo(seed))
    dice = random.Random(seed)
    answered = 0

    async def ask(number: int) -> None:
        nonlocal answered
        body = b"request %d|" % number * dice.randrange(1, 6)
        reply = await bench.open(body=body)
        got = b""
        try:
            async for data in reply.body:
                got += data
                assert body.startswith(got)
                if dice.random() < 0.1:
                    return
            assert got == body
            answered += 1
        finally:
            reply.close()

    async def caller(first: int) -> None:
        for number in range(first, first + 30):
            asked = asyncio.ensure_future(ask(number))
            if dice.random() < 0.5:
                for _ in range(dice.randrange(12)):
                    await asyncio.sleep(0)
                asked.cancel()
            done = await asyncio.gather(asked, return_exceptions=True)
            assert not isinstance(done[0], AssertionError)

    await asyncio.gather(*[caller(1000 * one) for one in range(12)])
    assert answered
    assert bench.transport.status()[0]["in_flight"] == 0
    connections = bench.transport._connections["up"]
    await until(lambda: len(connections._all) == len(connections._idle))


async def test_a_thousand_at_once(upstream: Scripted, bench: Bench) -> None:
    go_on = asyncio.Event()
    upstream.plan(hold(go_on, json(200, b"fine")))
    calls = [asyncio.create_task(bench.ask()) for _ in range(1000)]
    await upstream.received(1000)
    assert bench.transport.status()[0]["in_flight"] == 1000
    go_on.set()
    assert set(await asyncio.gather(*calls)) == {(200, b"fine")}
    assert upstream.connections == 1000
    assert bench.transport.status()[0]["in_flight"] == 0


async def test_an_answer_that_is_there_is_read_without_waiting(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(json(200, b"fine"))
    reply = await bench.open()
    step = reply.body.__anext__()
    with pytest.raises(StopIteration) as done:
        step.send(None)  # type: ignore[attr-defined]
    assert done.value.value == b"fine"
    reply.close()


async def test_the_connection_is_free_before_the_body_is_read(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(json(200, b"first"), json(200, b"second"))
    first = await bench.open()
    assert await bench.ask() == (200, b"second")
    assert await read(first) == b"first"
    assert upstream.connections == 1


@pytest.mark.parametrize("end", ["close", "keep"])
async def test_an_early_answer_is_passed_on_however_the_connection_ends(
    upstream: Scripted, bench: Bench, end: Any
) -> None:
    """A server that closes with bytes unread resets the connection, right behind its answer."""
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    upstream.plan(early(raw(refusal, end=end)))
    for _ in range(20):
        assert await bench.ask(body=b"x" * 3_000_000) == (413, b"{}")


async def test_silence_is_counted_from_the_asking(upstream: Scripted) -> None:
    """Also on a connection whose timer was made for another request."""
    never = asyncio.Event()
    upstream.plan(json(200, {}), sse(["a"], end="hang"), hold(never))
    async with bench_at(
        upstream.base_url, first_byte_timeout=Duration(0.1), idle_timeout=Duration(0.3)
    ) as bench:
        await bench.ask()
        reply = await bench.open()
        assert await anext(reply.body)
        with pytest.raises(UpstreamTimeout, match="stopped in the middle"):
            await read(reply)
        with pytest.raises(UpstreamTimeout, match="did not begin"):
            await bench.ask()


async def test_an_answer_begun_late_has_no_longer_to_go_on(upstream: Scripted) -> None:
    """The timer that has looked for the first byte looks for the next in time."""
    go_on = asyncio.Event()
    upstream.plan(hold(go_on, sse(["a"], end="hang")))
    async with bench_at(upstream.base_url, idle_timeout=Duration(0.05)) as bench:
        opening = asyncio.create_task(bench.open())
        await upstream.received(1)
        (connection,) = bench.transport._connections["up"]._all
        first = connection._timer
        await until(lambda: connection._timer is not first)
        go_on.set()
        reply = await opening
        assert await anext(reply.body)
        async with asyncio.timeout(20):
            with pytest.raises(UpstreamTimeout):
                await read(reply)


@pytest.mark.parametrize("name", ["x y", "x"])
async def test_a_header_that_cannot_be_sent_is_not(upstream: Scripted, bench: Bench, name: str) -> None:
    with pytest.raises(UpstreamUnreachable):
        await bench.open(headers=((name, "a\r\nb: c"),))
    assert upstream.connections == 0
    assert bench.transport.status()[0]["in_flight"] == 0


@pytest.mark.parametrize(("method", "own"), [("GET", 1), ("POST", 1), ("DELETE", 1), ("HEAD", 0), ("PUT", 0)])
async def test_which_methods_are_its_own(upstream: Scripted, bench: Bench, method: str, own: int) -> None:
    upstream.plan(raw(b"HTTP/1.1 204 No Content\r\n\r\n"))
    reply = await bench.transport.open("up", Outbound(method, "/x", (), b""))
    assert await read(reply) == b""
    assert len(bench.transport._connections["up"]._all) == own


async def test_a_request_leaves_nothing_to_the_collector(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(json(200, b"fine"), sse(["a"]))
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await bench.ask()
        reply = await bench.open()
        await anext(reply.body)
        reply.close()
        del reply
        assert not [one for one in gc.get_objects() if isinstance(one, Arrival)]
    finally:
        gc.enable()
