"""Quotas in Redis: `base.Holds`, one script per method."""

from collections.abc import Mapping, Sequence

import msgspec

from gateway.policy.records import Claim, Kind, Limit, Record, Standing, Unit, Verdict
from gateway.store import keyspace, ledger, scripts
from gateway.store.base import TOMBSTONE_MS, Ended
from gateway.store.counters import HOUR_MS, Counters, meters_of, standings
from gateway.store.epoch import Epoch
from gateway.store.keyspace import Keyspace
from gateway.store.scripts import Runner

EXPIRED_MS = 24 * HOUR_MS  # what a late settle needs, to apply the difference
BATCH = 100  # leases ended by one script: a few milliseconds of the server's time

_pack = msgspec.msgpack.Encoder().encode
_NONE = _pack([])
_LACKS = -1  # what settle answers where the claims have to come along


class RedisHolds:
    """`timezone` is the one that calendar budgets follow; of the ledger's rows about `max_rows` stay."""

    def __init__(self, runner: Runner, keys: Keyspace, epoch: Epoch, *, timezone: str, max_rows: int) -> None:
        self._runner = runner
        self._keyspace = keys
        self._epoch = epoch
        self._counters = Counters(timezone)
        self._max_rows = max_rows

    async def reserve(
        self, shard: str, hold: str, step: str, claims: Sequence[Claim], now: int, lease: int
    ) -> Verdict:
        base = self._keyspace.base(shard)
        keys = _keys(base, hold)
        packed, ends = self._counters.pack(base, claims, keys, now)
        args = (self._epoch.expected, hold, step, now, lease, packed)
        answer = await self._runner.run(scripts.RESERVE, keys, args)
        if answer[0] < 0:
            return Verdict(False)
        admitted = answer[0] == 1
        return Verdict(admitted, standings(claims, answer[1:], ends, now, admitted))

    def dispatch(self, shard: str, hold: str, now: int, lease: int, record: Record | None = None) -> None:
        base = self._keyspace.base(shard)
        args = (self._epoch.expected, hold, now, lease, self._row(base, record))
        self._runner.post(scripts.DISPATCH, _keys(base, hold), args)

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
        base = self._keyspace.base(shard)
        keys = _keys(base, hold)
        args = (self._epoch.expected, hold, now, TOMBSTONE_MS, self._row(base, record), _pack(spent))
        counted = [claim for claim in claims if claim.limit.kind is not Kind.CONCURRENCY]
        meters = _pack(meters_of(counted))
        ended = await self._runner.run(scripts.SETTLE, keys, (*args, meters, _NONE))
        if ended == _LACKS:
            given, _ = self._counters.pack(base, counted, keys, now if claimed is None else claimed)
            ended = await self._runner.run(scripts.SETTLE, keys, (*args, _NONE, given))
        return Ended(ended)

    async def release(self, shard: str, hold: str, now: int, record: Record | None = None) -> Ended:
        base = self._keyspace.base(shard)
        args = (self._epoch.expected, hold, now, TOMBSTONE_MS, self._row(base, record))
        return Ended(await self._runner.run(scripts.RELEASE, _keys(base, hold), args))

    async def renew(self, shard: str, holds: Sequence[str], now: int, lease: int) -> int:
        base = self._keyspace.base(shard)
        prefix = keyspace.holds(base)
        renewed = 0
        for start in range(0, len(holds), BATCH):
            some = holds[start : start + BATCH]
            keys = [keyspace.leases(base), keyspace.epoch(base), *(prefix + hold for hold in some)]
            args: list[str | int] = [self._epoch.expected, now, lease, *some]
            renewed += int(await self._runner.run(scripts.RENEW, keys, args))
        return renewed

    async def expire(self, now: int) -> list[bytes]:
        return [row for base in self._keyspace.bases for row in await self._expire(base, now)]

    async def _expire(self, base: str, now: int) -> list[bytes]:
        keys = (keyspace.leases(base), keyspace.epoch(base))
        args = (self._epoch.expected, now, BATCH, EXPIRED_MS, keyspace.holds(base))
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
        return standings(claims, answer, ends, now, admitted=False)

    def _row(self, base: str, record: Record | None) -> bytes:
        """The record, for the scripts. Raises ValueError where several tags would make several chains."""
        if record is not None and len(self._keyspace.bases) > 1:
            raise ValueError("the ledger is one chain: it needs one hash tag")
        return ledger.pack(base, record, self._max_rows)

    def __repr__(self) -> str:
        return f"<RedisHolds {self._counters!r} {self._keyspace!r}>"


def _keys(base: str, hold: str) -> list[str]:
    """What the scripts of one hold begin with."""
    return [keyspace.holds(base) + hold, keyspace.leases(base), keyspace.epoch(base)]
