"""Quotas in Redis: `base.Holds`, one script per method."""

from collections.abc import Mapping, Sequence

import msgspec

from gateway.policy.records import Claim, Kind, Limit, Standing, Unit, Verdict
from gateway.policy.windows import Calendar, Meter, Reading, meter_of, standing
from gateway.store import keyspace, scripts
from gateway.store.keyspace import Keyspace
from gateway.store.scripts import Runner

HOUR_MS = 3_600_000
KEPT_MS = 35 * 24 * HOUR_MS  # idle counters, and windows after their end
TOMBSTONE_MS = HOUR_MS // 6  # long after the last command that could still be under way for an ended hold
EXPIRED_MS = 24 * HOUR_MS  # what a late settle needs, to apply the difference
BATCH = 100  # leases ended by one script: about a millisecond of the server's time

_pack = msgspec.msgpack.Encoder().encode


class _Claim(msgspec.Struct):
    """One claim as the scripts read it; lib.lua says what the fields mean."""

    unit: str
    amount: int
    cap: int
    scale: int
    leak: int
    ttl: int
    held: bool
    slots: bool
    shadow: bool


class RedisHolds:
    """`timezone` is the one that calendar budgets follow."""

    def __init__(self, runner: Runner, keys: Keyspace, timezone: str) -> None:
        self._runner = runner
        self._keyspace = keys
        self._calendar = Calendar(timezone)

    async def reserve(
        self, shard: str, hold: str, step: str, claims: Sequence[Claim], now: int, lease: int
    ) -> Verdict:
        base = self._keyspace.base(shard)
        keys = [keyspace.holds(base) + hold, keyspace.leases(base)]
        packed, ends = self._pack(base, claims, keys, now)
        answer = await self._runner.run(scripts.RESERVE, keys, (hold, step, now, lease, packed))
        if answer[0] < 0:
            return Verdict(False)
        admitted = answer[0] == 1
        return Verdict(admitted, _standings(claims, answer[1:], ends, now, admitted))

    def dispatch(self, shard: str, hold: str) -> None:
        base = self._keyspace.base(shard)
        self._runner.post(scripts.DISPATCH, (keyspace.holds(base) + hold,), ())

    async def settle(self, shard: str, hold: str, spent: Mapping[Unit, int], now: int) -> bool:
        if any(amount < 0 for amount in spent.values()):
            raise ValueError("nothing can be spent less than not at all")
        base = self._keyspace.base(shard)
        keys = (keyspace.holds(base) + hold, keyspace.leases(base))
        ended = await self._runner.run(scripts.SETTLE, keys, (hold, now, TOMBSTONE_MS, _pack(spent)))
        return bool(ended)

    async def release(self, shard: str, hold: str, now: int) -> bool:
        base = self._keyspace.base(shard)
        keys = (keyspace.holds(base) + hold, keyspace.leases(base))
        return bool(await self._runner.run(scripts.RELEASE, keys, (hold, now, TOMBSTONE_MS)))

    async def renew(self, shard: str, holds: Sequence[str], now: int, lease: int) -> int:
        base = self._keyspace.base(shard)
        prefix = keyspace.holds(base)
        renewed = 0
        for start in range(0, len(holds), BATCH):
            some = holds[start : start + BATCH]
            keys = [keyspace.leases(base), *(prefix + hold for hold in some)]
            renewed += int(await self._runner.run(scripts.RENEW, keys, (now, lease, *some)))
        return renewed

    async def expire(self, now: int) -> int:
        return sum([await self._expire(base, now) for base in self._keyspace.bases])

    async def _expire(self, base: str, now: int) -> int:
        args = (now, BATCH, EXPIRED_MS, keyspace.holds(base))
        ended = 0
        while some := int(await self._runner.run(scripts.EXPIRE, (keyspace.leases(base),), args)):
            ended += some
            if some < BATCH:
                break
        return ended

    async def standings(self, shard: str, limits: Sequence[Limit], now: int) -> tuple[Standing, ...]:
        if not limits:
            return ()
        claims = [Claim(limit, 0, held=True) for limit in limits]
        keys: list[str] = []
        packed, ends = self._pack(self._keyspace.base(shard), claims, keys, now)
        answer = await self._runner.run(scripts.STANDINGS, keys, (now, packed))
        return _standings(claims, answer, ends, now, admitted=False)

    def _pack(
        self, base: str, claims: Sequence[Claim], keys: list[str], now: int
    ) -> tuple[bytes, list[int | None]]:
        """The claims for the scripts, and when the window of each ends; adds their counters to `keys`.

        Raises ValueError: the same limit twice, or an amount below zero.
        """
        records: list[_Claim] = []
        ends: list[int | None] = []
        for claim in claims:
            meter = meter_of(claim.limit)
            window, end, ttl = self._window(meter, claim.limit, now)
            key = keyspace.limit(base, meter.id, window)
            if claim.amount < 0 or key in keys:
                raise ValueError(f"the limit {claim.limit.text!r} twice, or less than nothing of it")
            keys.append(key)
            ends.append(end)
            records.append(_record(claim, meter, ttl))
        return _pack(records), ends

    def _window(self, meter: Meter, limit: Limit, now: int) -> tuple[str, int | None, int]:
        """The window's name, its end, and for how long its counter is kept (ms, 0: for ever)."""
        if meter.kind is not Kind.BUDGET or limit.window is None:
            return "", None, KEPT_MS
        span = self._calendar.span(limit.window, now)
        return span.id, span.end, KEPT_MS + span.end - now if span.end is not None else 0

    def __repr__(self) -> str:
        return f"<RedisHolds {self._calendar!r} {self._keyspace!r}>"


def _record(claim: Claim, meter: Meter, ttl: int) -> _Claim:
    return _Claim(
        unit=claim.limit.unit,
        amount=claim.amount,
        cap=claim.limit.amount,
        scale=meter.scale,
        leak=meter.leak,
        ttl=ttl,
        held=claim.held,
        slots=meter.kind is Kind.CONCURRENCY,
        shadow=claim.limit.shadow,
    )


def _standings(
    claims: Sequence[Claim], answer: Sequence[int], ends: Sequence[int | None], now: int, admitted: bool
) -> tuple[Standing, ...]:
    """`answer` is level, held and ahead of each claim."""
    return tuple(
        standing(
            claim.limit,
            claim.amount,
            Reading(*answer[3 * position : 3 * position + 3]),
            None if end is None else end - now,
            admitted,
        )
        for position, (claim, end) in enumerate(zip(claims, ends, strict=True))
    )
