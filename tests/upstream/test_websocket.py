"""The upstream's end: handshakes that fail are told by table, and nothing follows a redirect."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from gateway.exchange import ClientGone
from gateway.sockets.ends import CUT_OFF, Close, Message, Refused
from gateway.upstream.failures import Failure
from gateway.upstream.websocket import UpstreamSocket, connect
from tests.realtime import Realtime
from tests.scripted import Answer, Scripted, close_now, raw
from tests.waiting import until


@pytest.fixture
async def up() -> AsyncIterator[Realtime]:
    async with Realtime() as server:
        yield server


@pytest.fixture
async def connector() -> AsyncIterator[aiohttp.BaseConnector]:
    async with aiohttp.TCPConnector() as made:
        yield made


class Ends:
    def __init__(self) -> None:
        self.told: list[Failure | None] = []

    async def to(self, connector: aiohttp.BaseConnector, url: str) -> UpstreamSocket | Failure:
        headers = [("authorization", "Bearer real")]
        return await connect(connector, URL(url), headers, 5.0, self.told.append)


async def test_messages_and_the_end(up: Realtime, connector: aiohttp.BaseConnector) -> None:
    ends = Ends()
    socket = await ends.to(connector, up.base_url + "/realtime")
    assert isinstance(socket, UpstreamSocket)
    first = await socket.receive()
    assert isinstance(first, Message)
    assert b"session.created" in first.data
    await socket.send(Message(b"\x00\xff", text=False))
    assert await socket.receive() == Message(b"\x00\xff", text=False)
    await next(iter(up.sockets)).close(code=4005, message=b"why")
    assert await socket.receive() == Close(4005, "why")
    await socket.close(Close(1000))
    await socket.close(Close(1000))
    assert ends.told == [None]
    _, headers = up.handshakes[0]
    assert headers["authorization"] == "Bearer real"
    assert not {"sec-websocket-extensions", "sec-websocket-protocol", "user-agent"} & headers.keys()


async def test_a_connection_that_breaks_is_told_as_such(
    up: Realtime, connector: aiohttp.BaseConnector
) -> None:
    ends = Ends()
    socket = await ends.to(connector, up.base_url + "/responses")
    assert isinstance(socket, UpstreamSocket)
    await until(lambda: bool(up.sockets))
    up.cut()
    assert await socket.receive() == Close(CUT_OFF)
    assert [failure and failure.kind for failure in ends.told] == ["cut"]
    with pytest.raises(ClientGone):
        await socket.send(Message(b"x"))


async def test_an_error_status_is_the_upstreams_own(up: Realtime, connector: aiohttp.BaseConnector) -> None:
    up.refusal = web.json_response({"error": "theirs"}, status=429, headers={"retry-after": "7"})
    with pytest.raises(Refused) as refused:
        await Ends().to(connector, up.base_url + "/realtime")
    assert (refused.value.status, refused.value.body) == (429, b'{"error": "theirs"}')
    assert ("retry-after", "7") in [(name.lower(), value) for name, value in refused.value.headers]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (raw(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"), "handshake"),
        (raw(b"HTTP/1.1 307 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"), "redirect"),
        (close_now, "disconnected"),
        (raw(b"garbage\r\n\r\n", end="close"), "garbage"),
    ],
)
async def test_what_is_no_handshake_is_a_failure(
    connector: aiohttp.BaseConnector, answer: Answer, kind: str
) -> None:
    async with Scripted() as scripted:
        scripted.plan(answer)
        failure = await Ends().to(connector, scripted.base_url + "/realtime")
    assert isinstance(failure, Failure)
    assert failure.kind == kind


async def test_nor_is_nobody_there(connector: aiohttp.BaseConnector) -> None:
    failure = await Ends().to(connector, "http://127.0.0.1:1/v1/realtime")
    assert isinstance(failure, Failure)
    assert failure.kind == "connect"
