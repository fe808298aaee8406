"""One connection, many callers: commands leave in the order of the calls, one write per loop tick."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis

from gateway.errors import StoreUnavailable

GRACE = 0.02  # seconds: long enough for an answer to what a busy loop wrote late

# What a healthy server says while it cannot serve; anything else that it refuses is our mistake or its setup.
_UNREADY = frozenset(
    ("BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN")
)


class ReplyError(StoreUnavailable):
    """The server answered with an error. `kind` is its first word; its text stays out of the message."""

    def __init__(self, text: str) -> None:
        super().__init__("The quota store refused a command.")
        self.kind = text.partition(" ")[0]
        self.text = text

    @property
    def unready(self) -> bool:
        """It may pass without anybody changing anything."""
        return self.kind in _UNREADY


class NoScript(ReplyError):
    """The server does not know the script: it did not run."""


def error_of(text: str) -> ReplyError:
    return NoScript(text) if text.startswith("NOSCRIPT") else ReplyError(text)


def pack(command: tuple[str | bytes | int, ...]) -> bytes:
    """A command as it is sent (RESP2, which every server speaks)."""
    packed: bytes = hiredis.pack_command(cast("Any", command))
    return packed


def failed(message: str) -> asyncio.Future[Any]:
    """A call that failed at once."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    _fail(future, message)
    return future


def _fail(future: asyncio.Future[Any], message: str) -> None:
    if not future.done():
        future.set_exception(StoreUnavailable(message))
        future.exception()  # counts as retrieved: whoever was cancelled never looks


class Wire(asyncio.Protocol):
    """The protocol of one connection. `call` after the end fails at once; nothing is ever sent twice.

    A call may be cancelled at any time: its reply is still read, and dropped. The oldest call that waits
    longer than `deadline` seconds ends the connection, since replies come in order. `lost` is called once,
    at the end, with the reason in words.
    """

    def __init__(
        self,
        deadline: float,
        lost: Callable[["Wire", str], None],
        refused: Callable[[ReplyError], None] = lambda error: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = deadline
        self._lost = lost
        self._refused = refused
        self._reader = hiredis.Reader(replyError=error_of)
        self._pending: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._suspect: asyncio.Future[Any] | None = None
        self._ended = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    @property
    def ended(self) -> str:
        """Why the connection ended, in words; empty while it lives."""
        return self._ended

    def call(self, *command: str | bytes | int) -> asyncio.Future[Any]:
        """Queue a command. The future's result is the reply; its exception a `StoreUnavailable`."""
        if self._ended:
            return failed(self._ended)
        future: asyncio.Future[Any] = self._loop.create_future()
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(pack(command))
        self._pending.append((future, self._loop.time()))
        if self._timer is None:
            self._timer = self._loop.call_later(self._deadline, self._watch)
        return future

    def flush(self) -> None:
        """Write what is queued now, not at the end of the loop's tick."""
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def data_received(self, data: bytes) -> None:
        reader, pending = self._reader, self._pending
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not False:
                future, _ = pending.popleft()
                if isinstance(reply, ReplyError):
                    self._refused(reply)
                    if not future.done():
                        future.set_exception(reply)
                        future.exception()
                elif not future.done():
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError):
            self.end("The quota store does not speak the Redis protocol.")

    def _watch(self) -> None:
        """Look at the oldest call.

        It is given up only if it is still the oldest a moment later: a loop that was busy for long may have
        written it only now.
        """
        self._timer = None
        if not self._pending:
            return
        oldest, since = self._pending[0]
        left = since + self._deadline - self._loop.time()
        if left <= 0 and oldest is self._suspect:
            self.end("The quota store did not answer in time.")
            return
        self._suspect = oldest if left <= 0 else None
        self._timer = self._loop.call_later(max(left, GRACE), self._watch)

    def connection_lost(self, exc: Exception | None) -> None:
        self.end("The quota store closed the connection.")

    def end(self, reason: str) -> None:
        """Close at once; every call that waits fails, as does every later one."""
        if self._ended:
            return
        self._ended = reason
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._out.clear()
        while self._pending:
            _fail(self._pending.popleft()[0], reason)
        self._lost(self, reason)

    def __repr__(self) -> str:
        return f"<Wire {self._ended or 'open'}, {len(self._pending)} waiting>"
