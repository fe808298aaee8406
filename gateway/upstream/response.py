"""An answer's body on its way in."""

import asyncio
from collections.abc import Callable
from typing import Self

import aiohttp

from gateway.upstream import failures
from gateway.upstream.failures import Failure
from gateway.upstream.relay import Relay
from gateway.upstream.sending import Sending


class ReplyBody:
    """The bytes of one answer, as they come from the socket. Read once, by one reader; always closed.

    Read to its end, the connection goes back to the pool; closed before, it is cut, which is how an upstream
    learns to stop generating. `conclude` is called once, with the failure that ended it or None.

    The idle limit counts only while somebody waits for the upstream: a client that reads slowly is no fault
    of the upstream's. One timer serves the whole answer and looks back when it fires, because a timer per
    chunk costs more than the chunk.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        upstream: str,
        idle: float,
        conclude: Callable[[Failure | None], None],
        sending: Sending | Relay | None = None,
    ) -> None:
        self._response = response
        self._upstream = upstream
        self._idle = idle
        self._conclude = conclude
        self._sending = sending
        self._loop = asyncio.get_running_loop()
        self._waiting: float | None = None  # since when, in loop time
        self._stalled = False
        self._over = False
        self._timer = self._loop.call_later(idle, self._look_back)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._over:
            raise StopAsyncIteration
        self._waiting = self._loop.time()
        try:
            data = await self._response.content.readany()
        except Exception as error:
            if self._sending is not None and self._sending.error is not None:
                self._end(None)
                raise self._sending.error from None
            failure: Failure | None = failures.STALLED if self._stalled else failures.while_reading(error)
        except BaseException:
            self._waiting = None  # cancelled: whoever let it be read decides about the rest
            raise
        else:
            self._waiting = None
            if data:
                return data
            failure = None
        self._end(failure)
        raise StopAsyncIteration if failure is None else failure.of(self._upstream)

    def close(self) -> None:
        """Let go of the connection. Called again it does nothing."""
        self._end(None)

    def _end(self, failure: Failure | None) -> None:
        if self._over:
            return
        self._over = True
        self._timer.cancel()
        self._response.close()  # a body that was read to its end has given its connection back before
        self._conclude(failure)

    def _look_back(self) -> None:
        now = self._loop.time()
        due = (now if self._waiting is None else self._waiting) + self._idle
        if due > now:
            self._timer = self._loop.call_at(due, self._look_back)
            return
        self._stalled = True
        self._response.close()  # wakes the reader

    def __repr__(self) -> str:
        return f"<ReplyBody from {self._upstream}, {'over' if self._over else 'open'}>"
