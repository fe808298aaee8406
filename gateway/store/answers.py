"""Cached answers in Redis: `base.Answers`, beside the store or in a server of their own."""

from collections.abc import Awaitable

from gateway.store import keyspace, scripts
from gateway.store.batch import Batch, Command
from gateway.store.scripts import Runner

# What one entry costs the server beyond its own bytes: its key four times over, and the nodes they hang on.
# Measured on Valkey 9.1 and Redis 7.0 with keys of 32 bytes.
OVERHEAD = 512

_MOST = 2**20  # bytes of entries that one script keeps


class _Puts(Batch):
    """Entries to be kept: each with its key, what it costs, its life (ms), and the time."""

    def __init__(self, runner: Runner, max_memory: int) -> None:
        super().__init__(runner)
        self.size = 0
        self._keys: list[str | bytes] = [
            keyspace.ANSWERS_TOTAL,
            keyspace.ANSWERS_INDEX,
            keyspace.ANSWERS_SIZES,
        ]
        self._args: list[str | bytes | int] = [max_memory, keyspace.ENTRY]

    def add(self, key: bytes, entry: bytes, size: int, ttl: int, now: int) -> None:
        self.size += size
        self._keys.append(keyspace.ENTRY + key)
        self._args += (key, entry, size, ttl, now)

    def command(self) -> Command:
        return scripts.PUT, self._keys, self._args


class RedisAnswers:
    """Opaque entries, `beside` the store or not.

    The store must not evict, so beside it entries stay within `max_memory` bytes by a count of our own:
    what ends soonest goes first. A server of their own keeps its own bound (`maxmemory`, and a policy).
    """

    def __init__(self, runner: Runner, max_memory: int, beside: bool = True) -> None:
        self._runner = runner
        self._max_memory = max_memory
        self._beside = beside
        self._puts: _Puts | None = None

    def get(self, key: bytes) -> Awaitable[bytes | None]:
        # To see an answer that is queued in this very turn, nobody could have known of it.
        return self._runner.glance("get", "GET", keyspace.ENTRY + key)

    async def put(self, key: bytes, entry: bytes, ttl: int, now: int) -> bool:
        if ttl <= 0:
            return False
        if not self._beside:
            await self._runner.send("put", "SET", keyspace.ENTRY + key, entry, "PX", ttl)
            return True
        size = len(entry) + OVERHEAD
        if size > self._max_memory:
            return False
        puts = self._puts
        if puts is not None and puts.open and puts.size + size > _MOST:
            self._runner.hurry()
        if puts is None or not puts.open:
            puts = self._puts = _Puts(self._runner, self._max_memory)
        puts.add(key, entry, size, ttl, now)
        return bool(await puts.join("put"))

    def __repr__(self) -> str:
        return f"<RedisAnswers {'beside the store' if self._beside else 'on their own'}>"
