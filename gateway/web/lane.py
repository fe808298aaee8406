"""The lane: a small HTTP server in front of aiohttp's, for requests that generate.

It reads what is plain, and answers it with a quarter of the work. Whatever else a client sends, it is handed
over with its connection before any of it was consumed: malformed, odd, too large, late, another path, a
gateway that ends. So there is one place for refusals, and the lane has no words of its own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp.tcp_helpers import tcp_keepalive, tcp_nodelay

from gateway.exchange import ClientGone, Downstream
from gateway.settings import Server as ServerSettings
from gateway.web.call import refuse
from gateway.web.connection import (
    FLUSH_SECONDS,
    HIGH_WATER,
    IDLE_SECONDS,
    Connection,
    bound_kernel_buffer,
)
from gateway.web.deadline import Deadline
from gateway.web.failing import failure, note
from gateway.web.lanebody import LaneBody
from gateway.web.lanedownstream import LaneDownstream
from gateway.web.lanehead import Head, Heads, NoHead
from gateway.web.requestids import request_id

_LINGER_SECONDS = 2.0  # for the rest of a body that was refused
_AHEAD = 64 * 1024  # bytes that may have been read before anybody wants them

# Answers one request, by its id: its head, its client's address, its body, and where the answer goes.
Enter = Callable[[str, Head, str, Callable[[], Awaitable[bytes]], Downstream], Awaitable[None]]


class Lanes:
    """What the lanes of one listener have in common. `aside` makes what a connection is handed over to."""

    __slots__ = ("aside", "closing", "enter", "open", "settings")

    def __init__(
        self,
        enter: Enter,
        settings: ServerSettings,
        closing: Callable[[], bool],
        aside: Callable[[], Connection],
    ) -> None:
        self.enter = enter
        self.settings = settings
        self.closing = closing
        self.aside = aside
        self.open: set[Lane] = set()


class Lane(asyncio.Protocol):
    """One connection, until it ends or is handed over. At most one of its requests is answered at a time;
    what follows it waits, within bounds."""

    __slots__ = (
        "_body",
        "_clock",
        "_ending",
        "_heads",
        "_lanes",
        "_lingering",
        "_loop",
        "_peer",
        "_reading",
        "_task",
        "_timed",
        "_unread",
        "transport",
        "writable",
        "writing_paused",
    )

    def __init__(self, lanes: Lanes, loop: asyncio.AbstractEventLoop) -> None:
        self._lanes = lanes
        self._loop = loop
        self._heads = Heads()
        self._clock = Deadline(loop, self._is_late)
        self._peer = ""
        self._unread = b""  # what has arrived and belongs to no request yet
        self._body: LaneBody | None = None  # of the request that is answered
        self._task: asyncio.Task[None] | None = None  # answers it
        self._timed = True  # the clock runs for a head, and not for the silence between two
        self._reading = True
        self._ending = False  # no request follows the one that is answered
        self._lingering = False  # the last answer has been written, and the client still sends
        self.transport: asyncio.Transport | None = None
        self.writing_paused = False
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = made = cast(asyncio.Transport, transport)
        tcp_nodelay(made, True)
        tcp_keepalive(made)
        made.set_write_buffer_limits(high=HIGH_WATER)
        bound_kernel_buffer(made)
        address = made.get_extra_info("peername")
        self._peer = address[0] if isinstance(address, tuple) else ""
        self._lanes.open.add(self)
        self._clock.set(self._lanes.settings.header_timeout)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.transport = None
        self._clock.stop()
        self.writable.set()
        # Not when the request is over: one that is cancelled before its first step never says so.
        self._lanes.open.discard(self)
        if self._task is None:
            self._body = None
        else:
            self._task.cancel()

    def pause_writing(self) -> None:
        self.writing_paused = True
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writing_paused = False
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            self._pass_over(data)
            return
        body = self._body
        if body is not None and body.missing:
            data = body.feed(data)
        self._unread = self._unread + data if self._unread else data
        if self._task is None:
            self._read_on()
        else:
            self._hold_back()

    def _read_on(self) -> None:
        """Nothing is being answered: look at what is here."""
        lanes, data = self._lanes, self._unread
        if not data:
            self._timed = False
            self._clock.set(IDLE_SECONDS)
        elif (head := self._heads.read(data)) is NoHead.UNFINISHED:
            self._expect_head()
        elif isinstance(head, NoHead) or head.length > lanes.settings.max_body or lanes.closing():
            self._hand_over()
            return
        else:
            self._begin(head, data)
        self._hold_back()

    def _expect_head(self) -> None:
        """Some of one is here. Its time runs from its first bytes on, or from the connection's beginning."""
        if not self._timed:
            self._timed = True
            self._clock.set(self._lanes.settings.header_timeout)

    def _begin(self, head: Head, data: bytes) -> None:
        self._timed = False
        self._clock.clear()
        end = head.size + head.length
        self._unread = data[end:]
        patience = self._lanes.settings.body_timeout
        self._body = body = LaneBody(head.length, data[head.size : end], patience, self._hold_back)
        # Not one of runtime's: as a connection's own, it ends with its client.
        self._task = self._loop.create_task(self._serve(head, body), name="request")

    async def _serve(self, head: Head, body: LaneBody) -> None:
        lanes, name = self._lanes, request_id()
        downstream = LaneDownstream(self, name, lanes.settings.write_timeout, head.keep_alive, self._ends)
        try:
            try:
                await lanes.enter(name, head, self._peer, body.read, downstream)
                if not downstream.begun:
                    await refuse(downstream, failure(name))
            except ClientGone:
                raise
            except Exception as bug:
                note(name, bug)
                await refuse(downstream, failure(name))
        except ClientGone:
            pass  # it is told nothing; its connection is gone
        except asyncio.CancelledError:
            self.force_close()
            raise
        finally:
            self._is_over(downstream.kept())

    def _ends(self) -> bool:
        """Is the response that begins now the last one?"""
        # An unread body would be taken for the next request.
        return self._ending or self._lanes.closing() or (self._body is not None and self._body.missing > 0)

    def _is_over(self, kept: bool) -> None:
        self._task = None
        if self.transport is None:
            self._body = None
        elif not kept or self._ending:
            self._end(self.transport)
        else:
            self._body = None
            self._read_on()

    def _end(self, transport: asyncio.Transport) -> None:
        """The last answer has been written."""
        self._unread = b""
        if transport.is_closing():
            return
        if self._body is None or not self._body.missing:
            transport.close()
            return
        # To close on what the client still sends would reset the answer (RFC 9112 section 9.6).
        self._lingering = True
        transport.write_eof()
        self._body.drop()
        self._hold_back()
        self._loop.call_later(_LINGER_SECONDS, transport.abort)

    def _pass_over(self, data: bytes) -> None:
        body, transport = self._body, self.transport
        assert body is not None
        body.feed(data)
        body.drop()
        if not body.missing and transport is not None:
            transport.close()

    def _hold_back(self) -> None:
        """Read on, or not, by what is here and nobody has asked for."""
        body, transport = self._body, self.transport
        ahead = len(self._unread)
        if body is not None and body.missing and not (body.asked or self._lingering):
            ahead += body.size
        if transport is None or self._reading == (ahead <= _AHEAD):
            return
        self._reading = not self._reading
        if self._reading:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def _is_late(self) -> None:
        if self._unread:
            self._hand_over()
        else:
            self.force_close()

    def _hand_over(self) -> None:
        """From here on this connection is aiohttp's; nothing of what it is given was consumed."""
        transport, data = self.transport, self._unread
        if transport is None or transport.is_closing():
            return
        left = self._clock.left if self._timed else self._lanes.settings.header_timeout
        self._clock.stop()
        self._lanes.open.discard(self)
        self.transport, self._unread = None, b""
        if not self._reading:
            transport.resume_reading()
        self._lanes.aside().take(transport, data, left or 0.0, writing_paused=self.writing_paused)

    def cut_after(self, seconds: float) -> None:
        """Do not wait longer for a client to take what is left: a closing transport would wait for ever."""
        if self.transport is not None and self.transport.get_write_buffer_size():
            self._loop.call_later(seconds, self.transport.abort)

    def force_close(self) -> None:
        """End with what has been written."""
        self.cut_after(FLUSH_SECONDS)
        if self.transport is not None:
            self.transport.close()

    def close(self) -> None:
        """End with the response that is under way, or now if there is none."""
        self._ending = True
        if self._task is None and not self._lingering:
            self.force_close()

    async def shutdown(self, seconds: float) -> None:
        """Wait so long for the request that is answered; then it is cancelled, and the connection ends."""
        self._ending = True
        task = self._task
        if task is not None:
            await asyncio.wait((task,), timeout=seconds)
            task.cancel()
            await asyncio.wait((task,), timeout=seconds)
        if self.transport is not None and self._lingering:
            self.transport.abort()
        self.force_close()

    def __repr__(self) -> str:
        state = "answers" if self._task is not None else "waits"
        return f"<Lane {'closed' if self.transport is None else state}, {len(self._unread)} bytes unread>"
