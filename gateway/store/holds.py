"""Quotas in Redis: `base.Holds`. What takes and ends holds is gathered: see `batch`."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from gateway.policy.records import Claim, Kind, Limit, Record, Standing, Unit, Verdict
from gateway.store import keyspace, ledger, scripts
from gateway.store.answers import RedisAnswers
from gateway.store.base import TOMBSTONE_MS, Ended, Entered
from gateway.store.batch import Batch, Command
from gateway.store.counters import HOUR_MS, Counters, meters_of
from gateway.store.counters import standings as standings_of
from gateway.store.epoch import Epoch
from gateway.store.gauges import Gauge, Gauges, array, flat, standings
from gateway.store.keyspace import ENTRY, Keyspace
from gateway.store.scripts import Runner

EXPIRED_MS = 24 * HOUR_MS  # what a late settle needs, to apply the difference
BATCH = 100  # leases ended by one script: a few milliseconds of the server's time

_RESERVE, _ENTER, _END = 1, 2, 3  # as enter.lua numbers what it can do
_LARGE = 1  # what enter answers where the entry is too large for a script: it is read by itself
_NO_ROW = ((False, False, 0, 0, 0), b"", b"")
_LACKS = -1  # what an end answers where the claims and the late row have to come along


@lru_cache(maxsize=4096)
def _listed(meters: tuple[str, ...]) -> bytes:
    return flat(meters)


class _Operations(Batch):
    """Of the holds under one hash tag, for the store of one name. On a cluster the keys are declared."""

    def __init__(self, runner: Runner, base: str, expected: str, max_rows: int, *, declared: bool) -> None:
        super().__init__(runner)
        self.expected = expected
        self._base = base
        self._max_rows = max_rows
        self._declared = declared
        self._script = scripts.SETTLE
        self._operations: list[bytes] = []
        self._keys: dict[str, None] = {keyspace.leases(base): None, keyspace.epoch(base): None}
        self._words: dict[str | bytes, int] = {}

    def word(self, word: str | bytes) -> int:
        """What many operations say is sent once: its number."""
        return self._words.setdefault(word, len(self._words) + 1)

    def claims(self, asked: Sequence[tuple[bytes, int]]) -> list[int]:
        numbers: list[int] = []
        for description, amount in asked:
            numbers += (self.word(description), amount)
        return numbers

    def add(
        self, operation: tuple[Any, ...], first: bytes, second: bytes, gauges: Sequence[Gauge] = ()
    ) -> None:
        """The two texts are not packed with the rest: that would copy them twice more."""
        self._operations += (flat(operation), first, second)
        if operation[0] != _END:
            self._script = scripts.ENTER
        if self._declared:
            self._keys[keyspace.holds(self._base) + operation[1]] = None
            for gauge in gauges:
                self._keys[keyspace.limit(self._base, gauge.name)] = None

    def command(self) -> Command:
        said = (self.expected, self._base, TOMBSTONE_MS, self._max_rows, len(self._words))
        return self._script, tuple(self._keys), (*said, *self._words, *self._operations)


class RedisHolds:
    """`timezone` is the one that calendar budgets follow; of the ledger's rows about `max_rows` stay.

    `beside`: the cached answers, where they stand on the one server that has the counters as well.
    """

    def __init__(
        self,
        runner: Runner,
        keys: Keyspace,
        epoch: Epoch,
        *,
        timezone: str,
        max_rows: int,
        cluster: bool,
        beside: RedisAnswers | None,
    ) -> None:
        self._runner = runner
        self._keyspace = keys
        self._epoch = epoch
        self._counters = Counters(timezone)
        self._gauges = Gauges(self._counters.calendar)
        self._max_rows = max_rows
        self._cluster = cluster
        self._beside = beside
        self._batches: dict[str, _Operations] = {}

    def _batch(self, base: str) -> _Operations:
        """Where the next operation goes."""
        batch = self._batches.get(base)
        if batch is not None and batch.open and batch.expected != self._epoch.expected:
            self._runner.hurry()
        if batch is None or not batch.open:
            batch = self._batches[base] = _Operations(
                self._runner, base, self._epoch.expected, self._max_rows, declared=self._cluster
            )
        return batch

    async def reserve(
        self, shard: str, hold: str, step: str, claims: Sequence[Claim], now: int, lease: int
    ) -> Verdict:
        asked, gauges = self._gauges.claimed(claims, now)
        batch = self._batch(self._keyspace.base(shard))
        claimed = batch.claims(asked)
        batch.add((_RESERVE, hold, now, lease, batch.word("answer:" + step), *claimed), b"", b"", gauges)
        status, readings = await batch.join("reserve")
        return _verdict(status, readings, claims, gauges, now)

    async def enter(
        self,
        shard: str,
        hold: str,
        admit: Sequence[Claim],
        answer: Sequence[Claim],
        now: int,
        lease: int,
        *,
        key: bytes | None = None,
        record: Record | None = None,
    ) -> Entered:
        if not self.can_enter:
            raise ValueError("the answers stand where the holds cannot see them")
        base = self._keyspace.base(shard)
        admitted, admitting = self._gauges.claimed(admit, now)
        asked, answering = self._gauges.claimed(answer, now)
        row = b"" if record is None else self._row(record)
        entry = b"" if key is None else ENTRY + key
        batch = self._batch(base)
        steps = batch.word("answer:admit"), batch.word("answer:reserve")
        claims = batch.claims(admitted), batch.claims(asked)
        operation = (_ENTER, hold, now, lease, *steps, len(admitted), *claims[0], *claims[1])
        batch.add(operation, entry, row, (*admitting, *answering))
        status, readings, kept, *more = await batch.join("enter")
        verdict = _verdict(status, readings, admit, admitting, now)
        if kept == _LARGE and key is not None and self._beside is not None:
            kept = await self._beside.get(key)
            if kept is None:  # it has ended meanwhile
                return await self.enter(shard, hold, admit, answer, now, lease, record=record)
        if kept is not None or not more:
            return Entered(verdict, kept)
        return Entered(verdict, None, _verdict(more[0], more[1], answer, answering, now))

    @property
    def can_enter(self) -> bool:
        return self._beside is not None and not self._cluster

    def dispatch(self, shard: str, hold: str, now: int, lease: int, record: Record | None = None) -> None:
        base = self._keyspace.base(shard)
        row = b"" if record is None else self._row(record)
        keys = [keyspace.holds(base) + hold, keyspace.leases(base), keyspace.epoch(base)]
        self._runner.post(scripts.DISPATCH, keys, (self._epoch.expected, hold, now, lease, row))

    async def settle(
        self,
        shard: str,
        hold: str,
        spent: Mapping[Unit, int],
        now: int,
        record: Record | None = None,
        *,
        claims: Sequence[Claim] = (),
        claimed: int | None = None,
    ) -> Ended:
        if any(amount < 0 for amount in spent.values()):
            raise ValueError("nothing can be spent less than not at all")
        counted = [claim for claim in claims if claim.limit.window is not None]
        base = self._keyspace.base(shard)
        ended = await self._end("settle", base, hold, spent, now, record, meters_of(counted))
        if ended == _LACKS:
            given = self._gauges.claimed(counted, now if claimed is None else claimed)
            ended = await self._end("settle", base, hold, spent, now, record, (), given)
        return Ended(ended)

    async def release(self, shard: str, hold: str, now: int, record: Record | None = None) -> Ended:
        base = self._keyspace.base(shard)
        ended = await self._end("release", base, hold, None, now, record)
        if ended == _LACKS:
            ended = await self._end("release", base, hold, None, now, record, (), ([], []))
        return Ended(ended)

    def _end(
        self,
        name: str,
        base: str,
        hold: str,
        spent: Mapping[Unit, int] | None,
        now: int,
        record: Record | None,
        meters: Sequence[str] = (),
        given: tuple[Sequence[tuple[bytes, int]], Sequence[Gauge]] | None = None,
    ) -> asyncio.Future[Any]:
        """`given` are the claims. Without them the late row is left out as well: they are rarely needed."""
        batch = self._batch(base)
        listed = batch.word(_listed(tuple(meters))) if meters else 0
        asked, gauges = ((), ()) if given is None else (batch.claims(given[0]), given[1])
        numbers, row, late = _NO_ROW if record is None else self._rows(batch, record, late=given is not None)
        operation = (_END, hold, now, False if spent is None else spent, listed, *numbers, *asked)
        batch.add(operation, row, late, gauges)
        return batch.join(name)

    async def renew(self, shard: str, holds: Sequence[str], now: int, lease: int) -> int:
        base = self._keyspace.base(shard)
        prefix = keyspace.holds(base)
        renewed = 0
        for start in range(0, len(holds), BATCH):
            some = holds[start : start + BATCH]
            keys = [keyspace.leases(base), keyspace.epoch(base), *(prefix + hold for hold in some)]
            args: list[str | int] = [self._epoch.expected, now, lease, base, *some]
            renewed += int(await self._runner.run(scripts.RENEW, keys, args))
        return renewed

    async def expire(self, now: int) -> list[bytes]:
        return [row for base in self._keyspace.bases for row in await self._expire(base, now)]

    async def _expire(self, base: str, now: int) -> list[bytes]:
        keys = (keyspace.leases(base), keyspace.epoch(base))
        args = (self._epoch.expected, now, BATCH, EXPIRED_MS, base, self._max_rows)
        ended: list[bytes] = []
        while some := await self._runner.run(scripts.EXPIRE, keys, args):
            ended += some
            if len(some) < BATCH:
                break
        return ended

    async def restore(self, shard: str, used: Sequence[tuple[Limit, int]], now: int) -> None:
        """Limits that are no budgets are passed over: what they forget anyway is not worth restoring."""
        base = self._keyspace.base(shard)
        claims = [Claim(limit, amount, held=False) for limit, amount in used if limit.kind is Kind.BUDGET]
        if claims:
            keys: list[str] = []
            packed, _ = self._counters.pack(base, claims, keys, now)
            await self._runner.run(scripts.RESTORE, keys, (now, packed))

    async def standings(self, shard: str, limits: Sequence[Limit], now: int) -> tuple[Standing, ...]:
        if not limits:
            return ()
        claims = [Claim(limit, 0, held=True) for limit in limits]
        keys: list[str] = []
        packed, ends = self._counters.pack(self._keyspace.base(shard), claims, keys, now)
        answer = await self._runner.run(scripts.STANDINGS, keys, (now, packed))
        return standings_of(claims, answer, ends, now, admitted=False)

    def _row(self, record: Record) -> bytes:
        """The record, for the scripts."""
        self._check_chain()
        return ledger.pack(record)

    def _rows(
        self, batch: _Operations, record: Record, *, late: bool
    ) -> tuple[tuple[Any, ...], bytes, bytes]:
        """What conclude.lua reads of a record, the row, and the late one where it is to come along."""
        self._check_chain()
        account = batch.word(ledger.account(record.key, record.day, record.who))
        sums, tags = record.sums, record.tags
        if late and record.late:
            late_who = record.late_who or record.who
            late_account = batch.word(ledger.account(record.key, record.day, late_who))
            counts = (account, late_account, len(sums), len(record.late_sums), len(tags))
            return (*counts, *sums, *record.late_sums, *tags), record.row, record.late
        left_out = False if record.late else 0
        return (account, account, len(sums), left_out, len(tags), *sums, *tags), record.row, b""

    def _check_chain(self) -> None:
        """Raises ValueError where several tags would make several chains."""
        if len(self._keyspace.bases) > 1:
            raise ValueError("the ledger is one chain: it needs one hash tag")

    def __repr__(self) -> str:
        return f"<RedisHolds {self._counters!r} {self._keyspace!r}>"


def _verdict(
    status: int, readings: bytes, claims: Sequence[Claim], gauges: Sequence[Gauge], now: int
) -> Verdict:
    if status < 0:
        return Verdict(False)
    admitted = status == 1
    return Verdict(admitted, standings(claims, gauges, array(readings, 3 * len(claims)), now, admitted))
