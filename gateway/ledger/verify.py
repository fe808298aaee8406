"""Walks the whole ledger, sink and stream, and says whether its chain holds. In pieces: it may be long."""

from dataclasses import dataclass

from gateway.ledger import position
from gateway.ledger.history import History
from gateway.ledger.sink import Audited, Sink
from gateway.ledger.verifier import Broken, Verifier
from gateway.store.base import Ledger

_PAGE = 200  # rows: what the drainer says about its batches holds here, too


@dataclass(frozen=True, slots=True)
class Report:
    """What one call has found.

    `rows` were checked, the numbers `first` to `last` (None: there were none); the hash of the last that was
    right is `head`. `next` is the position to go on from, where not `done`. A ledger whose first row is not
    number 1 has lost its beginning, or let go of it: nothing is known of the row before.
    """

    rows: int
    first: int | None
    last: int | None
    head: str
    next: str | None
    done: bool
    broken: Broken | None = None


async def verify(ledger: Ledger, sink: Sink | None, after: str | None, most: int) -> Report:
    """Check at most `most` rows after a position (None: from the beginning); pass `Report.next` to go on.

    The last row of all must be the one that the store knows as its last. Raises StoreUnavailable,
    SinkUnavailable, and ValueError for what is no position.
    """
    known = await ledger.head()  # before any row is read: what it names must then be there
    walk = _Walk(ledger, sink, after, known)
    await walk.begin()
    while walk.going and walk.rows < most:
        await walk.step(min(_PAGE, most - walk.rows))
    return walk.report()


class _Walk:
    """First the sink, to its last row; then the stream."""

    def __init__(self, ledger: Ledger, sink: Sink | None, after: str | None, known: tuple[int, str]) -> None:
        self._ledger = ledger
        self._sink = sink
        self._at = after
        self._known, self._known_hash = known
        self._past_sink = sink is None
        self._verifier = Verifier()
        self._first: int | None = None
        self._done = False
        self.rows = 0

    async def begin(self) -> None:
        """The row that the previous call ended with is read again, for the next one to be linked to."""
        if self._at is not None:
            page = await History(self._ledger, self._sink).newest(position.following(self._at), 1)
            self._verifier.feed(page.rows)

    @property
    def going(self) -> bool:
        return self._verifier.ok and not self._done

    async def step(self, count: int) -> None:
        page = await self._of_sink(count) or await self._of_stream(count)
        for each in page:
            self._check(each)
            if not self._verifier.ok:
                return
            self._first = self._first or each.kept.number
            self._at = each.kept.position
            self.rows += 1
        if not page:
            self._done = True
            self._check_end()

    def report(self) -> Report:
        last = self._verifier.last
        return Report(
            rows=self.rows,
            first=self._first,
            last=last.number if last else None,
            head=self._verifier.head,
            next=self._at if self.going else None,
            done=self._done,
            broken=self._verifier.broken,
        )

    def _check(self, each: Audited) -> None:
        kept = each.kept
        self._verifier.feed([kept])
        if not self._verifier.ok:
            return
        if each.differing:
            self._verifier.broken = (
                kept.number,
                f"its column {each.differing} does not say what its row says",
            )
        elif kept.number == self._known and kept.hash != self._known_hash:
            self._verifier.broken = (kept.number, "the store knows another hash for it")

    def _check_end(self) -> None:
        """A ledger without any row may have let go of all of them: they were too old."""
        last = self._verifier.last
        if last is not None and last.number < self._known:
            self._verifier.broken = (last.number + 1, f"the rows up to {self._known} are missing")

    async def _of_sink(self, count: int) -> list[Audited]:
        if self._sink is None or self._past_sink:
            return []
        page = await self._sink.audit(self._at, count)
        self._past_sink = not page
        return page

    async def _of_stream(self, count: int) -> list[Audited]:
        return [Audited(kept, "") for kept in await self._ledger.oldest(self._at, count)]
