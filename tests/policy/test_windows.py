"""Calendar windows, and the arithmetic of where a limit stands."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.records import RATE_PERIOD_MS, Kind, Limit, Unit, Window
from gateway.policy.windows import (
    UNKNOWN_MS,
    Calendar,
    Reading,
    Span,
    meter_of,
    span_of,
    standing,
)

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "America/Sao_Paulo", "Asia/Beirut")
MINUTE = 60_000
CALENDAR = (Window.DAY, Window.WEEK, Window.MONTH)


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000


def rate(amount: int, window: Window = Window.MINUTE, shadow: bool = False) -> Limit:
    return Limit(f"{amount} tokens/{window}", Unit.TOKENS, amount, window, "key:a", shadow=shadow)


def budget(amount: int) -> Limit:
    return Limit("$", Unit.DOLLARS, amount, Window.DAY, "key:a")


def concurrent(amount: int) -> Limit:
    return Limit("n concurrent", Unit.SLOTS, amount, None, "key:a")


@pytest.mark.parametrize(
    ("window", "start", "end"),
    [
        (Window.HOUR, "2026-03-29T14:00", "2026-03-29T15:00"),
        (Window.DAY, "2026-03-29", "2026-03-30"),
        (Window.WEEK, "2026-03-23", "2026-03-30"),
        (Window.MONTH, "2026-03-01", "2026-04-01"),
    ],
)
def test_windows_begin_and_end_with_the_calendar_of_their_zone(window: Window, start: str, end: str) -> None:
    """29 March 2026 is a Sunday of 23 hours in Berlin."""
    now = at("2026-03-29T14:30", "Europe/Berlin")
    span = span_of(window, now, ZoneInfo("Europe/Berlin"))
    assert (span.start, span.end) == (at(start, "Europe/Berlin"), at(end, "Europe/Berlin"))


def test_december_is_followed_by_january() -> None:
    span = span_of(Window.MONTH, at("2026-12-31T23:59"), ZoneInfo("UTC"))
    assert span.end == at("2027-01-01")


def test_the_total_has_no_edges() -> None:
    assert span_of(Window.TOTAL, 0, ZoneInfo("UTC")) == Span("total", None, None)


instants = st.integers(at("1990-01-01"), at("2090-01-01"))


@settings(deadline=None)
@given(instants, st.sampled_from(ZONES), st.sampled_from((*CALENDAR, Window.HOUR)))
def test_windows_follow_each_other_without_gap_or_overlap(now: int, name: str, window: Window) -> None:
    zone = ZoneInfo(name)
    span = span_of(window, now, zone)
    assert span.start is not None
    assert span.end is not None
    assert span.start <= now < span.end
    assert span_of(window, span.start, zone) == span_of(window, span.end - 1, zone) == span
    following = span_of(window, span.end, zone)
    assert following.start == span.end
    assert following.id != span.id


@settings(deadline=None)
@given(st.lists(instants, max_size=8), st.sampled_from(ZONES))
def test_a_calendar_says_what_the_windows_are_in_any_order_of_instants(nows: list[int], name: str) -> None:
    calendar = Calendar(name)
    for now in nows:
        for window in (*CALENDAR, Window.TOTAL):
            assert calendar.span(window, now) == span_of(window, now, ZoneInfo(name))


def test_a_limit_beyond_exact_counting_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        meter_of(rate(2**40, Window.HOUR))
    assert meter_of(budget(10**15)).scale == 1


@st.composite
def buckets(draw: st.DrawFn) -> tuple[Limit, int, Reading]:
    window = draw(st.sampled_from(tuple(RATE_PERIOD_MS)))
    limit = rate(draw(st.integers(1, 10**8)), window)
    asked = draw(st.integers(0, limit.amount))
    held = draw(st.integers(0, limit.amount))
    level = draw(st.integers(0, 3 * limit.amount * RATE_PERIOD_MS[window]))
    return limit, asked, Reading(level, held, draw(st.integers(0, 1000)))


def leaked(limit: Limit, reading: Reading, waited: int) -> Reading:
    gone = max(0, waited - reading.ahead) * meter_of(limit).leak
    return Reading(max(0, reading.level - gone), reading.held, max(0, reading.ahead - waited))


@settings(deadline=None)
@given(buckets())
def test_who_waits_as_told_is_admitted_and_not_a_millisecond_sooner(case: tuple[Limit, int, Reading]) -> None:
    limit, asked, reading = case
    told = standing(limit, asked, reading, None, admitted=False).retry_ms
    if reading.held + asked > limit.amount:
        assert told == UNKNOWN_MS  # only open holds can make room
        return
    assert standing(limit, asked, leaked(limit, reading, told), None, admitted=False).fits
    if told:
        assert not standing(limit, asked, leaked(limit, reading, told - 1), None, admitted=False).fits


@settings(deadline=None)
@given(buckets())
def test_a_rate_is_full_again_at_its_reset(case: tuple[Limit, int, Reading]) -> None:
    limit, _, reading = case
    reading = Reading(reading.level + reading.held * meter_of(limit).scale, 0, reading.ahead)
    reset = standing(limit, 0, reading, None, admitted=False).reset_ms
    assert leaked(limit, reading, reset).level == 0
    assert reset == 0 or leaked(limit, reading, reset - 1).level > 0


def test_what_is_used_is_rounded_up_and_counts_the_admitted_claim() -> None:
    reading = Reading(level=1, held=2)
    assert standing(rate(10), 3, reading, None, admitted=True).used == 6
    assert standing(rate(10), 3, reading, None, admitted=False).used == 3


@pytest.mark.parametrize("limit", [rate(10), budget(10), concurrent(10), rate(0)])
def test_a_claim_larger_than_its_limit_never_fits(limit: Limit) -> None:
    assert standing(limit, 11, Reading(0, 0), 5, admitted=False).retry_ms == -1


def test_a_claim_of_nothing_waits_until_an_overdrawn_limit_has_recovered() -> None:
    assert standing(rate(60), 0, Reading(61 * MINUTE, 0), None, admitted=False).retry_ms == 1_000
    assert standing(rate(60), 0, Reading(60 * MINUTE, 0), None, admitted=False).fits


def test_a_limit_of_nothing_never_recovers_by_itself() -> None:
    told = standing(rate(0), 0, Reading(1, 0), None, admitted=False)
    assert (told.retry_ms, told.reset_ms) == (-1, -1)


def test_a_budget_waits_for_the_end_of_its_window() -> None:
    told = standing(budget(10), 2, Reading(9, 0), 5_000, admitted=False)
    assert (told.used, told.remaining, told.retry_ms, told.reset_ms) == (9, 1, 5_000, 5_000)


def test_a_total_that_is_spent_stays_spent() -> None:
    told = standing(budget(10), 2, Reading(9, 0), None, admitted=False)
    assert (told.retry_ms, told.reset_ms) == (-1, -1)


def test_slots_come_back_nobody_knows_when() -> None:
    told = standing(concurrent(2), 1, Reading(2, 0), None, admitted=False)
    assert (told.used, told.retry_ms, told.reset_ms) == (2, UNKNOWN_MS, UNKNOWN_MS)
    assert standing(concurrent(2), 1, Reading(1, 0), None, admitted=True).remaining == 0


def test_a_shadow_limit_says_what_it_would_have_answered() -> None:
    told = standing(rate(60, shadow=True), 1, Reading(60 * MINUTE, 0), None, admitted=True)
    assert (told.used, told.retry_ms, told.limit.kind) == (61, 1_000, Kind.RATE)


def test_windows_of_utc_are_those_of_the_epoch() -> None:
    now = int(datetime(2026, 9, 21, 12, tzinfo=UTC).timestamp()) * 1000
    assert span_of(Window.DAY, now, ZoneInfo("UTC")).start == now - now % 86_400_000
