"""Cached answers in Redis: `base.Answers`, beside the store or in a server of their own."""

from collections.abc import Awaitable

from gateway.store import keyspace, scripts
from gateway.store.scripts import Runner

# What one entry costs the server beyond its own bytes: its key four times over, and the nodes they hang on.
# Measured on Valkey 9.1 and Redis 7.0 with keys of 32 bytes.
OVERHEAD = 512


class RedisAnswers:
    """Opaque entries, `beside` the store or not.

    The store must not evict, so beside it entries stay within `max_memory` bytes by a count of our own:
    what ends soonest goes first. A server of their own keeps its own bound (`maxmemory`, and a policy).
    """

    def __init__(self, runner: Runner, max_memory: int, beside: bool = True) -> None:
        self._runner = runner
        self._max_memory = max_memory
        self._beside = beside

    def get(self, key: bytes) -> Awaitable[bytes | None]:
        return self._runner.send("get", "GET", keyspace.ENTRY + key)

    async def put(self, key: bytes, entry: bytes, ttl: int, now: int) -> bool:
        if ttl <= 0:
            return False
        if not self._beside:
            await self._runner.send("put", "SET", keyspace.ENTRY + key, entry, "PX", ttl)
            return True
        size = len(entry) + OVERHEAD
        keys = (
            keyspace.ENTRY + key,
            keyspace.ANSWERS_INDEX,
            keyspace.ANSWERS_SIZES,
            keyspace.ANSWERS_TOTAL,
        )
        args = (key, entry, size, ttl, now, self._max_memory, keyspace.ENTRY)
        if size > self._max_memory:
            return False
        return bool(await self._runner.run(scripts.PUT, keys, args))

    def __repr__(self) -> str:
        return f"<RedisAnswers {'beside the store' if self._beside else 'on their own'}>"
