"""One connection, many callers: commands leave in the order of the calls, one write per loop tick."""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast

import hiredis

from gateway.errors import StoreUnavailable

GRACE = 0.02  # seconds: long enough for an answer to what a busy loop wrote late

RETRY_MS = (1000, 2000)  # attempts to connect are a second apart at most; clients shall not return as a herd

# What a healthy server says while it cannot serve; anything else that it refuses is our mistake or its setup.
_UNREADY = {
    "ASK": "The quota store is moving these keys to another node.",
    "BUSY": "The quota store is busy with a script that takes too long.",
    "CLUSTERDOWN": "The quota store's cluster does not serve all of its slots.",
    "LOADING": "The quota store is still reading its data.",
    "MASTERDOWN": "The quota store has lost its master.",
    "MISCONF": "The quota store cannot write to its disk.",
    "MOVED": "The quota store is moving these keys to another node.",
    "NOREPLICAS": "The quota store has too few replicas to accept a write.",
    "OOM": "The quota store is out of memory.",
    "READONLY": "The quota store is read-only: it is a replica.",
    "TRYAGAIN": "The quota store is moving these keys to another node.",
}
_REDIRECTIONS = ("ASK", "MOVED")


class ReplyError(StoreUnavailable):
    """The server answered with an error. `kind` is its first word; its text stays out of the message."""

    def __init__(self, text: str) -> None:
        self.kind = text.partition(" ")[0]
        self.text = text
        super().__init__(_UNREADY.get(self.kind, "The quota store refused a command."), retry_ms=retry_ms())

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


def retry_ms(earliest: float = 0.0) -> int:
    """When trying again helps: after the next attempt to connect, which is `earliest` ms away."""
    shortest, longest = RETRY_MS
    return int(random.uniform(max(shortest, earliest), longest))  # noqa: S311


class Receiver(Protocol):
    """Where a reply goes: a future, or what stands in for one."""

    def done(self) -> bool: ...

    def set_result(self, reply: Any, /) -> None: ...

    def set_exception(self, error: BaseException, /) -> None: ...

    def exception(self) -> BaseException | None:
        """Looked at once, so that an error counts as retrieved."""
        ...


def failed(message: str, earliest: float = 0.0) -> asyncio.Future[Any]:
    """A call that failed at once."""
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    fail(future, message, earliest)
    return future


def fail(future: Receiver, message: str, earliest: float = 0.0) -> None:
    """Unless it has ended already."""
    if not future.done():
        future.set_exception(StoreUnavailable(message, retry_ms=retry_ms(earliest)))
        future.exception()  # counts as retrieved: whoever was cancelled never looks


def _stay(error: ReplyError, packed: bytes, future: Any) -> bool:
    return False


Redirected = Callable[[ReplyError, bytes, Any], bool]


class Wire(asyncio.Protocol):
    """The protocol of one connection. `call` after the end fails at once; nothing is ever sent twice.

    A call may be cancelled at any time: its reply is still read, and dropped. The oldest call that waits
    longer than `deadline` seconds ends the connection, since replies come in order. `lost` is called once,
    at the end, with the reason in words. `redirected` may take over a call that the server did not execute
    because another one serves its key (MOVED, ASK).
    """

    def __init__(
        self,
        deadline: float,
        lost: Callable[["Wire", str], None],
        refused: Callable[[ReplyError], None] = lambda error: None,
        redirected: Redirected = _stay,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline = deadline
        self._lost = lost
        self._refused = refused
        self._redirected = redirected
        self._reader = hiredis.Reader(replyError=error_of)
        self._pending: deque[tuple[Receiver, float, bytes]] = deque()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._suspect: Receiver | None = None
        self._ended = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own is no subclass

    @property
    def ended(self) -> str:
        """Why the connection ended, in words; empty while it lives."""
        return self._ended

    def call(self, *command: str | bytes | int) -> asyncio.Future[Any]:
        """Queue a command. The future's result is the reply; its exception a `StoreUnavailable`."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self.send(pack(command), future)
        return future

    def send(self, packed: bytes, future: Receiver) -> None:
        """`call` for a command that is packed already, and for what waits for its reply already."""
        if self._ended:
            fail(future, self._ended)
            return
        if not self._out:
            self._loop.call_soon(self.flush)
        self._out.append(packed)
        self._pending.append((future, self._loop.time(), packed))
        if self._timer is None:
            self._timer = self._loop.call_later(self._deadline, self._watch)

    @property
    def idle(self) -> bool:
        """Nothing waits for a reply."""
        return not self._pending

    def flush(self) -> None:
        """Write what is queued now, not at the end of the loop's tick."""
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def data_received(self, data: bytes) -> None:
        reader, pending = self._reader, self._pending
        try:
            reader.feed(data)
            while not self._ended and (reply := reader.gets()) is not False:
                future, _, packed = pending.popleft()
                if isinstance(reply, ReplyError):
                    if reply.kind in _REDIRECTIONS and self._redirected(reply, packed, future):
                        continue
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
        oldest, since, _ = self._pending[0]
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
            fail(self._pending.popleft()[0], reason)
        self._lost(self, reason)

    def __repr__(self) -> str:
        return f"<Wire {self._ended or 'open'}, {len(self._pending)} waiting>"
