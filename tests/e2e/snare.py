"""A bad line that loses the reply to one command."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from gateway.store import scripts
from tests.store.proxy import Proxy


class Snare(Proxy):
    """A line that waits for one command. Once that has been executed, its reply is lost and the line is cut.

    Where `then` is set, the reply is passed on and that happens. While `mute`, no reply is passed on.
    """

    def __init__(self, target: Path) -> None:
        super().__init__(target)
        self._parts: tuple[bytes, ...] = ()
        self._sprung: asyncio.StreamWriter | None = None  # where the command went
        self.then: Callable[[], None] | None = None
        self.caught = 0

    def set(self, script: scripts.Script, *words: str) -> None:
        """For a run of this script with all of these words in its arguments."""
        self._parts = (script.sha.encode(), *(each.encode() for each in words))

    def runs(self, script: scripts.Script) -> int:
        """How often it was sent so far."""
        return sum(chunk.count(script.sha.encode()) for chunk in self.chunks)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self.chunks.append(data)
            if self._parts and all(part in data for part in self._parts):
                self._parts, self._sprung = (), writer
            writer.write(data)
        writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, onward: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        due = 0.0
        while data := await reader.read(65_536):
            caught = self._sprung is onward
            if caught:
                self._sprung = None
                self.caught += 1
            if caught and self.then is None:
                self.cut()
                return
            due = max(due + 1e-6, loop.time() + self.delay + self.jitter * self._random.random())
            if not self.mute:
                loop.call_at(due, writer.write, data)
            if caught and self.then is not None:
                self.then()
        writer.close()
