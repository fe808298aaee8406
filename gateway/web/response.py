"""One response on its way out, whichever of the two servers reads the requests."""

import asyncio
import socket
import struct
from typing import Protocol

from gateway.exchange import ClientGone, ClientStalled, Headers
from gateway.web import wire

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Line(Protocol):
    """A connection, as its responses see it."""

    @property
    def transport(self) -> asyncio.Transport | None:
        """None: the client has left."""
        ...

    @property
    def writing_paused(self) -> bool: ...

    @property
    def writable(self) -> asyncio.Event:
        """Set while writing is not paused, and when the client has left."""
        ...

    def cut_after(self, seconds: float) -> None:
        """Do not wait longer for a client to take what is left."""
        ...

    def force_close(self) -> None:
        """End with what has been written."""
        ...


class Response:
    """What `exchange.Downstream` promises, but for how it begins. A body of known length leaves in one write
    with its head when it comes in one piece."""

    __slots__ = (
        "_chunked",
        "_connection",
        "_held",
        "_id",
        "_keep",
        "_owed",
        "_patience",
        "_silent",
        "_stalled",
        "begun",
        "ended",
    )

    def __init__(self, connection: Line, request_id: str, patience: float, keep_alive: bool) -> None:
        self._connection = connection
        self._id = request_id
        self._patience = patience  # seconds without the client taking anything
        self._keep = keep_alive
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
        """Send the head, or hold it back for the body's first bytes. `length` None: nobody knows it."""
        raise NotImplementedError

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

    @property
    def ready(self) -> bool:
        """May it be written to at once: has its head left, and is nothing before it that waits?"""
        connection = self._connection
        transport = connection.transport
        return (
            self._chunked
            and not (self.ended or connection.writing_paused)
            and transport is not None
            and not transport.is_closing()
        )

    def push(self, data: bytes) -> None:
        """As `write`, at once. Only of a response that is `ready`, and never nothing."""
        transport = self._connection.transport
        assert transport is not None
        transport.write(wire.chunk(data))

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

    def kept(self) -> bool:
        """When the request is over: may the connection live on? What was begun and not ended is cut."""
        if self.begun and not self.ended:
            self.abort()
        return self._keep

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


def _unsent(connection: Line) -> int:
    return connection.transport.get_write_buffer_size() if connection.transport is not None else 0
