"""The body of a request in the lane: as long as its head says."""

import asyncio
from collections.abc import Callable

from gateway.web.reading import SLOWEST, in_words


class LaneBody:
    """Read once, on demand, inside a time. Most have come with their heads.

    `wanted` is called when somebody begins to wait for the rest: until then not much of it is read.
    """

    __slots__ = ("_arrived", "_parts", "_patience", "_wanted", "asked", "missing", "size")

    def __init__(self, length: int, begun: bytes, patience: float, wanted: Callable[[], None]) -> None:
        self._parts = [begun]
        self._patience = patience  # seconds
        self._wanted = wanted
        self._arrived: asyncio.Future[None] | None = None
        self.asked = False  # somebody waits for it
        self.size = len(begun)  # bytes that are here
        self.missing = length - self.size

    def feed(self, data: bytes) -> bytes:
        """What has arrived; returns what is beyond the body's end."""
        mine = data[: self.missing]
        self._parts.append(mine)
        self.size += len(mine)
        self.missing -= len(mine)
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
        return data[len(mine) :]

    def drop(self) -> None:
        """Nobody will read it; what is missing is still counted."""
        self._parts.clear()

    async def read(self) -> bytes:
        """The whole body. Raises RequestTimeout."""
        if self.missing:
            with in_words():
                await self._rest()
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _rest(self) -> None:
        self.asked = True
        self._wanted()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._patience) as deadline:
                while self.missing:
                    self._arrived = loop.create_future()
                    await self._arrived
                    deadline.reschedule(began + self._patience + self.size / SLOWEST)
        finally:
            del deadline  # it knows the task, whose cancellation knows this frame

    def __repr__(self) -> str:
        return f"<LaneBody {self.size} of {self.size + self.missing} bytes>"
