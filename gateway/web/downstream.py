"""The client's end of the connection, as `exchange.Downstream` promises it to the line."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import cast

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion10

from gateway.exchange import ClientGone, ClientStalled, Headers
from gateway.web import wire
from gateway.web.connection import Connection
from gateway.web.sent import CLOSED, KEPT, Sent

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class HttpDownstream:
    """One response. A body of known length leaves in one write with its head when it comes in one piece."""

    __slots__ = (
        "_chunked",
        "_closing",
        "_connection",
        "_held",
        "_id",
        "_keep",
        "_owed",
        "_patience",
        "_request",
        "_silent",
        "_stalled",
        "begun",
        "ended",
    )

    def __init__(
        self, request: web.BaseRequest, request_id: str, patience: float, closing: Callable[[], bool]
    ) -> None:
        self._request = request
        self._connection = cast(Connection, request.protocol)
        self._id = request_id
        self._patience = patience  # seconds without the client taking anything
        self._closing = closing  # asked when the head is written: is this connection to end?
        self._keep = request.keep_alive
        self._held = b""  # the head, until there is something to send with it
        self._owed: int | None = None  # bytes of a body of known length that are still to come
        self._chunked = False
        self._silent = False  # a response that has no body
        self._stalled = False
        self.begun = False
        self.ended = False

    def close_after(self) -> None:
        """The connection ends with this response."""
        self._keep = False

    async def start(self, status: int, headers: Headers, length: int | None) -> None:
        self.begun = True
        self._silent = status in wire.BODILESS or self._request.method == hdrs.METH_HEAD
        self._chunked = length is None and not self._silent and self._request.version != HttpVersion10
        self._owed = None if self._silent else length
        # An unread body would be taken for the next request.
        if self._closing() or not self._request.content.is_eof():
            self._keep = False
        if length is None and not self._chunked and not self._silent:
            self._keep = False
        data = wire.head(status, headers, self._id, *self._framing(status, length))
        if self._owed:
            self._held = data
        else:
            self._send(data)

    async def write(self, data: bytes) -> None:
        if not data or self._silent:
            return
        if self._owed is not None:
            data = self._promised(data)
            if not data:
                return
            data = self._held + data if self._held else data
            self._held = b""
        elif self._chunked:
            data = wire.chunk(data)
        self._send(data)
        if self._connection.writing_paused:
            await self._room()

    def _promised(self, data: bytes) -> bytes:
        """What of it still belongs to the body: more would be taken for the next response."""
        assert self._owed is not None
        if len(data) > self._owed:
            self._keep = False
            data = data[: self._owed]
        self._owed -= len(data)
        return data

    async def finish(self) -> None:
        if self._owed:
            self.abort()  # shorter than promised: it has to look cut
            return
        self.ended = True
        if self._chunked:
            self._send(wire.LAST_CHUNK)
        if not self._keep:
            self._connection.cut_after(self._patience)

    def abort(self) -> None:
        """Cut after what the client still takes: a chunked body without its last chunk, or a body too short.

        A body that ends with its connection would look whole then, so that connection is reset.
        """
        self.ended = True
        self._keep = False
        transport = self._connection.transport
        if transport is None:
            return
        if not self._chunked and self._owed is None and not self._silent:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if self._stalled or not transport.get_write_buffer_size():
            transport.abort()
        else:
            self._connection.force_close()

    def sent(self) -> Sent:
        """For aiohttp, when the request is over. What was begun and not ended is cut."""
        if self.begun and not self.ended:
            self.abort()
        return KEPT if self._keep else CLOSED

    def _framing(self, status: int, length: int | None) -> list[str]:
        lines = []
        if self._chunked:
            lines.append("transfer-encoding: chunked")
        elif length is not None and status not in wire.BODILESS:
            lines.append(f"content-length: {length}")
        if not self._keep:
            lines.append("connection: close")
        elif self._request.version == HttpVersion10:
            lines.append("connection: keep-alive")
        return lines

    def _send(self, data: bytes) -> None:
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            raise ClientGone
        transport.write(data)

    async def _room(self) -> None:
        """Wait until the client has taken what waits for it, as long as it takes anything at all."""
        connection = self._connection
        while connection.writing_paused:
            before = _unsent(connection)
            try:
                async with asyncio.timeout(self._patience):
                    await connection.writable.wait()
            except TimeoutError:
                if _unsent(connection) >= before:
                    self._stalled = True
                    raise ClientStalled from None
        if connection.transport is None:
            raise ClientGone


def _unsent(connection: Connection) -> int:
    return connection.transport.get_write_buffer_size() if connection.transport is not None else 0
