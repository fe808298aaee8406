import asyncio
import gzip

import pytest

from gateway.web.call import Call
from tests.web.conftest import Serve
from tests.web.raw import Raw, ask, post

LIMIT = 100_000
CHUNKED = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


async def length(call: Call) -> None:
    await call.answer(200, b"%d" % len(await call.body.read()))


async def echo(call: Call) -> None:
    await call.answer(200, await call.body.read())


@pytest.mark.parametrize("size", [0, 1, 1000, LIMIT])
async def test_bodies_arrive_as_they_were_sent(serve: Serve, size: int) -> None:
    served = await serve(echo, max_body=LIMIT)
    body = bytes(range(256)) * (size // 256 + 1)
    assert (await ask(served.port, post(body[:size]))).body == body[:size]


async def test_chunks_are_put_together(serve: Serve) -> None:
    served = await serve(echo)
    async with Raw(served.port) as client:
        await client.send(CHUNKED + "3\r\nabc\r\n")
        await client.send("2;ext=1\r\nde\r\n0\r\n\r\n")
        assert (await client.response()).body == b"abcde"


async def test_a_long_body_is_refused_before_it_is_sent(serve: Serve) -> None:
    served = await serve(length, max_body=LIMIT)
    async with Raw(served.port) as client:
        await client.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {LIMIT + 1}\r\n\r\n")
        response = await client.response()
        assert (response.status, response.code) == (413, "request_too_large")
        assert response.headers["connection"] == "close"
        assert await client.closed()


async def test_a_chunked_body_is_refused_as_soon_as_it_is_too_long(serve: Serve) -> None:
    served = await serve(length, max_body=LIMIT)
    async with Raw(served.port) as client:
        await client.send(CHUNKED)
        for _ in range(LIMIT // 1000 + 1):
            await client.send("3e8\r\n" + "x" * 1000 + "\r\n")
        response = await client.response()  # the last chunk was never sent
        assert (response.status, response.code) == (413, "request_too_large")
        assert await client.closed()


async def test_a_chunked_body_that_came_at_once_has_the_same_limit(serve: Serve) -> None:
    served = await serve(length, max_body=10)
    response = await ask(served.port, CHUNKED + "b\r\nabcdefghijk\r\n0\r\n\r\n")
    assert (response.status, response.code) == (413, "request_too_large")


async def test_a_body_that_stops_is_408(serve: Serve) -> None:
    served = await serve(length, body_timeout=0.05)
    async with Raw(served.port) as client:
        await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nfive!")
        response = await client.response()
        assert (response.status, response.code) == (408, "request_timeout")
        assert await client.closed()


async def test_a_large_body_may_take_longer_than_a_small_one(serve: Serve) -> None:
    served = await serve(length, body_timeout=0.1)
    async with Raw(served.port) as client:
        await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n" + "x" * 100_000)
        await asyncio.sleep(0.2)  # 100 kB have bought seconds
        await client.send("x")
        assert (await client.response()).body == b"100001"


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate", "x-unheard-of", "gzip, identity"])
async def test_compressed_bodies_are_refused_unread(serve: Serve, encoding: str) -> None:
    served = await serve(length)
    bomb = gzip.compress(b"x" * 10_000_000)
    response = await ask(served.port, post(bomb, "/", f"Content-Encoding: {encoding}"))
    assert (response.status, response.code) == (400, "unsupported_content_encoding")


async def test_identity_is_no_compression(serve: Serve) -> None:
    served = await serve(echo)
    assert (await ask(served.port, post(b"{}", "/", "Content-Encoding: identity"))).body == b"{}"


EXPECT = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: {}\r\n\r\n"


async def test_continue_is_said_when_the_body_is_wanted(serve: Serve) -> None:
    served = await serve(echo)
    async with Raw(served.port) as client:
        await client.send(EXPECT.format(2))
        assert (await client.head())[0] == 100
        await client.send("{}")
        assert (await client.response()).body == b"{}"


async def test_continue_is_not_said_when_the_body_is_here(serve: Serve) -> None:
    served = await serve(echo)
    assert (await ask(served.port, EXPECT.format(2) + "{}")).body == b"{}"


async def test_who_is_refused_before_is_not_asked_for_the_body(serve: Serve) -> None:
    async def stranger(call: Call) -> None:
        await call.answer(401, b"{}")

    served = await serve(stranger)
    async with Raw(served.port) as client:
        await client.send(EXPECT.format(2))
        response = await client.response()
        assert response.status == 401
        assert response.headers["connection"] == "close"


async def test_a_body_that_is_too_long_is_not_asked_for(serve: Serve) -> None:
    served = await serve(echo, max_body=10)
    async with Raw(served.port) as client:
        await client.send(EXPECT.format(11))
        assert (await client.response()).status == 413


async def test_a_client_that_leaves_in_its_body_ends_the_request(serve: Serve) -> None:
    ended = asyncio.Event()

    async def reading(call: Call) -> None:
        try:
            await call.body.read()
        finally:
            ended.set()

    served = await serve(reading)
    async with Raw(served.port) as client:
        await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nfive!")
        client.leave()
        async with asyncio.timeout(5):
            await ended.wait()
