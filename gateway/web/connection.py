"""One client connection: aiohttp's protocol, with what it leaves open closed.

What is overridden was measured on aiohttp 3.14.5; `tests/web/test_connection.py` holds each of it.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage

from gateway.errors import BadFraming, GatewayError, InternalError, RequestTimeout
from gateway.web import wire

log = logging.getLogger("gateway")

HIGH_WATER = 64 * 1024  # bytes waiting for a slow client before writers wait too
_FLUSH_SECONDS = 5.0  # for what was written before a connection is ended
_MALFORMED = "The HTTP message is malformed."

Refused = Callable[[GatewayError], None]


class Sent(web.StreamResponse):
    """Tells aiohttp that the response has been written, and whether the connection may live on."""

    def __init__(self, keep_alive: bool) -> None:
        super().__init__()
        self._lives = keep_alive

    @property
    def keep_alive(self) -> bool:
        return self._lives

    async def prepare(self, request: web.BaseRequest) -> None:
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        return None


KEPT = Sent(keep_alive=True)
CLOSED = Sent(keep_alive=False)


class Connection(web.RequestHandler):
    """Adds a deadline for heads, silence about malformed bytes, and a write side that can be waited for."""

    __slots__ = ("_head_begun", "_head_timeout", "_head_timer", "_refused", "writable")

    def __init__(self, manager: web.Server, *, head_timeout: float, refused: Refused, **options: Any) -> None:
        super().__init__(manager, **options)
        self._head_timeout = head_timeout  # seconds
        self._refused = refused
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_begun = False
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        cast(asyncio.Transport, transport).set_write_buffer_limits(high=HIGH_WATER)
        _bound_kernel_buffer(transport)
        self._await_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_head_timer()
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
        try:
            super().data_received(data)
        except Exception as error:  # some targets get past the parser and break yarl: an IndexError
            log.warning("malformed request", extra={"error": type(error).__name__})
            self._refuse(BadFraming(_MALFORMED))
            return
        if self._idle:
            self._head_begun = self._head_begun or bool(data)
            if self._head_timer is None:
                self._await_head()
        else:
            self._stop_head_timer()
        self._break_off_body()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """aiohttp would answer and log the offending line, and the API key with it."""
        self._say(BadFraming(_MALFORMED) if status == 400 else InternalError("The gateway failed."))
        return CLOSED

    def log_exception(self, *args: Any, **kw: Any) -> None:
        error = kw.get("exc_info")
        log.error("connection failed", extra={"error": type(error).__name__})

    def force_close(self) -> None:
        self.cut_after(_FLUSH_SECONDS)
        super().force_close()

    def cut_after(self, seconds: float) -> None:
        """Do not wait longer for a client to take what is left: a closing transport would wait for ever."""
        if self.transport is not None and self.transport.get_write_buffer_size():
            self._loop.call_later(seconds, self.transport.abort)

    @property
    def _idle(self) -> bool:
        """No request is being handled, and none is queued."""
        return self._waiter is not None and not self._waiter.done()

    def _await_head(self) -> None:
        self._head_timer = self._loop.call_later(self._head_timeout, self._head_is_late)

    def _stop_head_timer(self) -> None:
        self._head_begun = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self._idle:
            return
        if self._head_begun:
            self._refuse(RequestTimeout("The request's head did not arrive in time."))
        else:
            # Who only opened a connection may take an answer now for that to the next request.
            self.force_close()

    def _refuse(self, error: GatewayError) -> None:
        """Answer without a request, unless another request's answer is on its way."""
        if self._idle:
            self._say(error)
        self.force_close()

    def _say(self, error: GatewayError) -> None:
        self._refused(error)
        if self.transport is not None:
            self.transport.write(wire.refusal(error, secrets.token_hex(16)))

    def _break_off_body(self) -> None:
        """A body that turns malformed must fail at once: aiohttp only queues the error behind its request."""
        request = self._current_request
        if request is None or not self._messages or request.content.is_eof():
            return
        if not isinstance(self._messages[-1][0], RawRequestMessage):
            request.content.set_exception(BadFraming(_MALFORMED))


def _bound_kernel_buffer(transport: asyncio.BaseTransport) -> None:
    """Let the kernel hold little that is unsent: else a stalled client pins megabytes there (tcp(7))."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX and hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, HIGH_WATER)
