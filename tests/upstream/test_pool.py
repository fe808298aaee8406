"""An answer belongs to the request before it, and to no other."""

import asyncio
import contextlib
from typing import Any

import pytest
from aiohttp.client_proto import ResponseHandler

from gateway.errors import UpstreamProtocolError, UpstreamUnreachable
from gateway.upstream.connection import Connection
from gateway.upstream.connections import Connections
from tests.scripted import Answer, Scripted, Seen, Wire, json, raw
from tests.upstream.conftest import At, Bench, bench_at, read
from tests.waiting import until

TRUE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\ntrue"
FORGED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 6\r\n\r\nforged"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


_TALKING: list[asyncio.Task[None]] = []  # the loop alone would forget them


def later(first: bytes, go: asyncio.Event, *then: bytes) -> Answer:
    """The rest comes when nobody waits for anything any more."""

    async def send(_: Seen, wire: Wire) -> None:
        await wire.send(first)

        async def rest() -> None:
            await go.wait()
            with contextlib.suppress(ConnectionError):
                for part in then:
                    await wire.send(part)

        _TALKING.append(asyncio.create_task(rest()))

    return Answer(send)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (TRUE, [FORGED]),
        (TRUE + FORGED[:20], [FORGED[20:]]),
        (TRUE + FORGED[:5], [b"nothing of HTTP"]),
        (TRUE, [FORGED[:1]]),
        (TRUE, [b"\r\nx"]),
        (CHUNKED + b"4\r\ntrue\r\n0\r\n\r\n", [FORGED]),
        (CHUNKED + b"4\r\ntrue\r\n0\r\n\r\n" + FORGED[:30], [FORGED[30:]]),
    ],
    ids=[
        "whole",
        "in halves",
        "half and junk",
        "one byte",
        "a line end and junk",
        "chunks",
        "chunks and a half",
    ],
)
async def test_what_comes_unasked_is_nobodys_answer(
    upstream: Scripted, bench: Bench, first: bytes, then: list[bytes]
) -> None:
    go = asyncio.Event()
    upstream.plan(later(first, go, *then), json(200, b"fine"))
    assert (await bench.ask())[1] == b"true"
    go.set()
    await upstream.until(lambda: upstream.open_connections == 0)
    assert (await bench.ask())[1] == b"fine"
    assert upstream.connections == 2


@pytest.mark.parametrize("cut", range(len(TRUE)))
async def test_surplus_in_one_write_wherever_the_answer_was_cut(
    upstream: Scripted, bench: Bench, cut: int
) -> None:
    go = asyncio.Event()
    go.set()
    upstream.plan(later(TRUE[:cut], go, TRUE[cut:] + FORGED), json(200, b"fine"))
    assert (await bench.ask())[1] == b"true"
    assert (await bench.ask())[1] == b"fine"
    assert upstream.connections == 2


async def test_a_line_end_too_many_is_forgiven(upstream: Scripted, bench: Bench) -> None:
    upstream.plan(raw(TRUE + b"\r\n"), json(200, b"fine"))
    assert (await bench.ask())[1] == b"true"
    assert (await bench.ask())[1] == b"fine"
    assert upstream.connections == 1


def hesitating(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new connection takes a moment until it is used; here that moment lasts until it has ended."""
    session = bench.transport._session
    assert session is not None
    connector = session.connector
    assert connector is not None
    theirs, ours = connector._create_connection, Connections.connect

    async def slowly(*how: Any) -> Any:
        line = await theirs(*how)
        async with asyncio.timeout(10):
            while line.is_connected():
                await asyncio.sleep(0)
        return line

    async def slowly_ours(connections: Connections) -> Any:
        connection = await ours(connections)
        assert isinstance(connection, Connection)
        async with asyncio.timeout(10):
            while not connection.is_closing():
                await asyncio.sleep(0)
        return connection

    monkeypatch.setattr(connector, "_create_connection", slowly)
    monkeypatch.setattr(Connections, "connect", slowly_ours)


async def test_who_speaks_before_being_asked_is_not_asked(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a server of another protocol does, or one that is out of step."""
    heard: list[bytes] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(FORGED)
        heard.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server, at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1") as bench:
        hesitating(bench, monkeypatch)
        with pytest.raises(UpstreamUnreachable):
            await bench.ask()
        await until(lambda: heard == [b"", b""])


async def test_a_body_that_turns_malformed_fails_at_once(upstream: Scripted, bench: Bench) -> None:
    go = asyncio.Event()
    upstream.plan(raw(CHUNKED + b"4\r\ntrue\r\n", go, b"xyz\r\n"), json(200, b"fine"))
    reply = await bench.open()
    assert await anext(reply.body) == b"true"
    go.set()
    with pytest.raises(UpstreamProtocolError):
        async with asyncio.timeout(10):
            await read(reply)
    assert (await bench.ask())[1] == b"fine"
    assert upstream.connections == 2


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/2.0 200 OK\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n4\r\n",
    ],
)
async def test_a_head_that_can_be_read_in_two_ways_is_none(
    upstream: Scripted, bench: Bench, head: bytes
) -> None:
    upstream.plan(raw(head + b"true"))
    with pytest.raises(UpstreamProtocolError):
        await bench.open()
    await upstream.until(lambda: upstream.open_connections == 0)


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_answer_that_fills_the_buffers_is_read_to_its_end(
    upstream: Scripted, bench: Bench, chunked: bool
) -> None:
    body = bytes(range(256)) * 8 * 1024
    step = 100_003
    pieces = [body[start : start + step] for start in range(0, len(body), step)]
    if chunked:
        sent = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        sent = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    upstream.plan(raw(sent), raw(TRUE))
    reply = await bench.open()
    read_so_far = b""
    async with asyncio.timeout(30):
        async for data in reply.body:
            read_so_far += data
            await asyncio.sleep(0)
    reply.close()
    assert read_so_far == body
    assert await bench.ask() == (200, b"true")


async def test_a_piece_read_is_no_second_run_of_the_parser(
    upstream: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    received = ResponseHandler.data_received

    def counted(self: ResponseHandler, data: bytes) -> None:
        runs.append(len(data))
        received(self, data)

    monkeypatch.setattr(ResponseHandler, "data_received", counted)
    go = asyncio.Event()
    upstream.plan(raw(CHUNKED + b"4\r\ntrue\r\n", go, b"0\r\n\r\n"))
    async with bench_at(upstream.base_url, own_client=False) as bench:
        reply = await bench.open()
        assert await anext(reply.body) == b"true"
        go.set()
        assert await read(reply) == b""
    assert runs
    assert all(runs)
