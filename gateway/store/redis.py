"""The one store: Redis or Valkey, one server or two (cached answers may have their own)."""

import asyncio
import logging
import time
from collections.abc import Callable

from gateway.store import scripts
from gateway.store.address import Address, StoreMisconfigured, parse
from gateway.store.answers import RedisAnswers
from gateway.store.holds import RedisHolds
from gateway.store.keys import RedisKeys
from gateway.store.keyspace import Keyspace
from gateway.store.link import Link, Spawn
from gateway.store.scripts import Runner
from gateway.store.wire import ReplyError, Wire

__all__ = ["RedisStore", "StoreMisconfigured", "open_store"]

log = logging.getLogger("gateway")


class RedisStore:
    """`base.Store`. Made by `open_store`."""

    def __init__(
        self,
        link: Link,
        cache: Link | None,
        address: Address,
        *,
        timezone: str,
        max_memory: int,
        tags: int,
        on_error: Callable[[str], None],
    ) -> None:
        runner = Runner(link, on_error)
        self._links = (link,) if cache is None else (link, cache)
        self._runner = runner
        self.holds = RedisHolds(runner, Keyspace(tags), timezone)
        self.keys = RedisKeys(runner, address)
        if cache is None:
            self.answers = RedisAnswers(runner, max_memory)
        else:
            self.answers = RedisAnswers(Runner(cache, on_error), max_memory, beside=False)

    @property
    def up(self) -> bool:
        return self._links[0].up

    async def ping(self) -> None:
        await self._runner.send("ping", "PING")

    async def time_offset(self) -> int:
        before = time.time_ns()
        seconds, micros = await self._runner.send("time", "TIME")
        between = (before + time.time_ns()) // 2
        return int(seconds) * 1000 + int(micros) // 1000 - between // 1_000_000

    async def close(self) -> None:
        for link in self._links:
            await link.close()

    def __repr__(self) -> str:
        return f"<RedisStore {', '.join(map(repr, self._links))}>"


def _count_nothing(operation: str) -> None:
    pass


async def open_store(
    url: str,
    *,
    deadline: float,
    timezone: str,
    max_memory: int,
    spawn: Spawn,
    cache_url: str = "",
    tags: int = 1,
    on_error: Callable[[str], None] = _count_nothing,
) -> RedisStore:
    """Connect, and return even where the server is down: then it is tried again for ever.

    `deadline` is seconds for one call; `timezone` an IANA name, for budgets; `cache_url` a server of its own
    for cached answers, which otherwise stay beside the rest in at most `max_memory` bytes. `on_error` hears
    the name of each operation that failed. Raises StoreMisconfigured where trying again cannot help.
    """
    address = parse(url)
    link = Link(address, deadline=deadline, spawn=spawn, greet=_greet)
    cache = Link(parse(cache_url), deadline=deadline, spawn=spawn, name="cache") if cache_url else None
    store = RedisStore(
        link, cache, address, timezone=timezone, max_memory=max_memory, tags=tags, on_error=on_error
    )
    try:
        await asyncio.gather(*(each.open() for each in (link, cache) if each is not None))
    except BaseException:
        await store.close()
        raise
    return store


async def _greet(wire: Wire) -> None:
    """A server for state gets the scripts, and must not evict."""
    await asyncio.gather(scripts.load(wire), _refuse_eviction(wire))


async def _refuse_eviction(wire: Wire) -> None:
    """Raises StoreMisconfigured: a limit whose counter was evicted would let everybody through again."""
    try:
        bound, policy = await asyncio.gather(
            wire.call("CONFIG", "GET", "maxmemory"), wire.call("CONFIG", "GET", "maxmemory-policy")
        )
    except ReplyError as error:
        if error.unready:
            raise
        log.warning(
            "the store does not say whether it evicts (CONFIG is forbidden): make sure that it does not"
        )
        return
    if len(bound) == len(policy) == 2 and int(bound[1]) > 0 and policy[1] != b"noeviction":
        raise StoreMisconfigured(
            f"the store may evict quotas and keys (maxmemory-policy is {policy[1].decode()}): "
            "run CONFIG SET maxmemory-policy noeviction, and put the cache on a server of its own"
        )
