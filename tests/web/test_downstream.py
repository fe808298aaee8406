import asyncio

import pytest

from gateway.exchange import ClientGone, ClientStalled
from gateway.web.call import Call
from gateway.web.connection import HIGH_WATER
from tests.web.conftest import Serve
from tests.web.raw import Raw

GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
GET_OLD = "GET / HTTP/1.0\r\nHost: a\r\n\r\n"
GET_OLD_KEPT = "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
HEADERS = (("content-type", "text/event-stream"),)
BLOCK = b"x" * 65_536


async def plain(call: Call) -> None:
    await call.downstream.start(200, HEADERS, 6)
    await call.downstream.write(b"abc")
    await call.downstream.write(b"def")
    await call.downstream.finish()


async def stream(call: Call) -> None:
    await call.downstream.start(200, HEADERS, None)
    for data in (b"abc", b"", b"def"):
        await call.downstream.write(data)
    await call.downstream.finish()


async def test_a_body_of_known_length(serve: Serve) -> None:
    served = await serve(plain)
    async with Raw(served.port) as client:
        for _ in range(2):
            await client.send(GET)
            response = await client.response()
            assert response.body == b"abcdef"
            assert response.headers["content-length"] == "6"
            assert "connection" not in response.headers


async def test_a_stream_is_chunked_and_an_empty_piece_does_not_end_it(serve: Serve) -> None:
    served = await serve(stream)
    async with Raw(served.port) as client:
        for _ in range(2):
            await client.send(GET)
            response = await client.response()
            assert (response.body, response.whole) == (b"abcdef", True)
            assert response.headers["transfer-encoding"] == "chunked"


async def test_the_head_of_a_stream_does_not_wait_for_its_first_event(serve: Serve) -> None:
    seen = asyncio.Event()

    async def slow(call: Call) -> None:
        await call.downstream.start(200, HEADERS, None)
        await seen.wait()
        await call.downstream.finish()

    served = await serve(slow)
    async with Raw(served.port) as client:
        await client.send(GET)
        assert (await client.head())[0] == 200
        seen.set()


async def test_a_stream_for_http_1_0_ends_with_its_connection(serve: Serve) -> None:
    served = await serve(stream)
    async with Raw(served.port) as client:
        await client.send(GET_OLD_KEPT)
        response = await client.response()
        assert response.body == b"abcdef"
        assert "transfer-encoding" not in response.headers
        assert response.headers["connection"] == "close"


async def test_http_1_0_is_kept_alive_if_it_asks(serve: Serve) -> None:
    served = await serve(plain)
    async with Raw(served.port) as client:
        for _ in range(2):
            await client.send(GET_OLD_KEPT)
            assert (await client.response()).headers["connection"] == "keep-alive"
        await client.send(GET_OLD)
        assert (await client.response()).headers["connection"] == "close"
        assert await client.closed()


@pytest.mark.parametrize("handler", [plain, stream])
async def test_head_has_no_body(serve: Serve, handler: object) -> None:
    served = await serve(handler)
    async with Raw(served.port) as client:
        await client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.response()).status == 200
        await client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        client.method = "GET"
        assert (await client.response()).body == b"abcdef"


async def test_no_content_has_neither_body_nor_length(serve: Serve) -> None:
    async def nothing(call: Call) -> None:
        await call.answer(204, b"ignored")

    served = await serve(nothing)
    async with Raw(served.port) as client:
        await client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        response = await client.response()
        assert (response.status, response.body) == (204, b"")
        assert "content-length" not in response.headers


async def test_a_body_is_never_longer_than_promised(serve: Serve) -> None:
    async def long(call: Call) -> None:
        await call.downstream.start(200, HEADERS, 5)
        for data in (b"abc", b"defgh", b"HTTP/1.1 200 OK"):
            await call.downstream.write(data)
        await call.downstream.finish()

    served = await serve(long)
    async with Raw(served.port) as client:
        await client.send(GET)
        assert (await client.response()).body == b"abcde"
        assert await client.closed()


async def test_an_empty_body_has_its_length(serve: Serve) -> None:
    async def empty(call: Call) -> None:
        await call.downstream.start(200, HEADERS, 0)
        await call.downstream.write(b"x")
        await call.downstream.finish()

    served = await serve(empty)
    async with Raw(served.port) as client:
        await client.send(GET)
        response = await client.response()
        assert (response.body, response.headers["content-length"]) == (b"", "0")


@pytest.mark.parametrize("length", [None, 12])
async def test_the_length_of_what_a_head_would_have_got_is_told(serve: Serve, length: int | None) -> None:
    async def known(call: Call) -> None:
        await call.downstream.start(200, HEADERS, length)
        await call.downstream.finish()

    served = await serve(known)
    async with Raw(served.port) as client:
        for _ in range(2):
            await client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            response = await client.response()
            assert response.headers.get("content-length") == (None if length is None else str(length))
            assert "transfer-encoding" not in response.headers


async def test_a_status_without_a_name_is_a_status(serve: Serve) -> None:
    async def odd(call: Call) -> None:
        await call.answer(599, b"{}")

    served = await serve(odd)
    async with Raw(served.port) as client:
        await client.send(GET)
        response = await client.response()
        assert (response.status, response.body) == (599, b"{}")


async def test_an_abort_looks_cut(serve: Serve) -> None:
    async def cut(call: Call) -> None:
        await call.downstream.start(200, HEADERS, None)
        await call.downstream.write(b"some")
        call.downstream.abort()

    served = await serve(cut)
    async with Raw(served.port) as client:
        await client.send(GET)
        assert (await client.head())[0] == 200
        assert await client.rest() == b"4\r\nsome\r\n"


async def test_an_abort_for_http_1_0_is_a_reset(serve: Serve) -> None:
    read = asyncio.Event()

    async def cut(call: Call) -> None:
        await call.downstream.start(200, HEADERS, None)
        await call.downstream.write(b"some")
        await read.wait()
        call.downstream.abort()

    served = await serve(cut)
    async with Raw(served.port) as client:
        await client.send(GET_OLD)
        await client.head()
        assert await client.read(4) == b"some"
        read.set()
        with pytest.raises(ConnectionResetError):
            await client.rest()


async def test_an_answer_shorter_than_promised_looks_cut(serve: Serve) -> None:
    async def short(call: Call) -> None:
        await call.downstream.start(200, HEADERS, 10)
        await call.downstream.write(b"short")
        await call.downstream.finish()

    served = await serve(short)
    async with Raw(served.port) as client:
        await client.send(GET)
        response = await client.response()
        assert (response.body, response.whole) == (b"short", False)


async def test_a_response_that_nobody_ended_looks_cut(serve: Serve) -> None:
    async def forgetful(call: Call) -> None:
        await call.downstream.start(200, HEADERS, None)
        await call.downstream.write(b"some")

    served = await serve(forgetful)
    async with Raw(served.port) as client:
        await client.send(GET)
        await client.head()
        assert await client.rest() == b"4\r\nsome\r\n"


async def test_what_was_written_before_an_abort_still_arrives(serve: Serve) -> None:
    async def cut(call: Call) -> None:
        await call.downstream.start(200, HEADERS, None)
        call.downstream._send(BLOCK * 100)  # more than the kernel takes at once
        call.downstream.abort()

    served = await serve(cut)
    async with Raw(served.port) as client:
        await client.send(GET)
        await client.head()
        assert len(await client.rest()) == len(BLOCK) * 100


class Flood:
    """Writes for ever, and notes what it meets."""

    def __init__(self, block: bytes = BLOCK) -> None:
        self._block = block
        self.written = 0
        self.waiting = asyncio.Event()
        self.ended: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self.call: Call | None = None

    async def __call__(self, call: Call) -> None:
        self.call = call
        await call.downstream.start(200, HEADERS, None)
        try:
            while True:
                await call.downstream.write(self._block)
                self.written += len(self._block)
        except BaseException as error:
            self.ended.set_result(error)
            raise

    @property
    def unsent(self) -> int:
        assert self.call is not None
        transport = self.call.request.transport
        assert transport is not None
        size: int = transport.get_write_buffer_size()
        return size


async def test_a_slow_reader_holds_the_writer_back(serve: Serve) -> None:
    served = await serve(flood := Flood())
    async with Raw(served.port, receive_buffer=4096) as client:
        await client.send(GET)
        await client.head()
        await served.until(lambda: served.server.connections[0].writing_paused)
        assert flood.unsent <= HIGH_WATER + len(BLOCK) + 16
        written = flood.written
        await client.read(written)  # taking some of it lets the writer go on
        await client.read(written)
        assert flood.written > written
        assert flood.unsent <= HIGH_WATER + len(BLOCK) + 16


async def test_a_reader_that_stops_is_cut_off(serve: Serve) -> None:
    served = await serve(flood := Flood(), write_timeout=0.1)
    async with Raw(served.port, receive_buffer=4096) as client:
        await client.send(GET)
        async with asyncio.timeout(20):
            assert isinstance(await flood.ended, ClientStalled)
        assert not await client.closed()  # after what had arrived


async def test_a_reader_that_is_slow_but_reads_is_not_cut_off(serve: Serve) -> None:
    served = await serve(flood := Flood(BLOCK * 64), write_timeout=0.5)
    async with Raw(served.port, receive_buffer=65_536) as client:
        await client.send(GET)
        for _ in range(20):
            await client.read(100_000)  # of 4 MB, which take longer than the time to stall
            await asyncio.sleep(0.05)
        assert not flood.ended.done()


async def test_a_plain_answer_that_nobody_reads_does_not_stay_in_memory(serve: Serve) -> None:
    ended: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def large(call: Call) -> None:
        try:
            await call.answer(200, BLOCK * 200)
        except ClientGone as error:
            ended.set_result(error)
            raise

    served = await serve(large, write_timeout=0.1)
    async with Raw(served.port, receive_buffer=4096) as client:
        await client.send(GET)
        async with asyncio.timeout(20):
            assert isinstance(await ended, ClientStalled)


async def test_a_last_answer_that_nobody_takes_does_not_hold_its_connection(serve: Serve) -> None:
    async def last(call: Call) -> None:
        await call.downstream.start(200, HEADERS, None)
        call.downstream._send(BLOCK * 200)
        await call.downstream.finish()

    served = await serve(last, write_timeout=0.1)
    async with Raw(served.port, receive_buffer=4096) as client:
        await client.send(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
        await client.head()
        await served.until(lambda: not served.server.connections)


async def test_writing_to_a_client_that_has_left(serve: Serve) -> None:
    served = await serve(flood := Flood())
    async with Raw(served.port) as client:
        await client.send(GET)
        await client.head()
        client.leave()
        async with asyncio.timeout(20):
            assert isinstance(await flood.ended, (ClientGone, asyncio.CancelledError))


async def test_while_closing_each_connection_ends_with_its_response(serve: Serve) -> None:
    served = await serve(plain)
    async with Raw(served.port) as client:
        await client.send(GET)
        await client.response()
        served.closing = True
        await client.send(GET)
        response = await client.response()
        assert (response.body, response.headers["connection"]) == (b"abcdef", "close")
        assert await client.closed()


async def test_an_unread_body_is_not_taken_for_the_next_request(serve: Serve) -> None:
    served = await serve(plain)
    async with Raw(served.port) as client:
        await client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60\r\n\r\n")
        response = await client.response()
        assert response.headers["connection"] == "close"
        await client.send(GET * 2)
        assert await client.closed()
