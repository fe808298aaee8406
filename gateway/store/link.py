"""A connection that comes back: reconnects for ever, and while it is down every call fails at once."""

import asyncio
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.store.address import Address, StoreMisconfigured
from gateway.store.wire import ReplyError, Wire, failed

log = logging.getLogger("gateway")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between attempts to connect
SETTLED = 1.0  # a connection that lived this long was a good one: the next pause is short again

Spawn = Callable[[Coroutine[Any, Any, Any], str], "asyncio.Task[Any]"]
Greet = Callable[[Wire], Awaitable[None]]


async def _nothing(wire: Wire) -> None:
    pass


class Link:
    """One server, one connection, many callers.

    `call` queues a command and returns its future at once; it fails with `StoreUnavailable` after `deadline`
    seconds, or at once while the server is known to be down. No command is ever repeated. `greet` prepares
    each new connection before anybody may use it.
    """

    def __init__(
        self, address: Address, *, deadline: float, spawn: Spawn, greet: Greet = _nothing, name: str = "store"
    ) -> None:
        self._address = address
        self._context: ssl.SSLContext | None = address.context()
        self._deadline = deadline
        self._spawn = spawn
        self._greet = greet
        self._name = name
        self._wire: Wire | None = None
        self._down = asyncio.Event()
        self._reason = "The quota store is not reachable."
        self._complaints: set[str] = set()
        self._keeper: asyncio.Task[Any] | None = None

    async def open(self) -> None:
        """Connect, or else start to keep trying. Raises StoreMisconfigured where trying again cannot help."""
        try:
            await self._connect()
        except StoreMisconfigured:
            raise
        except _FAILURES as error:
            self._reason = _words(error)
            log.warning("%s is down", self._name, extra={"error": type(error).__name__})
        self._keeper = self._spawn(self._keep(), f"{self._name} link")

    @property
    def up(self) -> bool:
        return self._wire is not None

    def call(self, *command: str | bytes | int) -> asyncio.Future[Any]:
        wire = self._wire
        return failed(self._reason) if wire is None else wire.call(*command)

    def flush(self) -> None:
        """Write what is queued at once."""
        if self._wire is not None:
            self._wire.flush()

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._wire is not None:
            wire, self._wire = self._wire, None
            wire.end("The quota store has been closed.")

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause, since = FIRST_PAUSE, loop.time()
        while True:
            if self._wire is not None:
                since = loop.time()
                await self._down.wait()
                if loop.time() - since >= SETTLED:
                    pause = FIRST_PAUSE
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(2 * pause, LONGEST_PAUSE)
            await self._try_again()

    async def _try_again(self) -> None:
        try:
            await self._connect()
        except StoreMisconfigured as error:
            self._complain("misconfigured", str(error))
        except _FAILURES as error:
            self._reason = _words(error)
        else:
            self._complaints.clear()
            log.info("%s is up again", self._name)

    async def _connect(self) -> None:
        """One attempt. It may take longer than a call: with TLS it is half a dozen round trips."""
        wire: Wire | None = None
        try:
            async with asyncio.timeout(max(1.0, 4 * self._deadline)):
                wire = await self._dial()
                await self._introduce(wire)
                await self._greet(wire)
            if wire.ended:
                raise StoreUnavailable(wire.ended)
        except BaseException:
            if wire is not None:
                wire.end("The quota store is not ready.")
            raise
        self._down.clear()
        self._wire = wire

    async def _dial(self) -> Wire:
        loop = asyncio.get_running_loop()
        address = self._address
        if address.path:
            return (await loop.create_unix_connection(self._protocol, address.path))[1]
        return (await loop.create_connection(self._protocol, address.host, address.port, ssl=self._context))[
            1
        ]

    def _protocol(self) -> Wire:
        return Wire(self._deadline, self._lost, self._refused)

    async def _introduce(self, wire: Wire) -> None:
        """Credentials and database, in one write. Raises StoreMisconfigured where they are refused."""
        address = self._address
        commands = (*address.introduction(), ("PING",))
        replies = await asyncio.gather(*(wire.call(*command) for command in commands), return_exceptions=True)
        for reply in replies:
            if isinstance(reply, ReplyError) and not reply.unready:
                raise StoreMisconfigured(_refusal(reply, address))
            if isinstance(reply, BaseException):
                raise reply

    def _lost(self, wire: Wire, reason: str) -> None:
        if wire is self._wire:
            self._wire = None
            self._reason = reason
            self._down.set()
            log.warning("%s is down", self._name, extra={"error": reason})

    def _refused(self, error: ReplyError) -> None:
        if error.kind != "NOSCRIPT":
            # What follows these words is what a client sent.
            self._complain(error.kind, error.text.partition(", with args")[0][:200])

    def _complain(self, kind: str, text: str) -> None:
        """Once per kind until the store has been down and up again, not once per request."""
        if kind not in self._complaints:
            self._complaints.add(kind)
            log.error("%s refuses: %s", self._name, text)

    def __repr__(self) -> str:
        return f"<Link {self._name} {self._address} {'up' if self.up else 'down'}>"


_FAILURES = (OSError, TimeoutError, StoreUnavailable)


def _words(error: BaseException) -> str:
    return error.message if isinstance(error, StoreUnavailable) else "The quota store is not reachable."


def _refusal(reply: ReplyError, address: Address) -> str:
    if reply.kind == "NOAUTH":
        return f"the store at {address} asks for a password: put it into its URL"
    if reply.kind in ("WRONGPASS", "NOPERM") or "AUTH" in reply.text:
        return f"the store at {address} refuses the user or the password in its URL ({reply.kind})"
    return f"the store at {address} refuses the connection: {reply.text[:200]}"
