"""Waiting for what must come, without a guess at how long it takes."""

import asyncio
from collections.abc import Awaitable, Callable

PATIENCE = 30.0  # seconds after which what has not come has failed


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds; looked at again and again."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)


async def unmoved(count: Callable[[], int]) -> None:
    """Wait until it has been the same for fifty turns of the loop, each with its I/O done."""
    before, still = count(), 0
    while still < 50:
        await asyncio.sleep(0.001)
        now = count()
        before, still = now, still + 1 if now == before else 0


async def until_answer(ask: Callable[[], Awaitable[object]], wanted: object) -> None:
    """Ask again until the answer is the one that is wanted."""
    answer: object = None
    try:
        async with asyncio.timeout(PATIENCE):
            while (answer := await ask()) != wanted:
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"it is still {answer}, and not {wanted}") from None
