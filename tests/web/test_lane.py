"""The lane: what is plain is answered in it; whatever is not goes on at aiohttp as if it had begun there."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import GatewayError, InvalidKey
from gateway.exchange import ClientGone, ClientStalled, Downstream
from gateway.web import lane
from gateway.web.call import Call, refuse
from gateway.web.connection import HIGH_WATER, Connection
from gateway.web.lane import Lane
from gateway.web.lanehead import Head
from gateway.web.response import Response
from tests import scripted
from tests.running import KEY, configuration, running
from tests.scripted import Scripted
from tests.web.conftest import Serve, Served
from tests.web.raw import CANARY, Raw, ask

BODY = b'{"model":"gpt-6-luna"}'
JSON = [("content-type", "application/json")]
GET = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
BLOCK = b"x" * 65_536
Read = Callable[[], Awaitable[bytes]]


def chat(
    body: bytes = BODY, *fields: str, path: str = "/v1/chat/completions", length: int | None = None
) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: a", f"Authorization: Bearer {CANARY}", *fields]
    return (
        "\r\n".join([*lines, f"Content-Length: {len(body) if length is None else length}", "", ""]).encode()
        + body
    )


async def aside(call: Call) -> None:
    await call.answer(200, b"aside " + await call.body.read())


async def answer(downstream: Downstream, body: bytes) -> None:
    await downstream.start(200, JSON, len(body))
    await downstream.write(body)
    await downstream.finish()


async def echo(_: str, head: Head, peer: str, read: Read, downstream: Downstream) -> None:
    assert isinstance(downstream, Response)
    try:
        await answer(downstream, b"lane " + await read())
    except GatewayError as error:
        await refuse(downstream, error)


async def stranger(_: str, head: Head, peer: str, read: Read, downstream: Downstream) -> None:
    """Refused by the head; nobody reads the body."""
    assert isinstance(downstream, Response)
    await refuse(downstream, InvalidKey())


class Gate:
    """Answers once it is let to, and notes what it meets."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.open = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def __call__(self, _: str, head: Head, peer: str, read: Read, downstream: Downstream) -> None:
        self.entered.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        await answer(downstream, b"gate " + await read())


def lanes(served: Served) -> list[Lane]:
    assert served.server._lanes is not None
    return list(served.server._lanes.open)


async def test_what_generates_is_answered_in_the_lane_and_the_connection_goes_on(serve: Serve) -> None:
    served = await serve(aside, echo)
    paths = ("chat/completions", "completions", "embeddings", "responses", "moderations")
    async with Raw(served.port) as client:
        for path in paths:
            await client.send(chat(path=f"/v1/{path}?a=b"))
            response = await client.response()
            assert (response.status, response.body) == (200, b"lane " + BODY)
            assert "connection" not in response.headers
            assert len(response.headers["x-gateway-request-id"]) == 32
        assert len(lanes(served)) == 1
    await served.until(lambda: not lanes(served))
    assert served.server.requests_count == 0


async def test_without_the_switch_there_is_no_lane(serve: Serve) -> None:
    served = await serve(aside, echo, lane=False)
    assert (await ask(served.port, chat())).body == b"aside " + BODY


ODD = {
    "another path": chat(path="/v1/files"),
    "another spelling": chat(path="/v1//chat/completions"),
    "Azure's": chat(path="/openai/deployments/x/chat/completions"),
    "an absolute form": chat(path="http://a/v1/chat/completions"),
    "another method": GET,
    "HTTP/1.0": chat(b"", "Connection: keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "chunks": chat(length=0).partition(b"Content-Length")[0] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no length": chat(b"").replace(b"Content-Length: 0\r\n", b""),
    "an expectation": chat(BODY, "Expect: 100-continue"),
    "an upgrade": chat(BODY, "Connection: upgrade", "Upgrade: h2c"),
    "a coding": chat(BODY, "Content-Encoding: identity"),
    "a name twice": chat(BODY, "X: y", "x: z"),
    "letters past ASCII": chat(BODY, "X: \xe9"),
    "many fields": chat(BODY, *(f"X-{number}: y" for number in range(100))),
    "a long head": chat(BODY, f"X: {'y' * 5000}", f"Z: {'y' * 5000}"),
    "an empty line before it": b"\r\n" + chat(),
}


@pytest.mark.parametrize("name", ODD)
async def test_what_is_odd_is_handed_over_for_the_rest_of_the_connection(serve: Serve, name: str) -> None:
    served = await serve(aside, echo)
    async with Raw(served.port) as client:
        await client.send(chat())
        assert (await client.response()).body == b"lane " + BODY
        for data in (ODD[name], chat()):
            await client.send(data)
            response = await client.response()
            assert response.status == 200
            assert response.body.startswith(b"aside")
        assert lanes(served) == []
    assert served.server.requests_count == 2


async def test_pipelined_requests_of_both_kinds_are_answered_in_order(serve: Serve) -> None:
    served = await serve(aside, echo)
    async with Raw(served.port) as client:
        many = [chat(b'{"n":%d}' % number) for number in range(300)]
        sending = asyncio.create_task(client.send(b"".join([*many, GET, *many])))
        for number in range(300):
            assert (await client.response()).body == b'lane {"n":%d}' % number
        assert (await client.response()).body == b"aside "
        for number in range(300):
            assert (await client.response()).body == b'aside {"n":%d}' % number
        await sending


async def test_what_follows_a_last_request_is_not_read(serve: Serve) -> None:
    served = await serve(aside, echo)
    async with Raw(served.port) as client:
        await client.send(chat(BODY, "Connection: Close") + chat() + GET)
        response = await client.response()
        assert (response.body, response.headers["connection"]) == (b"lane " + BODY, "close")
        assert await client.closed()


@pytest.mark.parametrize("before", [b"", chat()])
async def test_a_head_that_is_late_is_refused_by_aiohttp(serve: Serve, before: bytes) -> None:
    served = await serve(aside, echo, header_timeout=0.1)
    async with Raw(served.port) as client:
        if before:
            await client.send(before)
            assert (await client.response()).status == 200
        await client.send(chat()[:60])
        response = await client.response()
        assert (response.status, response.code) == (408, "request_timeout")
        assert response.headers["connection"] == "close"
        assert await client.closed()
    assert [error.code for error in served.refused] == ["request_timeout"]


@pytest.mark.parametrize("before", [b"", chat()])
async def test_bytes_that_trickle_in_buy_no_time(serve: Serve, before: bytes) -> None:
    served = await serve(aside, echo, header_timeout=0.2)
    async with Raw(served.port) as client:
        if before:
            await client.send(before)
            assert (await client.response()).status == 200

        async def trickle() -> None:
            await client.send(chat()[:60])
            while True:
                await client.send("y")
                await asyncio.sleep(0.005)

        trickling = asyncio.create_task(trickle())
        assert (await client.response()).status == 408
        trickling.cancel()
        await asyncio.gather(trickling, return_exceptions=True)


async def test_a_hand_over_buys_no_time_either(serve: Serve) -> None:
    """What is left of a head's time goes along with its bytes."""
    served = await serve(aside, echo, header_timeout=0.4)
    clock = asyncio.get_running_loop().time
    async with Raw(served.port) as client:
        began = clock()
        await client.send(chat()[:60])
        await served.until(lambda: bool(lanes(served)) and bool(lanes(served)[0]._unread))
        await asyncio.sleep(0.3)
        await client.send(b"\r\nExpect: x\r\nX: ")  # odd now, and still unfinished
        await served.until(lambda: bool(served.server.connections))
        assert isinstance(served.server.connections[0], Connection)
        assert (await client.response()).status == 408
        assert clock() - began < 0.65


async def test_a_connection_without_a_request_ends_without_an_answer(serve: Serve) -> None:
    served = await serve(aside, echo, header_timeout=0.05)
    async with Raw(served.port) as client:
        assert await client.closed()
    assert served.refused == []


async def test_an_idle_connection_is_not_late_and_ends_in_the_end(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "IDLE_SECONDS", 0.3)
    served = await serve(aside, echo, header_timeout=0.05)
    async with Raw(served.port) as client:
        await client.send(chat())
        assert (await client.response()).status == 200
        await asyncio.sleep(0.15)  # longer than a head may take
        await client.send(chat())
        assert (await client.response()).status == 200
        assert await client.closed()


async def test_half_a_head_behind_a_request_has_a_deadline(serve: Serve) -> None:
    served = await serve(aside, gate := Gate(), header_timeout=0.1)
    async with Raw(served.port) as client:
        await client.send(chat() + chat()[:60])
        await gate.entered.wait()
        await asyncio.sleep(0.2)  # longer than the deadline: a slow answer is not a late head
        gate.open.set()
        assert (await client.response()).body == b"gate " + BODY
        assert (await client.response()).status == 408


async def test_a_body_that_stops_is_408(serve: Serve) -> None:
    served = await serve(aside, echo, body_timeout=0.05)
    async with Raw(served.port) as client:
        await client.send(chat(b"five!", length=50))
        response = await client.response()
        assert (response.status, response.code) == (408, "request_timeout")
        assert response.headers["connection"] == "close"
        assert await client.closed()


async def test_a_body_in_pieces_arrives_as_it_was_sent(serve: Serve) -> None:
    served = await serve(aside, echo)
    body = bytes(range(256)) * 8192  # 2 MiB
    async with Raw(served.port) as client:
        for _ in range(2):
            sending = asyncio.create_task(client.send(chat(body)))
            assert (await client.response()).body == b"lane " + body
            await sending
        assert len(lanes(served)) == 1


async def test_a_body_that_is_too_large_is_refused_by_aiohttp(serve: Serve) -> None:
    served = await serve(aside, echo, max_body=1000)
    async with Raw(served.port) as client:
        await client.send(chat(b"", length=1001))
        response = await client.response()
        assert (response.status, response.code) == (413, "request_too_large")
        assert await client.closed()


async def test_a_strangers_body_is_neither_waited_for_nor_kept(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_LINGER_SECONDS", 60)  # the end is told at once
    served = await serve(aside, stranger)
    async with Raw(served.port) as client:
        await client.send(chat(b"{", length=50_000_000))
        response = await client.response()
        assert (response.status, response.headers["connection"]) == (401, "close")
        assert await client.closed()


async def test_the_refusal_of_a_client_that_goes_on_sending_arrives(serve: Serve) -> None:
    """To close on bytes that nobody has read is to reset the connection, and what was said is lost."""
    served = await serve(aside, stranger)
    async with Raw(served.port) as client:
        await client.send(chat(b"", length=1_000_000))
        await served.until(lambda: any(one._lingering for one in lanes(served)))
        for _ in range(100):
            await client.send("x" * 10_000)
        assert (await client.response()).status == 401
        assert await client.closed()
    await served.until(lambda: not lanes(served))


async def test_a_refused_client_that_does_not_leave_is_cut_off(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_LINGER_SECONDS", 0.05)
    served = await serve(aside, stranger)
    async with Raw(served.port) as client:
        await client.send(chat(b"", length=1_000_000))
        assert (await client.response()).status == 401
        await served.until(lambda: not lanes(served))


async def test_little_is_read_of_what_nobody_has_asked_for(serve: Serve) -> None:
    """Neither of a body nor of the requests behind one; all of it is read in the end."""
    for data, end in (
        (chat(BLOCK * 100), b"gate " + BLOCK * 100),
        (chat() + chat(BLOCK) * 100, b"gate " + BODY),
    ):
        served = await serve(aside, gate := Gate())
        async with Raw(served.port) as client:
            sending = asyncio.create_task(client.send(data))
            await gate.entered.wait()
            (only,) = lanes(served)
            await served.until(lambda only=only: not only.transport.is_reading())  # type: ignore[misc]
            body = only._body
            assert body is not None
            # What one read brings comes on top.
            assert len(only._unread) + body.size <= 64 * 1024 + 256 * 1024 + len(BODY)
            gate.open.set()
            assert (await client.response()).body == end
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


@pytest.mark.parametrize("how", ["leaves", "sends no more"])
async def test_a_client_that_leaves_cancels_its_request(serve: Serve, how: str) -> None:
    served = await serve(aside, gate := Gate())
    async with Raw(served.port) as client:
        await client.send(chat())
        await gate.entered.wait()
        if how == "leaves":
            client.leave()
        else:
            client._writer.write_eof()
        async with asyncio.timeout(5):
            await gate.cancelled.wait()
    await served.until(lambda: not lanes(served))


async def test_a_client_that_leaves_in_its_body_ends_the_request(serve: Serve) -> None:
    ended = asyncio.Event()

    async def reading(_: str, head: Head, peer: str, read: Read, downstream: Downstream) -> None:
        try:
            await read()
        finally:
            ended.set()

    served = await serve(aside, reading)
    async with Raw(served.port) as client:
        await client.send(chat(b"five!", length=50))
        client.leave()
        async with asyncio.timeout(5):
            await ended.wait()


async def test_a_request_that_is_cancelled_by_somebody_else_ends_its_connection(serve: Serve) -> None:
    served = await serve(aside, gate := Gate())
    async with Raw(served.port) as client:
        await client.send(chat())
        await gate.entered.wait()
        (task,) = [one for one in asyncio.all_tasks() if one.get_name() == "request"]
        task.cancel()
        assert await client.closed()


async def test_while_the_gateway_ends_aiohttp_sends_clients_away(serve: Serve) -> None:
    served = await serve(aside, echo)
    async with Raw(served.port) as client:
        await client.send(chat())
        assert (await client.response()).body == b"lane " + BODY
        served.closing = True
        await client.send(chat())
        response = await client.response()
        assert (response.body, response.headers["connection"]) == (b"aside " + BODY, "close")
        assert await client.closed()


async def test_an_answer_that_begins_while_the_gateway_ends_is_the_last_one(serve: Serve) -> None:
    served = await serve(aside, gate := Gate())
    async with Raw(served.port) as client:
        await client.send(chat() + chat())
        await gate.entered.wait()
        served.closing = True
        gate.open.set()
        response = await client.response()
        assert (response.body, response.headers["connection"]) == (b"gate " + BODY, "close")
        assert await client.closed()


async def test_closing_ends_what_is_idle_and_what_runs(serve: Serve) -> None:
    served = await serve(aside, gate := Gate())
    async with Raw(served.port) as idle, Raw(served.port) as half, Raw(served.port) as busy:
        await half.send(chat()[:60])
        await busy.send(chat())
        await gate.entered.wait()
        await served.until(lambda: len(lanes(served)) == 3)
        await served.listener.close()
        assert gate.cancelled.is_set()
        for client in (idle, half, busy):
            assert await client.closed()


async def test_what_ends_in_time_is_answered_when_all_is_closed(serve: Serve) -> None:
    served = await serve(aside, gate := Gate())
    async with Raw(served.port) as client:
        await client.send(chat())
        await gate.entered.wait()
        closing = asyncio.create_task(served.listener.close())
        await served.until(lambda: lanes(served)[0]._ending)
        gate.open.set()
        assert (await client.response()).body == b"gate " + BODY
        assert await client.closed()
        await closing


async def test_a_bug_says_the_request_id_and_nothing_else(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(_: str, head: Head, peer: str, read: Read, downstream: Downstream) -> None:
        raise KeyError(head.headers["authorization"])

    served = await serve(aside, broken)
    async with Raw(served.port) as client:
        for _ in range(2):
            await client.send(chat())
            response = await client.response()
            assert (response.status, response.code) == (500, "internal_error")
            assert response.headers["x-gateway-request-id"].encode() in response.body
            assert CANARY.encode() not in response.body
    assert "internal error" in caplog.text


async def test_a_bug_in_the_middle_of_an_answer_cuts_it(serve: Serve) -> None:
    async def broken(_: str, head: Head, peer: str, read: Read, downstream: Downstream) -> None:
        await downstream.start(200, JSON, None)
        await downstream.write(b"some")
        raise KeyError

    served = await serve(aside, broken)
    async with Raw(served.port) as client:
        await client.send(chat())
        await client.head()
        assert await client.rest() == b"4\r\nsome\r\n"


async def test_what_says_nothing_is_a_bug(serve: Serve) -> None:
    async def silent(_: str, head: Head, peer: str, read: Read, downstream: Downstream) -> None:
        return

    served = await serve(aside, silent)
    assert (await ask(served.port, chat())).status == 500


class Flood:
    """Writes for ever, and notes what it meets."""

    def __init__(self) -> None:
        self.written = 0
        self.ended: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def __call__(self, _: str, head: Head, peer: str, read: Read, downstream: Downstream) -> None:
        await downstream.start(200, JSON, None)
        try:
            while True:
                await downstream.write(BLOCK)
                self.written += len(BLOCK)
        except BaseException as error:
            self.ended.set_result(error)
            raise


async def test_a_slow_reader_holds_the_writer_back(serve: Serve) -> None:
    served = await serve(aside, flood := Flood())
    async with Raw(served.port, receive_buffer=4096) as client:
        await client.send(chat())
        await client.head()
        (only,) = lanes(served)
        await served.until(lambda: only.writing_paused)
        assert only.transport is not None
        assert only.transport.get_write_buffer_size() <= HIGH_WATER + len(BLOCK) + 16
        written = flood.written
        await client.read(2 * written)  # taking some of it lets the writer go on
        assert flood.written > written
        assert only.transport.get_write_buffer_size() <= HIGH_WATER + len(BLOCK) + 16


async def test_a_reader_that_stops_is_cut_off(serve: Serve) -> None:
    served = await serve(aside, flood := Flood(), write_timeout=0.1)
    async with Raw(served.port, receive_buffer=4096) as client:
        await client.send(chat())
        async with asyncio.timeout(20):
            assert isinstance(await flood.ended, ClientStalled)
        assert not await client.closed()  # after what had arrived


async def test_writing_to_a_client_that_has_left(serve: Serve) -> None:
    served = await serve(aside, flood := Flood())
    async with Raw(served.port) as client:
        await client.send(chat())
        await client.head()
        client.leave()
        async with asyncio.timeout(20):
            assert isinstance(await flood.ended, (ClientGone, asyncio.CancelledError))


async def test_a_slow_reader_is_handed_over_with_what_waits_for_it(serve: Serve) -> None:
    large = BLOCK * 100

    async def wide(_: str, head: Head, peer: str, read: Read, downstream: Downstream) -> None:
        await downstream.start(200, JSON, len(large) + 1)
        await downstream.write(large)
        transport = lanes(served)[0].transport
        assert transport is not None
        transport.write(b"x" + BLOCK * 100)  # what nobody waits for
        assert isinstance(downstream, Response)
        downstream._owed, downstream.ended = None, True

    served = await serve(aside, wide)
    async with Raw(served.port, receive_buffer=4096) as client:
        await client.send(chat() + GET)
        assert len((await client.response()).body) == len(large) + 1
        await served.until(lambda: bool(served.server.connections))
        assert served.server.connections[0].writing_paused
        await client.read(len(BLOCK) * 100)
        assert (await client.response()).body == b"aside "
        assert not served.server.connections[0].writing_paused


async def test_a_thousand_connections_leave_nothing_behind(serve: Serve) -> None:
    served = await serve(aside, echo)
    clients = [Raw(served.port) for _ in range(1000)]
    for client in clients:
        await client.__aenter__()
        await client.send(chat())
    for client in clients:
        assert (await client.response()).body == b"lane " + BODY
    known = [weakref.ref(one.writable) for one in lanes(served)]
    assert len(known) == 1000
    gc.collect()
    gc.disable()  # what ends leaves no circles: nobody has to look for it
    for client in clients:
        client.leave()
    await served.until(lambda: not lanes(served))
    await asyncio.sleep(0.05)
    left = [one for one in known if one() is not None]
    gc.enable()
    assert left == []
    assert not [one for one in asyncio.all_tasks() if one.get_name() == "request"]


FIELDS = (
    "X-Gateway-Tags: feature=search",
    "OpenAI-Beta: assistants=v2",
    "Idempotency-Key:  k1 ",
    "X-Client-Request-Id: c1",
    "X-Stainless-Lang: python",
    "Accept: application/json",
)


ITS_OWN = {"date", "x-gateway-request-id"}


async def asked(upstream: Scripted, folder: Path, *, on: bool) -> list[Any]:
    """What clients and the upstream see of some requests."""
    upstream.plan(*[scripted.json(200, b'{"exactly":  "these bytes"}')] * 2)
    text = configuration(upstream.base_url, folder / "data", "[cache]\nenabled = false")
    text = text.replace("[server]", f"[server]\nlane = {str(on).lower()}")
    body = b'{"model":"gpt-6-luna","input":"x","messages":[]}'
    seen: list[Any] = []
    async with running(text, folder) as gateway:
        for path in ("/v1/chat/completions?a=b&c", "/v1/embeddings"):
            data = chat(body, *FIELDS, path=path).replace(CANARY.encode(), KEY.encode())
            response = await ask(gateway.app.listeners.public_port, data)
            headers = {name: value for name, value in response.headers.items() if name not in ITS_OWN}
            last = upstream.requests[-1]
            seen += [response.status, headers, response.body, last.path, sorted(last.headers), last.body]
    return seen


async def test_the_line_sees_the_same_of_both_servers(upstream: Scripted, tmp_path: Path) -> None:
    for name in ("with", "without"):
        (tmp_path / name).mkdir()
    assert await asked(upstream, tmp_path / "with", on=True) == await asked(
        upstream, tmp_path / "without", on=False
    )
