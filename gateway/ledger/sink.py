"""The database that the ledger is drained into."""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from gateway.ledger import queries, target
from gateway.ledger.columns import COLUMNS, differing, entry, kept_of
from gateway.ledger.database import Database
from gateway.ledger.failures import SinkMisconfigured, SinkUnavailable
from gateway.ledger.filter import EVERYTHING, Filter
from gateway.ledger.postgresql import Postgres
from gateway.ledger.sqlite import Sqlite
from gateway.store.base import Kept

T = TypeVar("T")

_DEADLINE = 30.0  # seconds for one call: a year of one key's rows is read in less
_FAREWELL = 2.0
_DAY_MS = 86_400_000
_KEPT = tuple(COLUMNS.index(name) for name in ("position_ms", "position_seq", "number", "row", "hash"))


@dataclass(frozen=True, slots=True)
class Spent:
    """What was used on one day (UTC, `2026-11-22`). `model` is what was asked for, `sent` what was sent.

    `requests` are those that were not refused by the gateway, `cost` is in nano-dollars.
    """

    key: str | None
    team: str | None
    model: str | None
    sent: str | None
    day: str
    requests: int
    input: int
    output: int
    cost: int

    @property
    def tokens(self) -> int:
        return self.input + self.output


@dataclass(frozen=True, slots=True)
class Audited:
    """A row, and the first of its columns that does not say what its text says ("": none)."""

    kept: Kept
    differing: str


class Sink:
    """One table, one connection, one thread that works with it: the event loop never waits.

    A database that went away is tried again with each call. Every method raises SinkUnavailable.
    """

    def __init__(self, database: Database, deadline: float = _DEADLINE) -> None:
        self._database = database
        self._deadline = deadline
        self._closed = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger sink")

    @classmethod
    def of(cls, text: str) -> "Sink":
        """Not connected yet: what begins to drain may wait for its database. Raises SinkMisconfigured."""
        place = target.parse(text)
        return cls(Postgres(place.url) if place.url else Sqlite(Path(place.path)))

    @classmethod
    async def open(cls, text: str) -> "Sink":
        """Connected, and the table is there. `text` is as `target.parse` reads it.

        Raises SinkMisconfigured where the database, or the address, can never be used.
        """
        sink = cls.of(text)
        try:
            await sink._do(lambda: sink._database.select(*queries.newest(None, 1, EVERYTHING, "")))
        except BaseException:
            await sink.close()
            raise
        return sink

    async def insert(self, rows: Sequence[Kept]) -> int:
        """Those that are not there yet, all or none; how many were new.

        A row is there when its position is, or its request's id with the same `correction`.
        """
        return await self._ask(lambda: self._database.insert([entry(row) for row in rows]))

    async def last(self) -> Kept | None:
        """The one that stands last; None: the table is empty."""
        return next(iter(await self.newest(None, 1)), None)

    async def newest(self, before: str | None, count: int, where: Filter = EVERYTHING) -> list[Kept]:
        """Newest first, before this position. Raises ValueError for what is no position."""
        return await self._kept(queries.newest(before, count, where, self._database.has_tag))

    async def oldest(self, after: str | None, count: int, where: Filter = EVERYTHING) -> list[Kept]:
        """Oldest first, after this position. Raises ValueError for what is no position."""
        return await self._kept(queries.oldest(after, count, where, self._database.has_tag))

    async def audit(self, after: str | None, count: int) -> list[Audited]:
        """As `oldest`, with all columns compared with the text that the chain covers."""
        query = queries.whole(after, count)
        return await self._ask(lambda: [_audited(values) for values in self._database.select(*query)])

    async def spent_since(self, since: int) -> list[Spent]:
        """What was used by requests that began at `since` (ms) or later, added up."""
        rows = await self._select(queries.spent(since))
        return [_spent(row) for row in rows if row[0] is not None]

    async def close(self) -> None:
        """Waits for what is under way, but not for a database that hangs. What is asked later fails."""
        if self._closed:
            return
        try:
            with contextlib.suppress(SinkUnavailable):
                await self._ask(self._database.close, min(self._deadline, _FAREWELL))
        finally:
            self._closed = True
            self._thread.shutdown(wait=False)

    async def _kept(self, query: queries.Query) -> list[Kept]:
        return await self._ask(lambda: [kept_of(*values) for values in self._database.select(*query)])

    async def _select(self, query: queries.Query) -> list[tuple[Any, ...]]:
        return await self._ask(functools.partial(self._database.select, *query))

    async def _ask(self, work: Callable[[], T], deadline: float | None = None) -> T:
        """For whoever calls, a database that must be changed first is one that is away."""
        try:
            return await self._do(work, deadline)
        except SinkMisconfigured as error:
            raise SinkUnavailable(str(error)) from None

    async def _do(self, work: Callable[[], T], deadline: float | None = None) -> T:
        """Done in the thread; the rows are taken apart there as well."""
        if self._closed:
            raise SinkUnavailable("The ledger's database has been closed.")
        try:
            async with asyncio.timeout(deadline or self._deadline):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError:
            self._database.abort()
            raise SinkUnavailable("The ledger's database takes too long.") from None

    def __repr__(self) -> str:
        return f"<Sink {self._database!r}>"


def _audited(values: tuple[Any, ...]) -> Audited:
    return Audited(kept_of(*(values[at] for at in _KEPT)), differing(values))


def _spent(row: tuple[Any, ...]) -> Spent:
    key, team, model, sent, day, requests, *tokens, cost = row
    when = datetime.fromtimestamp(day * _DAY_MS // 1000, UTC)
    read, written = map(int, tokens)
    return Spent(key, team, model, sent, f"{when:%Y-%m-%d}", int(requests), read, written, int(cost))
