"""Things to be done once, in Redis: `base.Marks`."""

from gateway.store import keyspace
from gateway.store.scripts import Runner


class RedisMarks:
    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def mark(self, name: str, ttl: int) -> bool:
        reply = await self._runner.send("mark", "SET", keyspace.mark(name), "1", "NX", "PX", ttl)
        return reply is not None

    async def unmark(self, name: str) -> None:
        await self._runner.send("unmark", "DEL", keyspace.mark(name))

    def __repr__(self) -> str:
        return f"<RedisMarks {self._runner!r}>"
