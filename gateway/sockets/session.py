"""One session: two relays and a watch, until somebody ends it."""

import asyncio
import contextlib

from gateway.exchange import ClientGone, ClientStalled, Exchange, Outcome
from gateway.runtime import Gateway
from gateway.sockets.ends import CUT_OFF, FAILED, GOING_AWAY, Close, Message, Socket
from gateway.sockets.over import Over, client_now
from gateway.sockets.reader import Reader

# A key that was revoked, a gateway that drains: both are looked for this often.
_TICK_SECONDS = 0.25


class Session:
    """One message is under way in each direction at a time.

    A message is read from one end only after the one before has been taken by the other: a slow reader
    holds the writer back, and no more is kept than the buffers of the two connections.
    """

    def __init__(
        self,
        gateway: Gateway,
        exchange: Exchange,
        client: Socket,
        upstream: Socket,
        reader: Reader,
    ) -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._client = client
        self._upstream = upstream
        self._reader = reader
        self._began = self._heard = gateway.clock.monotonic()
        self._upstream_left = False
        self._farewell = Close(GOING_AWAY)  # for the upstream

    async def run(self) -> None:
        """Relay until the end, and tell the client of it. Sets `outcome`. Raises CancelledError."""
        try:
            async with asyncio.TaskGroup() as group:
                for work in (self._from_client(), self._from_upstream(), self._watch()):
                    group.create_task(work)
        except* Over as overs:
            over = _first(overs)
            self._exchange.error = over.error
            if self._exchange.outcome is Outcome.ABANDONED:
                self._exchange.outcome = Outcome.COMPLETE if over.error is None else Outcome.REFUSED
            await self.end(over.close)
        except* ClientGone as gone:
            stalled = isinstance(gone.exceptions[0], ClientStalled)
            self._exchange.outcome = Outcome.CLIENT_STALLED if stalled else Outcome.CLIENT_GONE

    async def end(self, close: Close) -> None:
        """Close the client's end."""
        with contextlib.suppress(ClientGone):
            await self._client.close(close)

    async def _from_client(self) -> None:
        while True:
            message = await self._client.receive()
            if isinstance(message, Close):
                left = message.code == CUT_OFF
                self._exchange.outcome = Outcome.CLIENT_GONE if left else Outcome.COMPLETE
                self._farewell = message
                raise Over(message)
            self._heard = self._gateway.clock.monotonic()
            sent = await self._reader.outgoing(message)
            if sent is not None:
                await self._to_upstream(sent)

    async def _to_upstream(self, message: Message) -> None:
        try:
            await self._upstream.send(message)
        except ClientGone:
            self._lost()

    async def _from_upstream(self) -> None:
        while True:
            message = await self._upstream.receive()
            if isinstance(message, Close):
                self._upstream_left = True
                if message.code == CUT_OFF:
                    self._lost()
                self._exchange.outcome = Outcome.COMPLETE
                raise Over(message)
            self._heard = self._gateway.clock.monotonic()
            await self._reader.incoming(message)
            self._exchange.bytes_out += len(message.data)
            await self._client.send(message)

    def _lost(self) -> None:
        self._upstream_left = True
        self._exchange.outcome = Outcome.TRUNCATED
        raise Over(Close(FAILED, "the upstream broke off"))

    async def _watch(self) -> None:
        settings = self._gateway.settings.realtime
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now = self._gateway.clock.monotonic()
            client_now(self._gateway, self._exchange)
            if now - self._began >= settings.max_session:
                raise Over(Close(GOING_AWAY, "the session has lasted as long as it may"))
            if now - self._heard >= settings.idle_timeout:
                raise Over(Close(GOING_AWAY, "both sides were silent for too long"))
            if self._gateway.draining and self._reader.idle:
                raise Over(Close(GOING_AWAY, "draining"))

    async def finish(self) -> None:
        """What follows the end, off the client's time: what a cancelled response used is still waited for."""
        try:
            if not self._reader.idle and not self._upstream_left:
                with contextlib.suppress(ClientGone, Over, TimeoutError):
                    async with asyncio.timeout(self._gateway.settings.server.usage_wait):
                        await self._last_words()
        finally:
            self._reader.abandon(self._exchange.outcome)
            await self._upstream.close(self._farewell)

    async def _last_words(self) -> None:
        waiting = await self._reader.cancel()
        while waiting and not self._reader.idle:
            message = await self._upstream.receive()
            if isinstance(message, Close):
                return
            await self._reader.incoming(message)

    def __repr__(self) -> str:
        return f"<Session {self._exchange.id} {'idle' if self._reader.idle else 'busy'}>"


def _first(group: BaseExceptionGroup[Over]) -> Over:
    found = group.exceptions[0]
    return found if isinstance(found, Over) else _first(found)
