"""One gateway in this process, and the store server under it that tests hurt."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.e2e.outage import Gateways
from tests.e2e.snare import Snare
from tests.running import Running
from tests.store.servers import Server
from tests.waiting import until

# With `everysec` a server whose disk is slow answers before it has written, and loses that when it is killed.
AOF = ("--appendonly", "yes", "--appendfsync", "always")


class House(Gateways):
    """`line` is the way between the gateway and its server, where that is a bad one."""

    def __init__(self, running: Running, server: Server, folder: Path, line: Snare) -> None:
        super().__init__(running.session, (running.url, running.admin_url))
        self._running, self.gateway = running, running.gateway
        self.server, self.folder, self.line = server, folder, line

    @property
    def noted(self) -> bytes:
        """What the journal has on the disk."""
        return b"".join(path.read_bytes() for path in (self.folder / "journal").glob("*.log"))

    @property
    def up(self) -> bool:
        return self.gateway.trusts_store()

    async def concluded(self) -> None:
        await self._running.concluded()

    async def replayed(self) -> None:
        await until(lambda: not len(self.gateway.journal))


Build = Callable[..., Awaitable[House]]
