"""One client connection: aiohttp's protocol, with what it leaves open closed.

What is overridden was measured on aiohttp 3.14.5; `tests/web/test_connection.py` holds each of it.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, cast

from aiohttp import StreamReader, hdrs, web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD

from gateway.errors import BadFraming, GatewayError, HeadersTooLarge, InternalError, RequestTimeout
from gateway.web import wire
from gateway.web.faults import MALFORMED, fault_of
from gateway.web.headclock import HeadClock
from gateway.web.overhead import Overhead
from gateway.web.requestids import request_id
from gateway.web.sent import CLOSED

log = logging.getLogger("gateway")

HIGH_WATER = 64 * 1024  # bytes waiting for a slow client before writers wait too
IDLE_SECONDS = 75.0  # between two requests; nginx: 75 s
FLUSH_SECONDS = 5.0  # for what was written before a connection is ended
_LINGER_SECONDS = 2.0  # for what a refused client still sends: to close on it would reset the answer
_LAST_CHUNK = b"\r\n0\r\n\r\n"

Refused = Callable[[GatewayError], None]


class Connection(web.RequestHandler):
    """Adds a deadline for heads, silence about malformed bytes, and a write side that can be waited for."""

    __slots__ = (
        "_body",
        "_head",
        "_lingering",
        "_overhead",
        "_refused",
        "_tail",
        "writable",
    )

    def __init__(self, manager: web.Server, *, head_timeout: float, refused: Refused, **options: Any) -> None:
        super().__init__(manager, **options)
        self._head = HeadClock(head_timeout, self._head_is_late)
        self._refused = refused
        self._overhead = Overhead()
        self._body: StreamReader = EMPTY_PAYLOAD  # of the request that arrived last
        self._tail = b""  # the last bytes that have arrived
        self._lingering: asyncio.Transport | None = None
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=HIGH_WATER)
        bound_kernel_buffer(transport)
        self._head.start()

    def take(self, transport: asyncio.Transport, data: bytes, left: float, *, writing_paused: bool) -> None:
        """Go on with a connection that another protocol has begun.

        `data` has arrived and is not read yet; `left` are the seconds that a head has which has begun: 0 if
        it is late already.
        """
        transport.set_protocol(self)
        self.connection_made(transport)
        self._head.stop()
        self._head.start(left)
        if writing_paused:
            self.pause_writing()
        self.data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head.stop()
        self.writable.set()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.writable.clear()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.writable.set()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp calls this for each body read, paused or not: a parser run and a system call for nothing.
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def data_received(self, data: bytes) -> None:
        self._tail = (self._tail + data)[-len(_LAST_CHUNK) :] if len(data) < 64 else data[-len(_LAST_CHUNK) :]
        in_body = not self._body.is_eof()
        try:
            super().data_received(data)
        except Exception as error:  # some targets get past the parser and break yarl: an IndexError
            log.warning("malformed request", extra={"error": type(error).__name__})
            self._refuse(BadFraming(MALFORMED))
            return
        if self._messages:
            self._body = self._messages[-1][1]
        if self._messages or in_body:
            self._head.stop()
            self._break_off_body(len(data))
        elif data and self._payload_parser is None:  # that of a WebSocket
            self._expect_head(len(data))

    def _expect_head(self, size: int) -> None:
        """Bytes of a head that has not ended."""
        self._head.arrived(size)
        if self._head.too_long and self._idle:
            self._refuse(HeadersTooLarge("The request's head is too long."))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """aiohttp would answer and log the offending line, and the API key with it."""
        self._say(fault_of(exc) if status == 400 else InternalError("The gateway failed."))
        self._linger()
        return CLOSED

    def log_exception(self, *args: Any, **kw: Any) -> None:
        error = kw.get("exc_info")
        if isinstance(error, GatewayError):  # the rest of a body that was refused for it
            self._linger()
            return
        log.error("connection failed", extra={"error": type(error).__name__})

    def force_close(self) -> None:
        self.cut_after(FLUSH_SECONDS)
        super().force_close()

    def may_go_on(self, request: web.BaseRequest) -> bool:
        """Whether another request may follow this one, whose body has been read.

        aiohttp's parser keeps the last trailer field of a request and takes it for the first header field of
        the next: which may be another client's, behind a proxy. So behind a body in chunks, only if it is
        certain that there was no trailer.
        """
        if hdrs.TRANSFER_ENCODING not in request.headers:
            return True
        return self._tail == _LAST_CHUNK and not self._messages

    def cut_after(self, seconds: float) -> None:
        """Do not wait longer for a client to take what is left: a closing transport would wait for ever."""
        if self.transport is not None and self.transport.get_write_buffer_size():
            self._loop.call_later(seconds, self.transport.abort)

    @property
    def _idle(self) -> bool:
        """No request is being handled, and none is queued."""
        if self._waiter is None:  # aiohttp's task has not begun to wait, or it handles a request
            return self._request_count == 0
        return not self._waiter.done()

    def _head_is_late(self) -> None:
        if not self._idle:
            if (
                self._head.begun
            ):  # of the next request: it has until this one is answered, and that long again
                self._head.start()
            return
        if self._head.begun:
            self._refuse(RequestTimeout("The request's head did not arrive in time."))
        else:
            # Who only opened a connection may take an answer now for that to the next request.
            self.force_close()

    def _refuse(self, error: GatewayError) -> None:
        """Answer without a request, unless another request's answer is on its way."""
        if self._idle:
            self._say(error)
        self._linger()

    def _linger(self) -> None:
        """Send what was written and then FIN; read on for a while, and forget it (RFC 9112 section 9.6)."""
        transport = self.transport
        if transport is None or transport.is_closing() or not transport.can_write_eof():
            self.force_close()
            return
        self._lingering, self.transport = transport, None
        self.force_close()
        transport.write_eof()
        transport.resume_reading()
        self._loop.call_later(_LINGER_SECONDS, transport.abort)

    async def shutdown(self, timeout: float | None = 15.0) -> None:
        if self._lingering is not None:
            self._lingering.abort()
        await super().shutdown(timeout)

    def _say(self, error: GatewayError) -> None:
        self._refused(error)
        if self.transport is not None:
            self.transport.write(wire.refusal(error, request_id()))

    def _break_off_body(self, size: int) -> None:
        """A body that turns malformed must fail at once: aiohttp only queues the error behind its request.

        So must one that goes on for long and carries nothing.
        """
        if self._messages and not isinstance(self._messages[-1][0], RawRequestMessage):
            request = self._current_request
            if request is not None and not request.content.is_eof():
                request.content.set_exception(fault_of(self._messages[-1][0].exc))
            return
        # While reading is paused, some of what has arrived is not parsed yet.
        if self._overhead.is_too_much(self._body, size) and not self._reading_paused:
            self._body.set_exception(BadFraming(MALFORMED))
            self.close()  # once what is being handled is answered; nothing more is read


def bound_kernel_buffer(transport: asyncio.BaseTransport) -> None:
    """Let the kernel hold little that is unsent: else a stalled client pins megabytes there (tcp(7))."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, HIGH_WATER)
