"""Where claims are counted: the keys of their counters, and the claims as the scripts read them."""

from collections.abc import Sequence

import msgspec

from gateway.policy.records import Claim, Kind, Limit, Standing
from gateway.policy.windows import Calendar, Meter, Reading, meter_of, standing
from gateway.store import keyspace

HOUR_MS = 3_600_000
KEPT_MS = 35 * 24 * HOUR_MS  # idle counters, and windows after their end

_pack = msgspec.msgpack.Encoder().encode


class _Claim(msgspec.Struct):
    """One claim as the scripts read it; lib.lua says what the fields mean."""

    unit: str
    amount: int
    cap: int
    meter: str
    scale: int
    leak: int
    ttl: int
    held: bool
    slots: bool
    shadow: bool


class Counters:
    """`timezone` is the one that calendar budgets follow."""

    def __init__(self, timezone: str) -> None:
        self.calendar = Calendar(timezone)

    def pack(
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
                raise nonsense(claim)
            keys.append(key)
            ends.append(end)
            records.append(_record(claim, meter, ttl))
        return _pack(records), ends

    def _window(self, meter: Meter, limit: Limit, now: int) -> tuple[str, int | None, int]:
        """The window's name, its end, and for how long its counter is kept (ms, 0: for ever)."""
        if meter.kind is not Kind.BUDGET or limit.window is None:
            return "", None, KEPT_MS
        span = self.calendar.span(limit.window, now)
        return span.id, span.end, KEPT_MS + span.end - now if span.end is not None else 0

    def __repr__(self) -> str:
        return f"<Counters {self.calendar!r}>"


def _record(claim: Claim, meter: Meter, ttl: int) -> _Claim:
    return _Claim(
        unit=claim.limit.unit,
        amount=claim.amount,
        cap=claim.limit.amount,
        meter=meter.id,
        scale=meter.scale,
        leak=meter.leak,
        ttl=ttl,
        held=claim.held,
        slots=meter.kind is Kind.CONCURRENCY,
        shadow=claim.limit.shadow,
    )


def meters_of(claims: Sequence[Claim]) -> list[str]:
    """What these claims are counted by, whatever the window. Raises ValueError as `Counters.pack` does."""
    meters: list[str] = []
    for claim in claims:
        meter = meter_of(claim.limit).id
        if claim.amount < 0 or meter in meters:
            raise nonsense(claim)
        meters.append(meter)
    return meters


def nonsense(claim: Claim) -> ValueError:
    return ValueError(f"the limit {claim.limit.text!r} twice, or less than nothing of it")


def standings(
    claims: Sequence[Claim], answer: Sequence[int], ends: Sequence[int | None], now: int, admitted: bool
) -> tuple[Standing, ...]:
    """Where the limits of these claims stand. `answer` is level, held and ahead of each."""
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
