"""An answer on its way in, on a connection of the gateway's own."""

import asyncio
from typing import NoReturn, Protocol, Self

from multidict import CIMultiDict

from gateway.exchange import Outbound, Taker
from gateway.upstream import failures
from gateway.upstream.failures import Failure
from gateway.upstream.heads import is_conditional
from gateway.upstream.provider import Provider

# nginx: two buffers of 4-64 kB per connection. What a slow client may make us hold, besides the kernel's
# share.
READ_BUFFER = 2**16
_NO_HEADERS: CIMultiDict[str] = CIMultiDict()


class Source(Protocol):
    """The connection that an answer comes from, as long as it does."""

    def go_on(self) -> None:
        """What it has brought was taken: it may bring more."""
        ...

    def drop(self) -> None:
        """Nobody waits for the answer any more: cut."""
        ...


class Arrival:
    """One answer. `head` waits for its beginning; then it is its own body, read once, by one reader.

    The connection writes `status` (0: the head is not known yet), `headers`, `parts`, `held` and, by `end`,
    how it ended; whoever reads never speaks to the connection but by `go_on` and `drop`. The upstream's time
    runs from `since`, in loop time, and not while that is None: a client that reads slowly is no fault of
    the upstream's. The call is concluded once, when the body has been read to its end, or closed before.
    """

    __slots__ = (
        "_concluded",
        "_failure",
        "_loop",
        "_provider",
        "_taker",
        "_waiter",
        "headers",
        "held",
        "parts",
        "since",
        "source",
        "status",
    )

    def __init__(self, provider: Provider, loop: asyncio.AbstractEventLoop, since: float) -> None:
        self._provider = provider
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._taker: Taker | None = None
        self._failure: Failure | None = None
        self._concluded = False
        self.since: float | None = since
        self.source: Source | None = None  # None: nothing more comes
        self.status = 0
        self.headers = _NO_HEADERS
        self.parts: list[bytes] = []
        self.held = 0  # bytes that have come on the wire since the reader last took some

    # ---- the connection's side --------------------------------------------------------------------------

    def patience(self) -> float:
        """Seconds that the upstream has, from `since`."""
        return self._provider.idle if self.status else self._provider.first_byte

    def wake(self) -> None:
        """There is news: for the taker, or else for the reader."""
        waiter = self._waiter
        if waiter is None:
            return
        if waiter.done():  # it is, when the reader has been cancelled
            self._waiter = None
        elif self._taker is None or not self.parts or self.source is None or not self._taken(waiter):
            self._waiter = None
            waiter.set_result(None)

    def _taken(self, waiter: asyncio.Future[None]) -> bool:
        """Has the taker what has come? Its fault is its reader's, who has to end all this."""
        parts, taker = self.parts, self._taker
        assert taker is not None
        try:
            if not taker(parts[0] if len(parts) == 1 else b"".join(parts)):
                return False
        except Exception as bug:
            self._waiter = None
            waiter.set_exception(bug)
            return True
        self._emptied()
        self.since = self._loop.time()
        return True

    def end(self, failure: Failure | None) -> None:
        """Nothing more comes: the answer is complete, or broke off so."""
        self.source = self._taker = None
        self._failure = failure
        self.wake()

    # ---- the reader's side ------------------------------------------------------------------------------

    def wait(self) -> asyncio.Future[None]:
        """Until the connection has news, or ends. Not a coroutine: that would be one more per request."""
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def refused(self, request: Outbound) -> Failure | None:
        """The failure instead of an answer, which is over with it."""
        status = self.status
        if 200 <= status < 300 or 400 <= status < 600:
            return None
        if not status:
            return self._failure
        failure = failures.of_status(status, conditional=is_conditional(request))
        if failure is not None:
            self.abandon()
        return failure

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self.parts:
            if self.source is None:
                self._over()
            self.since = self._loop.time()
            try:
                await self.wait()
            finally:
                self.since = None
        return self._take()

    def hand_on(self, taker: Taker | None) -> None:
        """Who takes from now on what comes while the reader waits."""
        self._taker = taker

    def _over(self) -> NoReturn:
        failure, self._failure = self._failure, None
        self._conclude(failure)
        if failure is None:
            raise StopAsyncIteration
        raise failure.of(self._provider.name)

    def _take(self) -> bytes:
        parts = self.parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self._emptied()
        return data

    def _emptied(self) -> None:
        self.parts.clear()
        if self.held > READ_BUFFER and self.source is not None:
            self.source.go_on()
        self.held = 0

    def abandon(self) -> None:
        """Cut the connection, where the answer is not complete yet."""
        source, self.source = self.source, None
        self._taker = None
        if source is not None:
            source.drop()

    def close(self) -> None:
        """Let go of the connection, which an answer read to its end has done already; say how it ended."""
        self.abandon()
        self.parts.clear()
        self._failure = None
        self._conclude(None)

    def _conclude(self, failure: Failure | None) -> None:
        if self._concluded:
            return
        self._concluded = True
        if failure is None:
            self._provider.answered(self.status)
        else:
            self._provider.failed(failure)

    def __repr__(self) -> str:
        state = "over" if self.source is None else "coming"
        return f"<Arrival {self.status or 'asked'} from {self._provider.name}, {state}>"
