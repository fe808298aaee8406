"""What aiohttp's protocol leaves open, closed. Malformed heads are in `test_framing`."""

import asyncio

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
        assert (await client.response()).code == "malformed_http"


async def test_chunk_sizes_that_are_no_sizes_are_refused(serve: Serve) -> None:
    served = await serve(echo)
    for size in ("0_2", "-1", "+2", "1" + "0" * 17, "", "2 "):
        async with Raw(served.port) as client:
            await client.send(
                f"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n{{}}\r\n0\r\n\r\n"
            )
            response = await client.response()
            assert (response.status, response.code) == (400, "malformed_http"), size
