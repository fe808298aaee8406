"""Ending without breaking anything: what runs may finish, and what cannot is cut honestly."""

import asyncio

from gateway.pipeline import DRAINED
from gateway.runtime import Gateway

# After the cut, for the last events, the settlements and their store: a dead store must not hold the exit.
_CONCLUDE_SECONDS = 5.0


async def drain(gateway: Gateway, seconds: float, hurry: asyncio.Event) -> int:
    """Wait for the requests under way until `seconds` are over or `hurry` is set; then cut what remains.

    Returns how many were cut. Every hold has been settled then, unless the store was away.
    """
    gateway.draining = True
    hurried = gateway.tasks.spawn(hurry.wait(), name="second signal")
    deadline = gateway.clock.monotonic() + seconds
    while gateway.serving and not hurry.is_set() and (left := deadline - gateway.clock.monotonic()) > 0:
        waiting = {*gateway.serving, hurried}
        await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
    late = set(gateway.serving)
    await _cut(late)
    hurried.cancel()
    await gateway.tasks.drain(_CONCLUDE_SECONDS)
    return len(late)


async def _cut(late: set[asyncio.Task[None]]) -> None:
    """Once with a word to the client; those whose client does not even take that word, without."""
    for message in (DRAINED, None):
        for task in late:
            task.cancel(message)
        if late:
            _, late = await asyncio.wait(late, timeout=_CONCLUDE_SECONDS)
