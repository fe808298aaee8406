"""The ledger as one: the rows in the store's stream, and those that only the sink still has."""

from dataclasses import dataclass, field
from typing import Final

from gateway.ledger import position
from gateway.ledger.filter import EVERYTHING, Filter
from gateway.ledger.sink import Sink
from gateway.store.base import Kept, Ledger

# The store cannot filter: of a busy stream, this many rows are looked through for one call at most.
MOST_SCANNED: Final = 5000
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Page:
    """`next` is where to go on, None at the end. There may be more although no row was found."""

    rows: list[Kept] = field(default_factory=list)
    next: str | None = None


class History:
    """Rows in order, without doubles or gaps, while the stream is drained and trimmed.

    Positions are cursors: ValueError for what is none. Raises StoreUnavailable, and SinkUnavailable where the
    sink is needed.
    """

    def __init__(self, ledger: Ledger, sink: Sink | None) -> None:
        self._ledger = ledger
        self._sink = sink

    async def newest(self, before: str | None, count: int, where: Filter = EVERYTHING) -> Page:
        """At most `count` rows before a position (None: from the newest on), newest first.

        The stream first: what leaves it meanwhile is in the sink, whose turn comes afterwards.
        """
        _check(before)
        walk = _Walk(before, count, where)
        while not walk.over:
            rows = await self._ledger.newest(walk.at, _PAGE)
            walk.take(rows)
            if len(rows) < _PAGE and not walk.full:
                return await self._newest_of_sink(walk)
        return walk.page()

    async def oldest(self, after: str | None, count: int, where: Filter = EVERYTHING) -> Page:
        """At most `count` rows after a position (None: from the oldest on), oldest first.

        The sink first, as far as it has been filled; the stream has all that follows.
        """
        _check(after)
        walk = _Walk(after, count, where)
        if self._sink is not None and await self._oldest_of_sink(self._sink, walk):
            return walk.page()
        while not walk.over:
            rows = await self._ledger.oldest(walk.at, _PAGE)
            walk.take(rows)
            if len(rows) < _PAGE and not walk.full:
                return Page(walk.rows)
        return walk.page()

    async def _newest_of_sink(self, walk: "_Walk") -> Page:
        if self._sink is None:
            return Page(walk.rows)
        wanted = walk.count - len(walk.rows)
        rows = await self._sink.newest(walk.at, wanted, walk.where)
        walk.rows += rows
        return Page(walk.rows, rows[-1].position if len(rows) == wanted else None)

    async def _oldest_of_sink(self, sink: Sink, walk: "_Walk") -> bool:
        """Whether that was enough. If not, the walk goes on behind all that the sink had at the beginning."""
        end = await sink.last()
        if end is None or (walk.at is not None and not _before(walk.at, end.position)):
            return False
        walk.rows = await sink.oldest(walk.at, walk.count, walk.where)
        last = walk.rows[-1].position if walk.rows else end.position
        walk.at = last if walk.full or _before(end.position, last) else end.position
        return walk.full


class _Walk:
    """How far one call has come through the stream."""

    def __init__(self, at: str | None, count: int, where: Filter) -> None:
        if count < 1:
            raise ValueError("at least one row must be asked for")
        self.at = at
        self.count = count
        self.where = where
        self.rows: list[Kept] = []
        self._scanned = 0

    def take(self, rows: list[Kept]) -> None:
        for row in rows:
            if self.full:
                return
            self.at = row.position
            self._scanned += 1
            if self.where.matches(row.row):
                self.rows.append(row)

    @property
    def full(self) -> bool:
        return len(self.rows) >= self.count

    @property
    def over(self) -> bool:
        return self.full or self._scanned >= MOST_SCANNED

    def page(self) -> Page:
        return Page(self.rows, self.at)


def _check(cursor: str | None) -> None:
    if cursor is not None:
        position.parse(cursor)


def _before(one: str, other: str) -> bool:
    return position.parse(one) < position.parse(other)
