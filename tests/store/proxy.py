"""A bad line between a store and its server: slow, mute or cut."""

import asyncio
import contextlib
import random
from pathlib import Path

from tests.store.servers import free_port


class Proxy:
    """Listens at `url` and at `port`. `delay` (seconds) holds replies up, `jitter` more, `mute` for good."""

    def __init__(self, target: Path, delay: float = 0.0, jitter: float = 0.0) -> None:
        self._target = target
        self._socket = target.with_suffix(".proxy")
        self.port = free_port()
        self._writers: list[asyncio.StreamWriter] = []
        self._random = random.Random(7)
        self.delay, self.jitter = delay, jitter
        self.mute = False
        self.chunks: list[bytes] = []  # what arrived from the client, as it was read

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    async def __aenter__(self) -> "Proxy":
        self._servers = [
            await asyncio.start_unix_server(self._serve, str(self._socket)),
            await asyncio.start_server(self._serve, "127.0.0.1", self.port),
        ]
        return self

    async def __aexit__(self, *error: object) -> None:
        for server in self._servers:
            server.close()
        self.cut()
        for server in self._servers:
            await server.wait_closed()
        self._socket.unlink(missing_ok=True)

    def cut(self) -> None:
        """Every connection, in the middle of whatever it carries."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward_reader, onward = await asyncio.open_unix_connection(str(self._target))
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, onward]
        with contextlib.suppress(OSError):
            await asyncio.gather(self._forward(reader, onward), self._answer(onward_reader, writer, onward))

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            self.chunks.append(data)
            writer.write(data)
        writer.close()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, onward: asyncio.StreamWriter
    ) -> None:
        """In order (no two at one time), each chunk when its time has come: a long line, not a narrow one.

        What it answers went to `onward`.
        """
        loop = asyncio.get_running_loop()
        due = 0.0
        while data := await reader.read(65_536):
            due = max(due + 1e-6, loop.time() + self.delay + self.jitter * self._random.random())
            if not self.mute:
                loop.call_at(due, writer.write, data)
        writer.close()
