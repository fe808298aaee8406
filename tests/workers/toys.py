"""A crew of toys, as a test sees it."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[2]


class Toys:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.events: list[list[Any]] = []

    async def event(self, *wanted: Any) -> list[Any]:
        """The next one that begins like this; what came before it is in `events`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            while line := await self.process.stdout.readline():
                self.events.append(json.loads(line))
                if self.events[-1][: len(wanted)] == list(wanted):
                    return self.events[-1]
        raise AssertionError(f"it has ended without {wanted}: {self.events}")

    async def order(self, order: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(order.encode() + b"\n")
        await self.process.stdin.drain()

    async def look(self, accepting: int) -> int:
        """Wait until so many accept; how many restarts there were."""
        while True:
            await self.order("look")
            _, found, restarts = await self.event("look")
            if found == accepting:
                return int(restarts)
            await asyncio.sleep(0.01)

    def workers(self) -> list[psutil.Process]:
        (nursery,) = psutil.Process(self.process.pid).children()
        return nursery.children()


@contextlib.asynccontextmanager
async def toys(plan: str) -> AsyncIterator[Toys]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.workers.toy", plan),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield Toys(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
