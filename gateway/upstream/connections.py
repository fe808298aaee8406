"""The gateway's own connections to one upstream: those that wait for a request, and new ones."""

import asyncio

from gateway.upstream import failures
from gateway.upstream.connection import Connection
from gateway.upstream.failures import Failure
from gateway.upstream.provider import Provider
from gateway.upstream.reaching import reach


class Connections:
    """There is no bound: streams are long, and the 101st would wait behind a hundred of them in silence.

    The one that was used last is used next, and what nobody has used for `keepalive` seconds is closed.
    """

    def __init__(self, provider: Provider, keepalive: float) -> None:
        self.loop = asyncio.get_running_loop()
        self._url = provider.base
        self._connecting = min(provider.connecting, provider.first_byte)
        self._patience = min(provider.idle, provider.first_byte)
        self._keepalive = keepalive
        self._idle: dict[Connection, float] = {}  # since when, in loop time; the last one is the youngest
        self._all: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def take(self, now: float) -> Connection | None:
        """An idle one, if there is any that is alive."""
        while self._idle:
            connection, since = self._idle.popitem()
            if now - since < self._keepalive and connection.is_quiet():
                return connection
            connection.cut()
        return None

    async def connect(self) -> Connection | Failure:
        """A new one, or why there is none."""
        try:
            async with asyncio.timeout(self._connecting):
                connection = await reach(self._url, self._make)
        except Exception as error:
            return failures.while_reaching(error)
        if self._closed:
            connection.cut()
        elif not connection.is_closing():
            # Not when it is made: uvloop tells nobody of the end of a connection that is cancelled here.
            self._all.add(connection)
        return connection

    def _make(self) -> Connection:
        return Connection(self, self._patience)

    def put(self, connection: Connection) -> None:
        """It waits for its next request."""
        self._idle[connection] = self.loop.time()
        if self._sweeper is None:
            self._sweeper = self.loop.call_later(self._keepalive, self._sweep)

    def forget(self, connection: Connection) -> None:
        """It has ended. Called again it does nothing."""
        self._idle.pop(connection, None)
        self._all.discard(connection)

    def _sweep(self) -> None:
        """One timer for all: close what has waited too long, and look again when the oldest will have."""
        self._sweeper = None
        oldest = self.loop.time() - self._keepalive
        for connection in [one for one, since in self._idle.items() if since <= oldest]:
            connection.cut()
        for since in self._idle.values():
            self._sweeper = self.loop.call_at(since + self._keepalive, self._sweep)
            break

    async def close(self) -> None:
        """Cut all of them, those of running answers included."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._all):
            connection.cut()
        await asyncio.sleep(0)  # a transport lets go of its socket a turn later

    def __repr__(self) -> str:
        return f"<Connections: {len(self._all)}, {len(self._idle)} of them idle>"
