"""The one store: Redis or Valkey, one server or two (cached answers may have their own)."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from gateway.store import scripts
from gateway.store.address import ClusterAddress, SentinelAddress, StoreMisconfigured, parse
from gateway.store.answers import RedisAnswers
from gateway.store.cluster import ClusterLink
from gateway.store.epoch import Epoch
from gateway.store.holds import RedisHolds
from gateway.store.keys import RedisKeys
from gateway.store.keyspace import ENTRY, KEYS, Keyspace
from gateway.store.ledger import RedisLedger
from gateway.store.link import Connection, Greet, Link, Spawn, nothing, open_all
from gateway.store.marks import RedisMarks
from gateway.store.owners import RedisOwners
from gateway.store.scripts import Runner
from gateway.store.sentinel import Sentinels
from gateway.store.wire import ReplyError, Wire

__all__ = ["RedisStore", "StoreMisconfigured", "open_store"]

log = logging.getLogger("gateway")

MONTH_MS = 30 * 86_400_000


class RedisStore:
    """`base.Store`. Made by `open_store`."""

    def __init__(
        self,
        link: Connection,
        cache: Connection | None,
        *,
        timezone: str,
        max_memory: int,
        max_rows: int,
        max_age: int,
        tags: int,
        on_error: Callable[[str], None],
    ) -> None:
        runner, keyspace = Runner(link, on_error), Keyspace(tags)
        self._links = (link,) if cache is None else (link, cache)
        self._runner = runner
        self._epoch = Epoch(runner, keyspace)
        if cache is None:
            self.answers = RedisAnswers(runner, max_memory)
        else:
            self.answers = RedisAnswers(Runner(cache, on_error), max_memory, beside=False)
        self.holds = RedisHolds(
            runner,
            keyspace,
            self._epoch,
            timezone=timezone,
            max_rows=max_rows,
            cluster=isinstance(link, ClusterLink),
            beside=self.answers if cache is None else None,
        )
        self.ledger = RedisLedger(runner, keyspace.bases[0], max_age)
        self.keys = RedisKeys(runner, link)
        self.marks = RedisMarks(runner)
        self.owners = RedisOwners(runner)

    async def epoch(self, fresh: str = "") -> str:
        return await self._epoch.kept(fresh)

    def expect(self, epoch: str) -> None:
        """Empty: any store will do, as in the beginning."""
        self._epoch.expected = epoch

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
    max_rows: int = 100_000,
    max_age: int = MONTH_MS,
    tags: int = 1,
    on_error: Callable[[str], None] = _count_nothing,
) -> RedisStore:
    """Connect, and return even where the server is down: then it is tried again for ever.

    `deadline` is seconds for one call; `timezone` an IANA name, for budgets; `cache_url` a server of its own
    for cached answers, which otherwise stay beside the rest in at most `max_memory` bytes. Of the ledger
    about `max_rows` rows stay, and for `max_age` ms. `on_error` hears the name of each operation that failed.
    Raises StoreMisconfigured where trying again cannot help.
    """
    needs: tuple[str | bytes, ...] = (*Keyspace(tags).bases, KEYS, ENTRY)
    link = _connection(url, needs[:-1] if cache_url else needs, deadline, spawn, greet=_greet)
    cache = _connection(cache_url, (ENTRY,), deadline, spawn, name="cache") if cache_url else None
    store = RedisStore(
        link,
        cache,
        timezone=timezone,
        max_memory=max_memory,
        max_rows=max_rows,
        max_age=max_age,
        tags=tags,
        on_error=on_error,
    )
    try:
        await open_all(each for each in (link, cache) if each is not None)
    except BaseException:
        await store.close()
        raise
    return store


def _connection(
    url: str,
    needs: Sequence[str | bytes],
    deadline: float,
    spawn: Spawn,
    *,
    greet: Greet = nothing,
    name: str = "store",
) -> Connection:
    """To whatever kind of store this is. `needs`: a key of each of the slots that are used."""
    where = parse(url)
    if isinstance(where, ClusterAddress):
        return ClusterLink(where, deadline=deadline, spawn=spawn, needs=needs, greet=greet, name=name)
    if isinstance(where, SentinelAddress):
        found = Sentinels(where)
        return Link(found, deadline=deadline, spawn=spawn, greet=greet, name=name, master=True)
    return Link(where, deadline=deadline, spawn=spawn, greet=greet, name=name)


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
