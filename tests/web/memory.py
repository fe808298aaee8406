"""A connection without a socket: what is fed to a server arrives in exactly these pieces."""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from gateway.errors import GatewayError
from gateway.exchange import Downstream
from gateway.settings import Server as ServerSettings
from gateway.web.call import Call
from gateway.web.lanehead import Head
from gateway.web.server import Server


class Wire(asyncio.Transport):
    """The server's end. Reading goes on even while it is paused: that is tested with sockets."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol: Any = None
        self.sent = b""
        self.closed = False

    def set_protocol(self, protocol: Any) -> None:
        self.protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None: ...

    def write(self, data: Any) -> None:
        self.sent += data

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    abort = close


def said(path: str, query: str, names: Iterable[str], values: Callable[[str], Any]) -> list[Any]:
    """What a request is, as a handler sees it."""
    return [path, query, sorted({(name.lower(), *map(ascii, values(name))) for name in names})]


async def enter(_: str, head: Head, peer: str, read_body: Callable[[], Any], downstream: Downstream) -> None:
    seen = said(f"/v1{head.endpoint.path}", head.query, head.headers, head.header_values)
    body = msgspec.json.encode([*seen, peer, (await read_body()).decode("latin-1")])
    await downstream.start(200, [("content-type", "application/json")], len(body))
    await downstream.write(body)
    await downstream.finish()


async def handle(call: Call) -> None:
    seen = said(call.path, call.raw_query, call.request.headers, call.header_values)
    await call.answer_json(200, [*seen, call.peer, (await call.body.read()).decode("latin-1")])


async def answers(pieces: Iterable[bytes], *, lane: bool) -> tuple[list[Any], bool]:
    """What a server answers to these pieces: status, framing and JSON of each; and whether it has ended."""
    refused: list[GatewayError] = []
    server = Server(handle, ServerSettings(lane=lane), refused.append, lambda: False, enter)
    wire = Wire()
    wire.protocol = server()
    wire.protocol.connection_made(wire)
    for piece in pieces:
        if not wire.closed:
            wire.protocol.data_received(piece)
        for _ in range(2):
            await asyncio.sleep(0)
    for _ in range(20):
        await asyncio.sleep(0)
    closed = wire.closed or bool(wire.protocol._lingering)
    server.pre_shutdown()
    await server.shutdown(0.01)
    return list(parsed(wire.sent)), closed


def parsed(data: bytes) -> Iterable[Any]:
    """The responses: what differs from one to the next is left out."""
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        headers = dict(field.split(": ", 1) for field in fields)
        assert len(headers.pop("x-gateway-request-id")) == 32
        assert headers.pop("date")
        length = int(headers["content-length"])
        yield line, headers, json.loads(data[:length])
        data = data[length:]
