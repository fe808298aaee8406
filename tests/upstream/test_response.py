"""Bodies that stop, break off, or are not read."""

import asyncio
from typing import Any

import pytest

from gateway.errors import UpstreamProtocolError, UpstreamTimeout
from gateway.exchange import Reply
from gateway.settings import Duration
from gateway.upstream.arrival import Arrival
from tests.scripted import Scripted, raw, sse
from tests.upstream.conftest import At, Bench, read
from tests.waiting import unmoved

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        raw(HEAD + b"{", end="close"),
        raw(HEAD + b"{", end="reset"),
        sse(["a"], end="cut"),
        sse(["a"], end="reset"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    ],
    ids=["short", "reset", "stream cut", "stream reset", "bad chunk"],
)
async def test_broken_off(upstream: Scripted, bench: Bench, answer: object) -> None:
    upstream.plan(answer)  # type: ignore[arg-type]
    with pytest.raises(UpstreamProtocolError) as caught:
        await bench.ask()
    assert (caught.value.code, bench.outcomes) == ("upstream_protocol_error", [("up", "protocol_error")])
    await upstream.until(lambda: upstream.open_connections == 0)


async def test_what_came_before_the_break_is_delivered(upstream: Scripted, bench: Bench) -> None:
    go_on = asyncio.Event()
    upstream.plan(sse(["a", go_on, b""], end="reset"))
    reply = await bench.open()
    assert await anext(reply.body) == b"data: a\n\n"
    go_on.set()
    with pytest.raises(UpstreamProtocolError):
        await read(reply)


async def test_stopped_in_the_middle(upstream: Scripted, at: At) -> None:
    upstream.plan(sse(["a"], end="hang"))
    async with at(upstream.base_url, idle_timeout=Duration(0.05)) as bench:
        reply = await bench.open()
        assert await anext(reply.body) == b"data: a\n\n"
        with pytest.raises(UpstreamTimeout):
            await anext(reply.body)
        await upstream.disconnected()
        assert bench.outcomes == [("up", "timeout")]
        assert bench.transport.status()[0]["last_error"] == "idle"


async def test_a_reader_that_pauses_is_no_idle_upstream(upstream: Scripted, at: At) -> None:
    """The limit passes twice while nobody waits for a byte."""
    go_on = asyncio.Event()
    upstream.plan(sse(["a", go_on, "b"]))
    async with at(upstream.base_url, idle_timeout=Duration(0.02)) as bench:
        reply = await bench.open()
        await anext(reply.body)
        fired = asyncio.Event()
        asyncio.get_running_loop().call_later(0.06, fired.set)
        await fired.wait()
        go_on.set()
        assert b"b" in await read(reply)


async def test_closing_before_the_end_hangs_up(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(sse(["a"], end="hang"))
    reply = await bench.open()
    await anext(reply.body)
    reply.close()
    await upstream.disconnected()
    reply.close()
    assert bench.outcomes == [("up", "ok")]
    assert [data async for data in reply.body] == []


async def cancelled_while_reading(reply: Reply) -> None:
    assert await anext(reply.body) == b"data: a\n\n"
    reading = asyncio.create_task(read(reply))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_cancelling_the_reader_and_closing_hangs_up(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(sse(["a"], end="hang"))
    reply = await bench.open()
    await cancelled_while_reading(reply)
    reply.close()
    await upstream.disconnected()
    assert bench.outcomes == [("up", "ok")]


async def test_after_a_reader_was_cancelled_the_rest_can_be_read(upstream: Scripted, bench: Bench) -> None:
    go_on = asyncio.Event()
    upstream.plan(sse(["a", go_on, "b"]))
    reply = await bench.open()
    await cancelled_while_reading(reply)
    go_on.set()
    assert await read(reply) == b"data: b\n\ndata: [DONE]\n\n"
    assert (upstream.hangups, bench.outcomes) == (0, [("up", "ok")])


async def test_a_body_without_a_length_ends_with_its_connection(upstream: Scripted, bench: Bench) -> None:
    """Even when that is reset: nobody can tell, and so the caller looks for the end inside the body."""
    upstream.plan(sse(["a"], framing="eof"), raw(b"HTTP/1.1 200 OK\r\n\r\ntrue", end="close"))
    reply = await bench.open()
    assert await read(reply) == b"data: a\n\ndata: [DONE]\n\n"
    reply = await bench.open()
    assert "content-length" not in reply.headers
    assert "transfer-encoding" not in reply.headers
    assert await read(reply) == b"true"


async def test_an_upstream_that_is_not_read_is_held_back(upstream: Scripted, bench: Bench) -> None:
    """50 MB are offered; what is taken is bounded by our buffers and the kernel's."""
    block = b"x" * 2**16
    upstream.plan(raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (800 * len(block)), *[block] * 800))
    reply = await bench.open()
    await anext(reply.body)
    await unmoved(lambda: upstream.sent)
    assert upstream.sent < 16 * 2**20
    assert held(reply) < 2**20
    assert len(await read(reply)) > 40 * 2**20


def held(reply: Reply) -> int:
    """Bytes that wait for the reader, in either client."""
    body: Any = reply.body
    return sum(map(len, body.parts if isinstance(body, Arrival) else body._response.content._buffer))


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "expected", "kept"),
    [
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\na",
            (200, b"a"),
            True,
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b""), True),
        (OK + b"Transfer-Encoding: Chunked\r\n\r\n1;x=y\r\na\r\n0\r\nTrailer: z\r\n\r\n", (200, b"a"), True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", (200, b"a"), False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", (200, b"a"), True),
        (OK + b"Connection: close\r\nContent-Length: 1\r\n\r\na", (200, b"a"), False),
        (b"HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n", (500, b""), True),
    ],
    ids=["hints", "no content", "trailer", "1.0", "1.0 kept", "close", "no reason"],
)
async def test_each_way_to_answer(
    upstream: Scripted, bench: Bench, answer: bytes, expected: tuple[int, bytes], kept: bool
) -> None:
    upstream.plan(raw(answer))
    assert [await bench.ask() for _ in range(2)] == [expected] * 2
    assert upstream.connections == (1 if kept else 2)


async def test_headers_are_as_they_came(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(raw(OK + b"X-One: caf\xc3\xa9 \t\r\nx-one:\t\xff\r\nEmpty:\r\nContent-Length: 0\r\n\r\n"))
    reply = await bench.open()
    assert reply.headers["X-ONE"] == "caf\xe9"
    assert [(name.lower(), value) for name, value in reply.headers.items()] == [
        ("x-one", "caf\xe9"),
        ("x-one", "\udcff"),
        ("empty", ""),
        ("content-length", "0"),
    ]
    reply.close()
