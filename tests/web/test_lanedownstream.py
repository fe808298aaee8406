"""Answers in the lane, on the wire as aiohttp's connections have them."""

from collections.abc import Awaitable, Callable

import pytest

from gateway.exchange import Downstream
from gateway.web.call import Call
from gateway.web.lanehead import Head
from tests.web.conftest import Serve
from tests.web.raw import Raw, Response

POST = "POST /v1/responses HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n{}\r\n{{}}"
HEADERS = (("content-type", "text/event-stream"), ("Connection", "x"), ("x-a", "b"))
Write = Callable[[Downstream], Awaitable[None]]


async def plain(downstream: Downstream) -> None:
    await downstream.start(200, HEADERS, 6)
    await downstream.write(b"abc")
    await downstream.write(b"def")
    await downstream.finish()


async def stream(downstream: Downstream) -> None:
    await downstream.start(200, HEADERS, None)
    for data in (b"abc", b"", b"d" * 300):
        await downstream.write(data)
    await downstream.finish()


async def empty(downstream: Downstream) -> None:
    await downstream.start(429, HEADERS, 0)
    await downstream.write(b"")
    await downstream.finish()


async def nothing(downstream: Downstream) -> None:
    await downstream.start(204, HEADERS, 7)
    await downstream.write(b"ignored")
    await downstream.finish()


async def nothing_of_unknown_length(downstream: Downstream) -> None:
    await downstream.start(304, HEADERS, None)
    await downstream.finish()


async def unheard_of(downstream: Downstream) -> None:
    await downstream.start(599, HEADERS, 2)
    await downstream.write(b"{}")
    await downstream.finish()


async def too_long(downstream: Downstream) -> None:
    await downstream.start(200, HEADERS, 5)
    for data in (b"abc", b"defgh", b"HTTP/1.1 200 OK"):
        await downstream.write(data)
    await downstream.finish()


async def too_short(downstream: Downstream) -> None:
    await downstream.start(200, HEADERS, 10)
    await downstream.write(b"short")
    await downstream.finish()


async def cut(downstream: Downstream) -> None:
    await downstream.start(200, HEADERS, None)
    await downstream.write(b"some")
    downstream.abort()


async def forgotten(downstream: Downstream) -> None:
    await downstream.start(200, HEADERS, None)
    await downstream.write(b"some")


async def last(downstream: Downstream) -> None:
    downstream.close_after()
    await plain(downstream)


async def seen(serve: Serve, write: Write, *, lane: bool, field: str) -> tuple[Response, bool]:
    """The answer; and whether its connection ends."""

    async def enter(
        _: str, head: Head, peer: str, read: Callable[[], Awaitable[bytes]], to: Downstream
    ) -> None:
        await read()
        await write(to)

    async def handle(call: Call) -> None:
        await call.body.read()
        await write(call.downstream)

    served = await serve(handle, enter, lane=lane)
    async with Raw(served.port) as client:
        await client.send(POST.format(field))
        response = await client.response()
        del response.headers["date"], response.headers["x-gateway-request-id"]
        if not response.whole or "connection" in response.headers or write is too_long:
            return response, await client.closed()
        await client.send(POST.format(field))
        assert (await client.response()).body == response.body
        assert served.server.requests_count == (0 if lane else 2)
        return response, False


KINDS = (plain, stream, empty, nothing, nothing_of_unknown_length, unheard_of, too_long, too_short, last)


@pytest.mark.parametrize("write", KINDS)
@pytest.mark.parametrize("field", ["X: y\r\n", "Connection: close\r\n"])
async def test_both_servers_write_the_same(serve: Serve, write: Write, field: str) -> None:
    ours = await seen(serve, write, lane=True, field=field)
    assert ours == await seen(serve, write, lane=False, field=field)
    assert list(ours[0].headers) == list((await seen(serve, write, lane=False, field=field))[0].headers)


@pytest.mark.parametrize("write", [cut, forgotten])
async def test_what_does_not_end_looks_cut(serve: Serve, write: Write) -> None:
    for lane in (True, False):

        async def enter(_: str, head: Head, peer: str, read: object, to: Downstream) -> None:
            await write(to)

        async def handle(call: Call) -> None:
            await write(call.downstream)

        served = await serve(handle, enter, lane=lane)
        async with Raw(served.port) as client:
            await client.send(POST.format("X: y\r\n"))
            await client.head()
            assert await client.rest() == b"4\r\nsome\r\n"
