"""Where a limit stands: calendar windows and the arithmetic of leaky buckets, in integers.

A rate keeps its level multiplied by the milliseconds of its window (`Meter.scale`), so that it leaks a whole
number (`Meter.leak`) each millisecond and nothing is ever rounded. A budget is a meter that does not leak.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from gateway.policy.records import RATE_PERIOD_MS, Kind, Limit, Standing, Window

EXACT = 2**53  # Lua counts in doubles: integers are exact below this
UNKNOWN_MS = 1_000  # when to ask again where only other requests can make room


@dataclass(frozen=True, slots=True)
class Span:
    """One window of the calendar, from `start` until before `end` (ms). None: it has no such edge."""

    id: str
    start: int | None
    end: int | None

    def holds(self, now: int) -> bool:
        return (self.start is None or self.start <= now) and (self.end is None or now < self.end)


FOREVER = Span("total", None, None)


def span_of(window: Window, now: int, zone: ZoneInfo) -> Span:
    """The window of the calendar that `now` is in. Weeks begin on Monday (ISO 8601)."""
    if window is Window.TOTAL:
        return FOREVER
    if window in RATE_PERIOD_MS:
        length = RATE_PERIOD_MS[window]
        start = now - now % length
        return Span(f"{window}-{start // length}", start, start + length)
    first, after = _DATES[window](datetime.fromtimestamp(now // 1000, zone).date())
    return Span(f"{window}-{first.isoformat()}", _midnight(first, zone), _midnight(after, zone))


def _day(today: date) -> tuple[date, date]:
    return today, today + timedelta(days=1)


def _week(today: date) -> tuple[date, date]:
    monday = today - timedelta(days=today.weekday())
    return monday, monday + timedelta(days=7)


def _month(today: date) -> tuple[date, date]:
    first = today.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)


_DATES: dict[Window, Callable[[date], tuple[date, date]]] = {
    Window.DAY: _day,
    Window.WEEK: _week,
    Window.MONTH: _month,
}


def _midnight(day: date, zone: ZoneInfo) -> int:
    """The first instant of a day. Where clocks skip midnight, that is the instant at which they skip it."""
    return int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()) * 1000


class Calendar:
    """The windows of one time zone. Remembers the latest of each sort: `now` rarely leaves it."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)
        self._latest: dict[Window, Span] = {}
        self._today = (0, 0, "")  # start and end of a day in ms, and its date

    def span(self, window: Window, now: int) -> Span:
        span = self._latest.get(window)
        if span is None or not span.holds(now):
            span = self._latest[window] = span_of(window, now, self._zone)
        return span

    def day(self, now: int) -> str:
        """The date, as in 2026-11-22."""
        start, end, date = self._today
        if not start <= now < end:
            span = self.span(Window.DAY, now)
            date = span.id.removeprefix("day-")
            self._today = (span.start or 0, span.end or 0, date)
        return date

    def __repr__(self) -> str:
        return f"<Calendar {self._zone.key}>"


@dataclass(frozen=True, slots=True)
class Meter:
    """How one limit counts: `scale` units of level per unit of the limit, and `leak` of them per ms."""

    id: str
    kind: Kind
    scale: int
    leak: int


@lru_cache(maxsize=65_536)
def meter_of(limit: Limit) -> Meter:
    """Raises ValueError where the limit is too large to be counted exactly."""
    rate = limit.kind is Kind.RATE and limit.window is not None
    scale = RATE_PERIOD_MS[limit.window] if rate and limit.window else 1
    if not 0 <= limit.amount * scale < EXACT // 2:
        raise ValueError(f"the limit {limit.text!r} is too large to be counted exactly")
    return Meter(limit.id, limit.kind, scale, limit.amount if rate else 0)


@dataclass(frozen=True, slots=True)
class Reading:
    """What the store says of one meter.

    `level` is settled, in scaled units (concurrency: taken slots); `held` is set aside by open holds, in the
    limit's unit; `ahead` is how many ms pass before the meter leaks again, because a clock went back.
    """

    level: int
    held: int
    ahead: int = 0


def standing(limit: Limit, asked: int, reading: Reading, left: int | None, admitted: bool) -> Standing:
    """Where `limit` stands, from what was read just before `asked` was claimed from it.

    `left` is ms until the calendar window ends (None: it does not, or there is none). If `admitted`, the
    claim counts as made; a shadow limit's `retry_ms` then still says what it would have answered.
    """
    meter = meter_of(limit)
    held = reading.held + (asked if admitted else 0)
    used = -(-reading.level // meter.scale) + held
    counted = reading.level + held * meter.scale
    return Standing(
        limit,
        used,
        _retry(limit, meter, asked, reading, left),
        _reset(meter, reading, counted, left),
        held,
        asked,
    )


def _retry(limit: Limit, meter: Meter, asked: int, reading: Reading, left: int | None) -> int:
    over = reading.level + (reading.held + asked - limit.amount) * meter.scale
    if over <= 0:
        return 0
    if asked > limit.amount:
        return -1
    if meter.kind is Kind.CONCURRENCY:
        return UNKNOWN_MS
    if meter.kind is Kind.BUDGET:
        return -1 if left is None else left
    if reading.held + asked > limit.amount:
        return UNKNOWN_MS
    return reading.ahead + -(-over // meter.leak) if meter.leak else -1


def _reset(meter: Meter, reading: Reading, counted: int, left: int | None) -> int:
    """-1: nothing but a changed limit brings it back."""
    if counted == 0:
        return 0
    if meter.kind is Kind.CONCURRENCY:
        return UNKNOWN_MS
    if meter.kind is Kind.BUDGET:
        return -1 if left is None else left
    return reading.ahead + -(-counted // meter.leak) if meter.leak else -1
