"""Who a store is: a name beside its counters, which is gone when they are."""

from gateway.store import keyspace
from gateway.store.keyspace import Keyspace
from gateway.store.scripts import Runner


class Epoch:
    """`expected` is what the scripts of holds compare with; empty: any store will do."""

    def __init__(self, runner: Runner, keys: Keyspace) -> None:
        self._runner = runner
        self._keyspace = keys
        self.expected = ""

    async def kept(self, fresh: str = "") -> str:
        """The name that is kept, or else `fresh`, kept from now on. Empty: some counters have none."""
        first, *others = map(keyspace.epoch, self._keyspace.bases)
        if fresh:
            await self._runner.send("epoch", "SET", first, fresh, "NX")
        name: bytes | None = await self._runner.send("epoch", "GET", first)
        for key in others if name else ():
            if fresh:
                await self._runner.send("epoch", "SET", key, name or b"")
            elif await self._runner.send("epoch", "GET", key) != name:
                return ""
        return (name or b"").decode()

    def __repr__(self) -> str:
        return f"<Epoch {self.expected!r} expected>"
