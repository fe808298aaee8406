"""What never changes of how a limit is counted, prepared once: its description for the scripts, its scale.

A claim of a reservation takes a third of the time that way: 0.9 µs instead of 2.8.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.policy.records import Claim, Kind, Limit, Standing
from gateway.policy.windows import UNKNOWN_MS, Calendar, Reading, Span, meter_of, standing
from gateway.store.counters import KEPT_MS, nonsense

_REMEMBERED: Final = 65_536  # limits; then all are prepared anew
_UNBOUNDED: Final = float("inf")

_pack = msgspec.msgpack.Encoder().encode
_integers = msgspec.msgpack.Decoder(list[int]).decode


def text(content: bytes) -> msgspec.Raw:
    """A string of msgpack from bytes that need be no UTF-8: the scripts read no binary of msgpack."""
    size = len(content)
    if size < 2**16:
        return msgspec.Raw(b"\xda" + size.to_bytes(2, "big") + content)
    return msgspec.Raw(b"\xdb" + size.to_bytes(4, "big") + content)


def flat(values: Sequence[object]) -> bytes:
    """These values packed one behind the other, without the array around them."""
    packed = _pack(values)
    return packed[1:] if len(values) < 16 else packed[3:]


def array(packed: bytes, count: int) -> list[int]:
    """`flat` of that many integers, read again."""
    return _integers(b"\xdc" + count.to_bytes(2, "big") + packed)


class Gauge:
    """One limit in one window.

    `end` is when that ends (ms); None: never. `name` is what its counter is called. `charged` and `held`
    describe it to the scripts, for claims that are charged at once and for those that are set aside; lib.lua
    says what is in there.
    """

    __slots__ = ("_span", "charged", "end", "held", "kind", "leak", "limit", "meter", "name", "scale")

    def __init__(self, limit: Limit, calendar: Calendar, now: int) -> None:
        """Raises ValueError where the limit is too large to be counted exactly."""
        meter = meter_of(limit)
        self.limit = limit
        self.meter, self.kind, self.scale, self.leak = meter.id, meter.kind, meter.scale, meter.leak
        self._span = span_of(limit, calendar, now)
        self.end = None if self._span is None else self._span.end
        self.name = self.meter if self._span is None else f"{self.meter}:{self._span.id}"
        self.charged = self._description(held=False)
        self.held = self._description(held=True)

    def holds(self, now: int) -> bool:
        return self._span is None or self._span.holds(now)

    def _description(self, held: bool) -> bytes:
        slots = self.kind is Kind.CONCURRENCY
        cap = _UNBOUNDED if self.limit.shadow else self.limit.amount * self.scale
        forever = self._span is not None and self.end is None
        life = 0 if forever else KEPT_MS
        described = (
            *(self.name, self.meter, self.limit.unit, slots, held),
            *(self.scale, self.leak, cap, life, self.end or 0),
        )
        return flat(described)

    def standing(self, asked: int, level: int, held: int, ahead: int, now: int, admitted: bool) -> Standing:
        """As `policy.windows.standing`, without what that has to find out each time where the claim fits."""
        after = held + asked
        counted = level + after * self.scale
        if not admitted or counted > self.limit.amount * self.scale:
            left = None if self.end is None else self.end - now
            return standing(self.limit, asked, Reading(level, held, ahead), left, admitted)
        used = -(-level // self.scale) + after
        if counted == 0:
            reset = 0
        elif self.leak:
            reset = ahead - (-counted // self.leak)
        elif self.kind is Kind.BUDGET:
            reset = -1 if self.end is None else self.end - now
        else:
            reset = UNKNOWN_MS if self.kind is Kind.CONCURRENCY else -1
        return Standing(self.limit, used, 0, reset, after, asked)

    def __repr__(self) -> str:
        return f"<Gauge {self.limit.text!r}>"


def span_of(limit: Limit, calendar: Calendar, now: int) -> Span | None:
    """The window of the calendar in which a budget is counted; None for what is no budget."""
    if limit.window is None or limit.kind is not Kind.BUDGET:
        return None
    return calendar.span(limit.window, now)


class Gauges:
    """Those of the limits that were seen, by identity: to compare them takes longer than all the rest."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._known: dict[int, Gauge] = {}

    def of(self, limit: Limit, now: int) -> Gauge:
        """Raises ValueError where the limit is too large to be counted exactly."""
        gauge = self._known.get(id(limit))
        if gauge is not None and gauge.limit is limit and gauge.holds(now):
            return gauge
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        gauge = self._known[id(limit)] = Gauge(limit, self._calendar, now)
        return gauge

    def claimed(self, claims: Sequence[Claim], now: int) -> tuple[list[tuple[bytes, int]], list[Gauge]]:
        """The claims for the scripts (description and amount of each), and their gauges.

        Raises ValueError: the same limit twice, or an amount below zero.
        """
        asked: list[tuple[bytes, int]] = []
        gauges: list[Gauge] = []
        meters: set[str] = set()
        for claim in claims:
            gauge = self.of(claim.limit, now)
            if claim.amount < 0 or gauge.meter in meters:
                raise nonsense(claim)
            meters.add(gauge.meter)
            asked.append((gauge.held if claim.held else gauge.charged, claim.amount))
            gauges.append(gauge)
        return asked, gauges

    def __repr__(self) -> str:
        return f"<Gauges of {len(self._known)} limits>"


def standings(
    claims: Sequence[Claim], gauges: Sequence[Gauge], readings: Sequence[int], now: int, admitted: bool
) -> tuple[Standing, ...]:
    """Where the limits of these claims stand. `readings` are level, held and ahead of each."""
    found: list[Standing] = []
    at = 0
    for claim, gauge in zip(claims, gauges, strict=True):
        level, held, ahead = readings[at : at + 3]
        at += 3
        found.append(gauge.standing(claim.amount, level, held, ahead, now, admitted))
    return tuple(found)
