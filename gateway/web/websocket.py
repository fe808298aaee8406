"""The client's end of a WebSocket: our own handshake, aiohttp's reader and writer of frames."""

import asyncio
import contextlib
import sys

from aiohttp import web
from aiohttp._websocket.models import WSMessageTextBytes
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http import WebSocketError, WebSocketReader, WebSocketWriter, WSCloseCode, WSMessage, WSMsgType
from aiohttp.streams import EofStream

from gateway.exchange import ClientGone, ClientStalled, Headers
from gateway.policy.websocket import MaskCheck
from gateway.sockets.ends import CUT_OFF, MOST_BYTES, NO_CODE, Close, Message, sendable
from gateway.web import wire
from gateway.web.connection import HIGH_WATER, Connection

_FAREWELL_SECONDS = 2.0  # for the client's own close frame


class ClientSocket:
    """`sockets.ends.Socket` on a connection whose request was answered with 101 (RFC 6455).

    No extension is accepted: permessage-deflate would make the relay inflate and deflate what it passes on,
    and audio in base64 gains little by it. Frames without a mask, reserved bits, text that is no UTF-8 and
    messages above `MOST_BYTES` end the connection with the code that the RFC has for each.
    """

    def __init__(self, connection: Connection, patience: float) -> None:
        assert connection.transport is not None
        self._connection = connection
        self._patience = patience  # seconds without the client taking anything
        self._queue = WebSocketDataQueue(connection, HIGH_WATER, loop=asyncio.get_running_loop())
        # It never waits for room by itself: `_room` does, and gives up on who takes nothing.
        self._writer = WebSocketWriter(connection, connection.transport, limit=sys.maxsize)
        self._closed = False  # we have said the end
        self._ended = False  # the client has

    @classmethod
    def upgrade(
        cls, request: web.BaseRequest, request_id: str, headers: Headers, framing: list[str], patience: float
    ) -> "ClientSocket":
        """Answer 101 and take the connection over. Raises ClientGone."""
        connection = request.protocol
        assert isinstance(connection, Connection)
        if connection.transport is None or connection.transport.is_closing():
            raise ClientGone
        made = cls(connection, patience)
        connection.transport.write(wire.head(101, headers, request_id, *framing))
        connection.keep_alive(False)
        # One more: aiohttp refuses a message as large as its limit.
        reader = WebSocketReader(made._queue, MOST_BYTES + 1, compress=False, decode_text=True)
        connection.set_parser(Masked(reader, made._queue))  # type: ignore[arg-type]  # it has what is called
        return made

    async def receive(self) -> Message | Close:
        while True:
            try:
                message = await self._queue.read()
            except EofStream:
                self._ended = True
                return Close(CUT_OFF)
            except WebSocketError as error:
                self._ended = True
                return Close(int(error.code), _REASONS.get(int(error.code), "protocol error"))
            except ConnectionError:
                self._ended = True
                return Close(CUT_OFF)
            read = await self._read(message)
            if read is not None:
                return read

    async def _read(self, message: WSMessage | WSMessageTextBytes) -> Message | Close | None:
        if message.type is WSMsgType.TEXT:
            return Message(message.data.encode())
        if message.type is WSMsgType.BINARY:
            return Message(message.data, text=False)
        if message.type is WSMsgType.CLOSE:
            self._ended = True
            return Close(message.data or NO_CODE, message.extra or "")
        if message.type is WSMsgType.PING:
            await self._frame(message.data, WSMsgType.PONG)
        return None

    async def send(self, message: Message) -> None:
        await self._frame(message.data, WSMsgType.TEXT if message.text else WSMsgType.BINARY)

    async def _frame(self, data: bytes, opcode: WSMsgType) -> None:
        if self._closed:
            raise ClientGone
        await self._room()
        try:
            await self._writer.send_frame(data, opcode)
        except ConnectionError:
            raise ClientGone from None

    async def _room(self) -> None:
        """Wait until the client has taken what waits for it, as long as it takes anything at all."""
        connection = self._connection
        while connection.writing_paused and connection.transport is not None:
            before = connection.transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(self._patience):
                    await connection.writable.wait()
            except TimeoutError:
                transport = connection.transport
                if transport is not None and transport.get_write_buffer_size() >= before:
                    raise ClientStalled from None
        if connection.transport is None:
            raise ClientGone

    async def close(self, close: Close) -> None:
        if self._closed:
            return
        self._closed = True
        said = sendable(close)
        with contextlib.suppress(ConnectionError, WebSocketError, EofStream, TimeoutError):
            if said is None:
                await self._writer.send_frame(b"", WSMsgType.CLOSE)
            else:
                await self._writer.close(*said)
            async with asyncio.timeout(_FAREWELL_SECONDS):
                while not self._ended:
                    message = await self._queue.read()
                    self._ended = message.type is WSMsgType.CLOSE
        self._connection.cut_after(self._patience)

    def abort(self) -> None:
        """Cut the connection, without a word."""
        self._closed = True
        if self._connection.transport is not None:
            self._connection.transport.abort()

    def __repr__(self) -> str:
        return f"<ClientSocket {'closed' if self._closed else 'open'}>"


class Masked:
    """A reader of frames that takes none without a mask."""

    def __init__(self, reader: WebSocketReader, queue: WebSocketDataQueue) -> None:
        self._reader = reader
        self._queue = queue
        self._check = MaskCheck()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        if self._check.masked(data):
            return self._reader.feed_data(data)
        self._queue.set_exception(WebSocketError(WSCloseCode.PROTOCOL_ERROR, "a frame without a mask"))
        return True, b""

    def feed_eof(self) -> None:
        self._reader.feed_eof()


# Ours, because aiohttp's quote what the client sent.
_REASONS: dict[int, str] = {
    WSCloseCode.PROTOCOL_ERROR: "protocol error",
    WSCloseCode.INVALID_TEXT: "text is not valid UTF-8",
    WSCloseCode.MESSAGE_TOO_BIG: f"a message is larger than {MOST_BYTES} bytes",
}
