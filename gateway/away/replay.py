"""Telling the store what it missed, oldest first, each thing once."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from gateway.away.frames import Pending
from gateway.away.journal import Journal
from gateway.errors import StoreUnavailable
from gateway.policy.ledger import leased_cost
from gateway.store.base import TOMBSTONE_MS, Ended, Holds, Ledger, Store

log = logging.getLogger("gateway")

INTERVAL = 0.5  # seconds between looks at whether there is something to replay, and somebody to tell
ADOPT_SECONDS = 10.0  # between looks at whether another process has died
_MARGIN_MS = 60_000
# For how long the store knows a hold that ended, and one whose lease ran out.
REMEMBERED_MS = TOMBSTONE_MS - _MARGIN_MS
EXPIRED_MS = 24 * 3_600_000 - _MARGIN_MS
_SLACK_MS = 60_000  # by which a row may stand in the ledger before the end that was noted: two clocks
_ROWS = 1_000


class _Row(msgspec.Struct):
    """What of a ledger row tells whether its request was settled."""

    id: str
    settled: str = "none"
    correction: bool = False


@dataclass(slots=True)
class _Written:
    """The ids in the ledger since some time: of requests that were settled, or charged by a lease."""

    settled: set[str] = field(default_factory=set)
    leased: set[str] = field(default_factory=set)

    def has(self, pending: Pending, now: int) -> bool:
        if pending.hold in self.settled:
            return True
        # The store would apply the difference for as long as it remembers the lease; then the lease stands.
        return pending.hold in self.leased and (pending.dispatched or now - pending.at > EXPIRED_MS)


async def replay(
    journal: Journal,
    holds: Holds,
    ledger: Ledger,
    now: Callable[[], int],
    refunded: Callable[[int], None] = lambda nano: None,
) -> int:
    """Until the journal is empty or the store is away; how much the store was told.

    `refunded` is told what the lease of a request had cost (nano-dollars) that turned out to have ended.
    """
    told = 0
    written: _Written | None = None
    try:
        while (pending := journal.oldest()) is not None:
            if now() - pending.at > REMEMBERED_MS and pending.record is not None:
                written = written or await _read(ledger, pending.at - _SLACK_MS)
                if written.has(pending, now()):
                    journal.done()
                    continue
            told += await _tell(journal, pending, holds, now(), refunded)
    except StoreUnavailable:
        pass
    return told


async def _tell(
    journal: Journal, pending: Pending, holds: Holds, now: int, refunded: Callable[[int], None]
) -> bool:
    try:
        ended = await _end(pending, holds, now)
    except ValueError:
        journal.set_aside()
        return False
    journal.done()
    if ended is Ended.LATE and pending.record is not None:
        refunded(leased_cost(pending.record))
    return bool(ended)


async def _end(pending: Pending, holds: Holds, now: int) -> Ended:
    hold = (pending.shard, pending.hold)
    if pending.released:
        return await holds.release(*hold, now, pending.record)
    return await holds.settle(
        *(*hold, pending.charge(), now, pending.record), claims=pending.claims, claimed=pending.claimed
    )


async def _read(ledger: Ledger, since: int) -> _Written:
    """What was written since, all of it: a frozen store may have carried out a command long after it came."""
    written, decode = _Written(), msgspec.json.Decoder(_Row).decode
    after = f"{max(0, since)}-0"
    while rows := await ledger.oldest(after, _ROWS):
        for kept in rows:
            row = decode(kept.row)
            lease = row.settled == "lease" and not row.correction
            (written.leased if lease else written.settled).add(row.id)
        after = rows[-1].position
    return written


async def replay_forever(
    journal: Journal,
    store: Store,
    now: Callable[[], int],
    caught_up: Callable[[], None],
    refunded: Callable[[int], None] = lambda nano: None,
) -> None:
    """Tell the store within a second of its coming back. `caught_up` is called while nothing waits."""
    loop = asyncio.get_running_loop()
    adopted = loop.time()
    while True:
        await asyncio.sleep(INTERVAL)
        if loop.time() - adopted >= ADOPT_SECONDS:
            adopted = loop.time()
            journal.adopt()
        if not store.up:
            continue
        if len(journal) and (told := await replay(journal, store.holds, store.ledger, now, refunded)):
            log.info("the store was told what it had missed", extra={"count": told})
        if not len(journal):
            caught_up()
