"""Bodies as they arrive: bounded, timed, and asked for only when they are wanted."""

import asyncio
import hashlib

import pytest

from gateway.web.call import Call
from tests.web.conftest import Serve
from tests.web.raw import PATIENCE, Raw, ask, post

LIMIT = 100_000
CHUNKED = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECT = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: {}\r\n\r\n"


async def echo(call: Call) -> None:
    await call.answer(200, b"".join([data async for data in call.body.stream()]))


async def length(call: Call) -> None:
    upload = call.body.stream()
    said = upload.length
    size = 0
    async for data in upload:
        assert data
        size += len(data)
    await call.answer(200, f"{said} {size}".encode())


@pytest.mark.parametrize("size", [0, 1, 1000, LIMIT])
async def test_bodies_arrive_as_they_were_sent(serve: Serve, size: int) -> None:
    served = await serve(echo, max_upload=LIMIT, max_body=1)
    body = (bytes(range(256)) * (size // 256 + 1))[:size]
    assert (await ask(served.port, post(body))).body == body


async def test_the_length_is_the_one_that_was_stated(serve: Serve) -> None:
    served = await serve(length)
    assert (await ask(served.port, post(b"hello"))).body == b"5 5"
    assert (await ask(served.port, CHUNKED + "3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n")).body == b"None 5"
    assert (await ask(served.port, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")).body == b"0 0"
    assert (await ask(served.port, "POST / HTTP/1.0\r\n\r\n")).body == b"0 0"


async def test_pieces_come_before_the_end(serve: Serve) -> None:
    first, seen = asyncio.Event(), b""

    async def reading(call: Call) -> None:
        nonlocal seen
        async for data in call.body.stream():
            seen += data
            first.set()
        await call.answer(200, seen)

    served = await serve(reading)
    async with Raw(served.port) as client:
        await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        async with asyncio.timeout(PATIENCE):
            await first.wait()
        assert seen == b"hello"
        await client.send("again")
        assert (await client.response()).body == b"helloagain"


async def test_a_long_body_is_refused_before_it_is_sent(serve: Serve) -> None:
    served = await serve(length, max_upload=LIMIT)
    async with Raw(served.port) as client:
        await client.send(EXPECT.format(LIMIT + 1))
        response = await client.response()
        assert (response.status, response.code) == (413, "request_too_large")
        assert await client.closed()


async def test_a_chunked_body_is_refused_as_soon_as_it_is_too_long(serve: Serve) -> None:
    served = await serve(length, max_upload=LIMIT)
    async with Raw(served.port) as client:
        await client.send(CHUNKED)
        for _ in range(LIMIT // 1000 + 1):
            await client.send("3e8\r\n" + "x" * 1000 + "\r\n")
        response = await client.response()  # the last chunk was never sent
        assert (response.status, response.code) == (413, "request_too_large")
        assert await client.closed()


async def test_a_client_that_falls_silent_is_408_however_much_it_has_sent(serve: Serve) -> None:
    served = await serve(length, body_timeout=0.1)
    async with Raw(served.port) as client:
        await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n" + "x" * 100_000)
        response = await client.response()
        assert (response.status, response.code) == (408, "request_timeout")
        assert await client.closed()


async def test_a_trickle_is_408(serve: Serve) -> None:
    served = await serve(length, body_timeout=0.3)
    async with Raw(served.port) as client:
        await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        answer = asyncio.create_task(client.response())
        while not answer.done():
            await client.send("x")
            await asyncio.sleep(0.02)
        assert (await answer).code == "request_timeout"


async def test_a_reader_that_takes_its_time_is_not_the_clients_fault(serve: Serve) -> None:
    async def slowly(call: Call) -> None:
        digest = hashlib.sha256()
        async for data in call.body.stream():
            await asyncio.sleep(0.02)
            digest.update(data)
        await call.answer(200, digest.hexdigest().encode())

    served = await serve(slowly, body_timeout=0.2, max_upload=4_000_000)
    body = b"x" * 3_000_000
    async with Raw(served.port) as client:
        await client.send(post(body))
        assert (await client.response()).body == hashlib.sha256(body).hexdigest().encode()


async def test_an_upload_that_nobody_takes_stays_with_its_client(serve: Serve) -> None:
    """What is read ahead is aiohttp's buffer; the rest waits in the kernel, and then at the client."""
    held, free = asyncio.Event(), asyncio.Event()
    ahead = 0

    async def holding(call: Call) -> None:
        nonlocal ahead
        pieces = aiter(call.body.stream())
        await anext(pieces)
        held.set()
        await free.wait()
        ahead = call.request.content._size
        while await anext(pieces, b""):
            pass
        await call.answer(200, b"{}")

    served = await serve(holding, max_upload=50_000_000)
    async with Raw(served.port) as client:
        sending = asyncio.create_task(client.send(post(b"x" * 40_000_000)))
        async with asyncio.timeout(PATIENCE):
            await held.wait()
            connection = next(iter(served.server.connections))
            await served.until(lambda: connection._reading_paused)
        assert not sending.done()
        free.set()
        await sending
        assert (await client.response()).status == 200
    assert ahead < 1_000_000


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, identity"])
async def test_compressed_bodies_are_refused_unread(serve: Serve, encoding: str) -> None:
    served = await serve(echo)
    response = await ask(served.port, post(b"x", "/", f"Content-Encoding: {encoding}"))
    assert (response.status, response.code) == (400, "unsupported_content_encoding")


async def test_continue_is_said_once_and_when_the_body_is_wanted(serve: Serve) -> None:
    wanted, asked = asyncio.Event(), asyncio.Event()

    async def later(call: Call) -> None:
        upload = call.body.stream()
        asked.set()
        await wanted.wait()
        await call.answer(200, b"".join([data async for data in upload]))

    served = await serve(later)
    async with Raw(served.port) as client:
        await client.send(EXPECT.format(10))
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
        wanted.set()
        assert (await client.head())[0] == 100
        await client.send("hello")
        await client.send("again")
        assert (await client.response()).body == b"helloagain"


async def test_malformed_chunks_are_400(serve: Serve) -> None:
    served = await serve(length)
    async with Raw(served.port) as client:
        await client.send(CHUNKED + "3\r\nabc\r\n")
        await client.send("zz\r\n")
        response = await client.response()
        assert (response.status, response.code) == (400, "malformed_http")
        assert await client.closed()


async def test_a_client_that_leaves_ends_it(serve: Serve) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def reading(call: Call) -> None:
        try:
            async for _ in call.body.stream():
                began.set()
        finally:
            ended.set()

    served = await serve(reading)
    async with Raw(served.port) as client:
        await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nfive!")
        async with asyncio.timeout(PATIENCE):
            await began.wait()
            client.leave()
            await ended.wait()


async def test_it_is_read_once(serve: Serve) -> None:
    async def twice(call: Call) -> None:
        upload = call.body.stream()
        body = b"".join([data async for data in upload])
        with pytest.raises(RuntimeError):
            aiter(upload)
        await call.answer(200, body + repr(upload).encode())

    served = await serve(twice)
    assert (await ask(served.port, post(b"body"))).body == b"body<RequestUpload 4 of 4 bytes>"
