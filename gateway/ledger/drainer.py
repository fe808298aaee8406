"""Brings the rows of the store's stream into the sink: at least once each, and never twice."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence

from gateway.errors import StoreUnavailable
from gateway.ledger import position
from gateway.ledger.failures import SinkUnavailable
from gateway.ledger.sink import Sink
from gateway.policy.chain import link
from gateway.store.base import Kept, Ledger

log = logging.getLogger("gateway")

# Rows of one transaction. The thread shares the interpreter with the loop: a thousand at once were hardly
# faster (into SQLite: not at all), and kept requests waiting for 20 to 30 ms instead of 3 to 7.
_BATCH = 100
_POLL_SECONDS = 0.5
_LONGEST_PAUSE = 10.0  # seconds between attempts while the database is away


async def _any() -> bool:
    return True


class Drainer:
    """What is there stays in the stream; the sink says how far it has come. Several may fill one sink.

    `trusted` says whether the store is the one whose ledger this is: another one is as good as away.
    `drained` counts the rows that this process brought, `lost` those that had left the stream before anybody
    could, `behind` how many the sink did not have when it was last looked at (None: it never answered yet).
    """

    def __init__(
        self,
        ledger: Ledger,
        sink: Sink,
        *,
        trusted: Callable[[], Awaitable[bool]] = _any,
        batch: int = _BATCH,
        poll: float = _POLL_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._sink = sink
        self._trusted = trusted
        self._batch = batch
        self._poll = poll
        self._at: Kept | None = None  # the last row that the sink is known to have
        self._anchored = False
        self._told = False
        self.drained = 0
        self.lost = 0
        self.behind: int | None = None
        self.away = False

    async def run(self) -> None:
        """For ever. A database or a store that is away is tried again, and said once."""
        pause = self._poll
        while True:
            try:
                moved = await self.drain_once()
            except StoreUnavailable:  # which says so itself
                await asyncio.sleep(self._poll)
            except SinkUnavailable as error:
                self._missed(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self._arrived()
                pause = self._poll
                if moved < self._batch:
                    await asyncio.sleep(self._poll)

    async def finish(self, seconds: float) -> bool:
        """Drain what is left, at the end of the process; False: there was not time enough, or no database.

        What stays behind is in the stream, and is drained after the next start.
        """
        with contextlib.suppress(TimeoutError, StoreUnavailable, SinkUnavailable):
            async with asyncio.timeout(seconds):
                while await self.drain_once():
                    pass
                return True
        return False

    async def drain_once(self) -> int:
        """One batch; how many rows it took from the stream. 0: the sink has them all.

        Raises StoreUnavailable, SinkUnavailable.
        """
        if not await self._trusted():
            raise StoreUnavailable("The store's ledger is not the one that is drained.")
        if not self._anchored:
            await self._anchor()
        rows = await self._ledger.oldest(self._at.position if self._at else None, self._batch)
        if rows:
            await self._insert(rows)
            self._at = rows[-1]
        head, _ = await self._ledger.head()
        if self._at is not None and head < self._at.number:
            await self._continue_behind(self._at)
        self.behind = max(0, head - self._at.number) if self._at else head
        return len(rows)

    async def _anchor(self) -> None:
        self._at = await self._sink.last()
        if self._at is not None and (await self._ledger.head())[0] < self._at.number:
            await self._continue_behind(self._at)
        self._anchored = True

    async def _continue_behind(self, last: Kept) -> None:
        """A store that lost its last rows in a crash goes on behind those that had been drained already."""
        await self._ledger.continue_at(last.number, last.hash)

    async def _insert(self, rows: Sequence[Kept]) -> None:
        try:
            last = await self._sink.last()
            self.drained += await self._sink.insert(_beyond(last, rows))
        except SinkUnavailable:
            # Whatever answers next may be a replica or a backup that has not come as far as this one had.
            self._anchored = False
            raise
        self._look_for_gaps(rows)
        self._look_for_strangers(rows[0])

    def _look_for_strangers(self, row: Kept) -> None:
        """Two stores that share a table would each hide rows of the other."""
        at = self._at
        if at is None or row.number > at.number + 1 or self._told:
            return
        if row.number <= at.number or link(at.hash, row.number, row.row) != row.hash:
            self._told = True
            log.error("the ledger's sink holds rows of another ledger: is another store drained into it?")

    def _look_for_gaps(self, rows: Sequence[Kept]) -> None:
        """What an empty sink has missed was written before there was one."""
        before = (self._at or rows[0], *rows)
        gaps = zip(before, rows, strict=False)
        lost = sum(max(0, after.number - previous.number - 1) for previous, after in gaps)
        if lost:
            self.lost += lost
            log.error(
                "ledger rows were trimmed from the store before they were drained", extra={"count": lost}
            )

    def _missed(self, error: SinkUnavailable) -> None:
        if not self.away:
            self.away = True
            log.error("the ledger is not drained: %s", error, extra={"error": type(error).__name__})

    def _arrived(self) -> None:
        if self.away:
            self.away = False
            log.info("the ledger is drained again")

    def __repr__(self) -> str:
        return f"<Drainer {self.drained} drained, {self.lost} lost{', away' if self.away else ''}>"


def _beyond(last: Kept | None, rows: Sequence[Kept]) -> Sequence[Kept]:
    """Those that no other gateway has drained meanwhile."""
    if last is None:
        return rows
    limit = position.parse(last.position)
    return [row for row in rows if position.parse(row.position) > limit]
