"""Who made what, in Redis: `base.Owners`. A key for each object, so that a cluster spreads them.

The commands of one call leave in one write, however many objects there are.
"""

import asyncio
from collections.abc import Sequence

from gateway.store import keyspace
from gateway.store.scripts import Runner


class RedisOwners:
    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def owners(self, ids: Sequence[str]) -> list[str | None]:
        calls = [self._runner.send("owners", "GET", keyspace.owner(each)) for each in ids]
        return [None if kept is None else kept.decode() for kept in await asyncio.gather(*calls)]

    async def record(self, owner: str, ids: Sequence[str], ttl: int) -> None:
        ends: tuple[str | int, ...] = ("PX", ttl) if ttl else ()
        calls = (self._runner.send("own", "SET", keyspace.owner(each), owner, "NX", *ends) for each in ids)
        await asyncio.gather(*calls)

    async def forget(self, ids: Sequence[str]) -> None:
        await asyncio.gather(*(self._runner.send("disown", "DEL", keyspace.owner(each)) for each in ids))

    def __repr__(self) -> str:
        return f"<RedisOwners {self._runner!r}>"
