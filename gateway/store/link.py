"""A connection that comes back: reconnects for ever, and while it is down every call fails at once."""

import asyncio
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.errors import StoreUnavailable
from gateway.store.address import Address, StoreMisconfigured, Whereabouts
from gateway.store.dial import UNREACHABLE, dial, introduce
from gateway.store.wire import Receiver, ReplyError, Wire, fail, failed, pack

log = logging.getLogger("gateway")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds between attempts to connect
SETTLED = 1.0  # a connection that lived this long was a good one: the next pause is short again
LITTLE = 100.0  # ms that an attempt to connect may take

Spawn = Callable[[Coroutine[Any, Any, Any], str], "asyncio.Task[Any]"]
Greet = Callable[[Wire], Awaitable[None]]


class Connection(Protocol):
    """The way to a store, one server or many.

    `call` queues a command and returns its future at once. It fails with `StoreUnavailable`: after the
    deadline, or at once while the server is known to be down. No command that may have been executed is sent
    again. Two calls for the same key are executed in the order in which they were made.
    """

    def call(self, *command: str | bytes | int) -> asyncio.Future[Any]: ...

    def hand(self, receiver: Receiver, *command: str | bytes | int) -> None:
        """`call` for what stands in for its future."""
        ...

    def flush(self) -> None:
        """Write what is queued at once."""
        ...

    @property
    def up(self) -> bool: ...

    async def open(self) -> None:
        """Connect, or else start to keep trying. Raises StoreMisconfigured where trying again cannot help."""
        ...

    async def close(self) -> None: ...

    async def addresses(self) -> Sequence[Address]:
        """Where else to connect for what is published. Raises StoreUnavailable, StoreMisconfigured."""
        ...


async def open_all(connections: Iterable[Connection]) -> None:
    """All of them, to the end, before the first refusal is raised."""
    opened = await asyncio.gather(*(each.open() for each in connections), return_exceptions=True)
    for result in opened:
        if isinstance(result, BaseException):
            raise result


async def nothing(wire: Wire) -> None:
    """The greeting of a server that needs none."""


@dataclass(frozen=True, slots=True)
class Watcher:
    """What a cluster hears of each of its links. `redirected` is as in `Wire`."""

    lost: Callable[[], None] = lambda: None
    refused: Callable[[ReplyError], None] = lambda error: None
    redirected: Callable[[ReplyError, bytes, "asyncio.Future[Any]"], bool] = lambda error, packed, future: (
        False
    )


class Link:
    """`Connection` to one server: one connection, many callers.

    `greet` prepares each new connection before anybody may use it. With `master` the server must be one: a
    connection to a server that turns out to be a replica is given up, and where it is is asked anew.
    """

    def __init__(
        self,
        where: Whereabouts,
        *,
        deadline: float,
        spawn: Spawn,
        greet: Greet = nothing,
        name: str = "store",
        master: bool = False,
        watcher: Watcher | None = None,
    ) -> None:
        self._where = where
        self._context: ssl.SSLContext | None = where.context()
        self._deadline = deadline
        self._spawn = spawn
        self._greet = greet
        self._name = name
        self._master = master
        self._watcher = watcher or Watcher()
        self._wire: Wire | None = None
        self._early: list[tuple[bytes, Receiver]] | None = None
        self._down = asyncio.Event()
        self._reason = UNREACHABLE
        self._next = 0.0  # when the next attempt to connect begins, as the loop's clock says
        self._complaints: set[str] = set()
        self._keeper: asyncio.Task[Any] | None = None

    async def open(self) -> None:
        await self._first()
        self._keeper = self._spawn(self._keep(), f"{self._name} link")

    def begin(self) -> None:
        """`open` without waiting for it: what is called before the first attempt has ended waits for that."""
        self._early = []
        self._keeper = self._spawn(self._begin(), f"{self._name} link")

    @property
    def up(self) -> bool:
        return self._wire is not None

    @property
    def idle(self) -> bool:
        """No call waits for its reply."""
        return not self._early if self._wire is None else self._wire.idle

    @property
    def beginning(self) -> bool:
        return self._early is not None

    def call(self, *command: str | bytes | int) -> asyncio.Future[Any]:
        wire = self._wire
        if wire is not None:
            return wire.call(*command)
        if self._early is None:
            return failed(self._reason, self._earliest())
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._early.append((pack(command), future))
        return future

    def hand(self, receiver: Receiver, *command: str | bytes | int) -> None:
        self.send(pack(command), receiver)

    def send(self, packed: bytes, future: Receiver) -> None:
        """`call` for a command that is packed already, and for what waits for its reply already."""
        if self._wire is not None:
            self._wire.send(packed, future)
        elif self._early is None:
            fail(future, self._reason, self._earliest())
        else:
            self._early.append((packed, future))

    def flush(self) -> None:
        if self._wire is not None:
            self._wire.flush()

    async def addresses(self) -> Sequence[Address]:
        return await self._where.addresses()

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._wire is not None:
            wire, self._wire = self._wire, None
            wire.end("The quota store has been closed.")
        self._let_in()

    async def _first(self) -> None:
        try:
            await self._connect()
        except _FAILURES as error:
            self._reason = _words(error)
            log.warning("%s is down", self._name, extra={"error": type(error).__name__})

    async def _begin(self) -> None:
        try:
            await self._first()
        except StoreMisconfigured as error:
            self._complain("misconfigured", str(error))
        self._let_in()
        await self._keep()

    def _let_in(self) -> None:
        early, self._early = self._early or [], None
        for packed, future in early:
            self.send(packed, future)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        pause, since = FIRST_PAUSE, loop.time()
        while True:
            if self._wire is not None:
                since = loop.time()
                await self._down.wait()
                if loop.time() - since >= SETTLED:
                    pause = FIRST_PAUSE
            wait = pause * random.uniform(0.5, 1.0)  # noqa: S311
            self._next = loop.time() + wait
            await asyncio.sleep(wait)
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

    def _earliest(self) -> float:
        """In how many ms the server may be known again."""
        return 1000 * max(0.0, self._next - asyncio.get_running_loop().time()) + LITTLE

    async def _connect(self) -> None:
        """One attempt. It may take longer than a call: with TLS it is half a dozen round trips."""
        wire: Wire | None = None
        try:
            async with asyncio.timeout(max(1.0, 4 * self._deadline)):
                address = (await self._where.addresses())[0]
                wire = await dial(address, self._context, self._protocol)
                await introduce(wire, address)
                if self._master:
                    await _check_master(wire)
                await self._greet(wire)
            if wire.ended:
                raise StoreUnavailable(wire.ended)
        except BaseException:
            if wire is not None:
                wire.end("The quota store is not ready.")
            raise
        self._down.clear()
        self._wire = wire

    def _protocol(self) -> Wire:
        return Wire(self._deadline, self._lost, self._refused, self._watcher.redirected)

    def _lost(self, wire: Wire, reason: str) -> None:
        if wire is self._wire:
            self._wire = None
            self._reason = reason
            self._down.set()
            log.warning("%s is down", self._name, extra={"error": reason})
            self._watcher.lost()

    def _refused(self, error: ReplyError) -> None:
        if error.kind == "NOSCRIPT":
            return
        # What follows these words is what a client sent.
        self._complain(error.kind, error.text.partition(", with args")[0][:200])
        self._watcher.refused(error)
        if self._master and error.kind == "READONLY" and self._wire is not None:
            self._wire.end(error.message)

    def _complain(self, kind: str, text: str) -> None:
        """Once per kind until the store has been down and up again, not once per request."""
        if kind not in self._complaints:
            self._complaints.add(kind)
            log.error("%s refuses: %s", self._name, text)

    def __repr__(self) -> str:
        return f"<Link {self._name} {self._where} {'up' if self.up else 'down'}>"


_FAILURES = (OSError, TimeoutError, StoreUnavailable)


def _words(error: BaseException) -> str:
    return error.message if isinstance(error, StoreUnavailable) else UNREACHABLE


async def _check_master(wire: Wire) -> None:
    role = await wire.call("ROLE")
    if role[0] != b"master":
        raise StoreUnavailable("The quota store's master is being replaced.")
