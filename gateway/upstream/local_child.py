"""The process in which the local model runs, as its parent sees it."""

import asyncio
import os
import sys
from collections import deque
from typing import Self

import msgspec

from gateway.upstream import local_server

TAIL = 12  # lines of its standard error that are worth showing
GOODBYE = 5.0  # seconds


class _Started(msgspec.Struct):
    port: int


class Child:
    """One run of `gateway.upstream.local_server`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._said: deque[str] = deque(maxlen=TAIL)

    @classmethod
    async def launch(cls, key: str, port: int) -> Self:
        """Start it; `port` 0: any. In the loop's own thread: the kernel ends the child with the thread that
        started it."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", local_server.__file__),  # -P: no module of this folder hides another
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(local_server.Orders(os.getpid(), key, port)) + b"\n")
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def port(self) -> int | None:
        """Where it listens, once it does; None when it ended instead."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        return msgspec.json.decode(line, type=_Started).port if line else None

    async def ended(self) -> int:
        """Wait for its end, reading along what it says; its exit status."""
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._said.append(line.decode(errors="replace").rstrip())
        return await self._process.wait()

    async def stop(self) -> None:
        """End it, and wait until it has ended."""
        if self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(GOODBYE):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    def last_words(self) -> str:
        return "\n".join(self._said)

    def __repr__(self) -> str:
        return f"<Child {self.pid} status {self._process.returncode}>"
