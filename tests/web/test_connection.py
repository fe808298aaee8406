"""What aiohttp's protocol leaves open, closed. Malformed heads are in `test_framing`."""

import asyncio

import pytest

from gateway.web import connection
from gateway.web.call import Call
from tests.web.conftest import Serve
from tests.web.raw import CANARY, Raw, post

HEAD = "GET /a HTTP/1.1\r\nHost: a\r\n"


async def echo(call: Call) -> None:
    await call.answer(200, call.path.encode() + await call.body.read())


async def test_a_head_that_is_late_is_408(serve: Serve) -> None:
    served = await serve(echo, header_timeout=0.05)
    async with Raw(served.port) as client:
        await client.send(f"{HEAD}Authorization: Bearer {CANARY}\r\nX-")
        response = await client.response()
        assert (response.status, response.code) == (408, "request_timeout")
        assert response.headers["connection"] == "close"
        assert await client.closed()
    assert [error.code for error in served.refused] == ["request_timeout"]


async def test_bytes_that_trickle_in_buy_no_time(serve: Serve) -> None:
    served = await serve(echo, header_timeout=0.2)
    async with Raw(served.port) as client:

        async def trickle() -> None:
            await client.send(HEAD + "X: ")
            while True:
                await client.send("y")
                await asyncio.sleep(0.001)

        trickling = asyncio.create_task(trickle())
        assert (await client.response()).status == 408
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)


async def test_a_connection_without_a_request_ends_without_an_answer(serve: Serve) -> None:
    served = await serve(echo, header_timeout=0.05)
    async with Raw(served.port) as client:
        assert await client.closed()
    assert served.refused == []


async def test_the_second_head_has_its_own_deadline(serve: Serve) -> None:
    served = await serve(echo, header_timeout=0.1)
    async with Raw(served.port) as client:
        await client.send(HEAD + "\r\n")
        assert (await client.response()).status == 200
        await client.send(HEAD)
        assert (await client.response()).status == 408


async def test_a_slow_handler_is_not_a_late_head(serve: Serve) -> None:
    served = await serve(handler := Gate(), header_timeout=0.05)
    async with Raw(served.port) as client:
        await client.send(HEAD + "\r\n")
        await handler.entered.wait()
        await client.send(HEAD)  # half of a second request, behind the first
        await asyncio.sleep(0.15)  # longer than the deadline
        handler.open.set()
        assert (await client.response()).status == 200


class Gate:
    """A handler that waits to be let go."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, call: Call) -> None:
        self.entered.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        await call.answer(200, b"{}")


async def test_a_client_that_hangs_up_cancels_its_request(serve: Serve) -> None:
    served = await serve(handler := Gate())
    async with Raw(served.port) as client:
        await client.send(HEAD + "\r\n")
        await handler.entered.wait()
        client.leave()
        async with asyncio.timeout(1):
            await handler.cancelled.wait()


async def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    served = await serve(echo)
    async with Raw(served.port) as client:
        many = 500
        sending = asyncio.create_task(
            client.send("".join(f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n" for number in range(many)))
        )
        for number in range(many):
            assert (await client.response()).body == b"/%d" % number
        await sending


async def test_a_pipelined_request_that_is_malformed_spoils_no_other(serve: Serve) -> None:
    served = await serve(echo)
    async with Raw(served.port) as client:
        await client.send(f"{HEAD}\r\n")
        assert (await client.response()).status == 200
        await client.send(post(b"{}", "/b"))
        assert (await client.response()).body == b"/b{}"
        await client.send(f"{HEAD}X : {CANARY}\r\n\r\n")
        assert (await client.response()).code == "malformed_http"
        assert await client.closed()


async def test_a_body_that_turns_malformed_fails_at_once(serve: Serve) -> None:
    served = await serve(echo, body_timeout=20)
    async with Raw(served.port) as client:
        head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
        await client.send(head)
        assert (await client.head())[0] == 100  # somebody waits for the body now
        await client.send(f"2\r\n{{}}\r\n0x5\r\n{CANARY}\r\n")
        async with asyncio.timeout(5):
            response = await client.response()
        assert (response.status, response.code) == (400, "malformed_http")
        assert await client.closed()


async def test_trailers_without_end_are_refused(serve: Serve) -> None:
    served = await serve(echo)
    async with Raw(served.port) as client:
        await client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        await client.send("X: y\r\n" * 1000)
        assert (await client.response()).code == "headers_too_large"


async def test_chunk_sizes_that_are_no_sizes_are_refused(serve: Serve) -> None:
    served = await serve(echo)
    for size in ("0_2", "-1", "+2", "1" + "0" * 17, "", "2 "):
        async with Raw(served.port) as client:
            await client.send(
                f"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n{{}}\r\n0\r\n\r\n"
            )
            response = await client.response()
            assert (response.status, response.code) == (400, "malformed_http"), size


async def test_a_head_in_many_pieces_has_a_size_too(serve: Serve) -> None:
    served = await serve(echo)
    async with Raw(served.port) as client:
        await client.send(HEAD)
        for number in range(20):
            await client.send(f"X{number}: {'y' * 8000}\r\n")
        response = await client.response()
        assert (response.status, response.code) == (431, "headers_too_large")
        assert await client.closed()


async def test_chunks_that_carry_next_to_nothing_are_refused(serve: Serve) -> None:
    served = await serve(echo, body_timeout=20)
    async with Raw(served.port) as client:
        await client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await served.until(lambda: served.server.requests_count == 1)
        for _ in range(40):
            await client.send(f"1;a={'x' * 8000}\r\n.\r\n")
        response = await client.response()
        assert (response.status, response.code) == (400, "malformed_http")
        assert response.headers["connection"] == "close"
        assert await client.closed()


async def test_chunks_of_one_byte_are_fine(serve: Serve) -> None:
    served = await serve(echo)
    async with Raw(served.port) as client:
        await client.send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await served.until(lambda: served.server.requests_count == 1)
        for _ in range(100):
            await client.send("1\r\n.\r\n" * 1000)
        await client.send("0\r\n\r\n")
        assert (await client.response()).body == b"/a" + b"." * 100_000


async def test_the_answer_to_a_client_that_goes_on_sending_arrives(serve: Serve) -> None:
    """To close on bytes that nobody has read is to reset the connection, and what was said is lost."""
    served = await serve(echo)
    async with Raw(served.port) as client:
        await client.send("GET /\x01 HTTP/1.1\r\n")
        await served.until(lambda: len(served.refused) == 1)
        for _ in range(100):
            await client.send("x" * 10_000)
        assert (await client.response()).code == "malformed_http"
        assert await client.closed()


async def test_a_refused_client_that_does_not_leave_is_cut_off(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_LINGER_SECONDS", 0.05)
    served = await serve(echo)
    async with Raw(served.port) as client:
        await client.send("GET /\x01 HTTP/1.1\r\n")
        await served.until(lambda: len(served.refused) == 1)
        await served.until(lambda: not served.server.connections)


CHUNKED = "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("end", ["0\r\n\r\n", "2\r\n{}\r\n0\r\n\r\n"])
async def test_behind_chunks_without_a_trailer_the_connection_goes_on(serve: Serve, end: str) -> None:
    served = await serve(echo)
    async with Raw(served.port) as client:
        for _ in range(3):
            await client.send(CHUNKED + end[:-3])
            await client.send(end[-3:])
            assert "connection" not in (await client.response()).headers


@pytest.mark.parametrize("field", ["X: y", "Expect: x", "Authorization: z", "X: 0"])
@pytest.mark.parametrize("next_one", ["", HEAD + "\r\n", CHUNKED + "0\r\n\r\n", HEAD])
async def test_a_trailer_is_no_header_field_of_the_next_request(
    serve: Serve, field: str, next_one: str
) -> None:
    """The parser takes it for one: so there is no next request."""
    served = await serve(echo)
    async with Raw(served.port) as client:
        await client.send(f"{CHUNKED}2\r\n{{}}\r\n0\r\n{field}\r\n\r\n{next_one}")
        response = await client.response()
        assert (response.status, response.body) == (200, b"/a{}")
        assert response.headers["connection"] == "close"
        assert await client.closed()
    assert served.server.requests_count == 1


async def test_half_a_head_that_comes_with_the_connection_has_a_deadline(serve: Serve) -> None:
    """It may be here before aiohttp's task has begun to wait for it."""
    served = await serve(echo, header_timeout=0.1)

    async def one() -> int:
        async with Raw(served.port) as client:
            await client.send(HEAD)
            return (await client.response()).status

    assert set(await asyncio.gather(*(one() for _ in range(100)))) == {408}


async def test_half_a_head_behind_a_request_has_a_deadline(serve: Serve) -> None:
    served = await serve(handler := Gate(), header_timeout=0.05)
    async with Raw(served.port) as client:
        await client.send(HEAD + "\r\n")
        await handler.entered.wait()
        await client.send(HEAD)
        handler.open.set()
        assert (await client.response()).status == 200
        assert (await client.response()).status == 408


async def test_an_idle_connection_is_not_late_for_a_head(serve: Serve) -> None:
    """However a body came in: what is left of it is not taken for the beginning of a head."""
    served = await serve(echo, header_timeout=0.05)
    for pieces in (["{}"], ["{", "}"], ["{", "", "}"]):
        async with Raw(served.port) as client:
            await client.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n")
            for piece in pieces:
                await asyncio.sleep(0)
                await client.send(piece)
            assert (await client.response()).body == b"/a{}"
            await asyncio.sleep(0.15)  # longer than the deadline
            await client.send(HEAD + "\r\n")
            assert (await client.response()).status == 200
