"""Gauges: a limit is described once, and stands where `policy.windows` says that it stands."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.records import Claim, Limit, Unit, Window
from gateway.policy.windows import Calendar, Reading, standing
from gateway.store.counters import KEPT_MS
from gateway.store.gauges import Gauge, Gauges, array, flat, standings, text
from tests.store.claims import ALL, DAY, DOLLARS, SLOTS, TOKENS, claim
from tests.store.servers import NOW

MIDNIGHT = NOW - NOW % DAY + DAY
TOTAL = Limit("$5/total", Unit.DOLLARS, 500, Window.TOTAL, "key:a")
SHADOW = Limit("5 requests/hour", Unit.REQUESTS, 5, Window.HOUR, "key:a", shadow=True)
NOTHING = Limit("0 tokens/minute", Unit.TOKENS, 0, Window.MINUTE, "key:a")
limits = st.sampled_from((*ALL, TOTAL, SHADOW, NOTHING))


def described(packed: bytes) -> list[object]:
    """What the scripts read."""
    return list(msgspec.msgpack.decode(b"\xdc\x00\x0a" + packed))


def test_a_description_says_all_that_a_counter_needs() -> None:
    calendar = Calendar("UTC")
    meter = TOKENS.id
    assert described(Gauge(TOKENS, calendar, NOW).held) == [
        *(meter, meter, "tokens", False, True),
        *(60_000, 1000, 60_000_000, KEPT_MS, 0),
    ]
    name = f"{DOLLARS.id}:day-2026-09-21"
    assert described(Gauge(DOLLARS, calendar, NOW).charged) == [
        *(name, DOLLARS.id, "dollars", False, False),
        *(1, 0, DOLLARS.amount, KEPT_MS, MIDNIGHT),
    ]
    assert described(Gauge(TOTAL, calendar, NOW).held)[-2:] == [0, 0]
    assert described(Gauge(SLOTS, calendar, NOW).held)[2:5] == ["concurrent", True, True]
    assert described(Gauge(SHADOW, calendar, NOW).charged)[7] == float("inf")


def test_a_budget_is_described_anew_when_its_window_ends() -> None:
    gauges = Gauges(Calendar("UTC"))
    today = gauges.of(DOLLARS, MIDNIGHT - 1)
    assert gauges.of(DOLLARS, NOW) is today
    tomorrow = gauges.of(DOLLARS, MIDNIGHT)
    assert (today.end, tomorrow.end) == (MIDNIGHT, MIDNIGHT + DAY)
    assert tomorrow.name != today.name
    assert gauges.of(DOLLARS, MIDNIGHT - 1).name == today.name
    assert gauges.of(TOKENS, NOW) is gauges.of(TOKENS, NOW + 9 * DAY)


def test_an_equal_limit_that_is_another_has_the_same_counter() -> None:
    gauges = Gauges(Calendar("UTC"))
    raised = Limit("2000 tokens/minute", Unit.TOKENS, 2000, Window.MINUTE, TOKENS.scope)
    assert gauges.of(raised, NOW).name == gauges.of(TOKENS, NOW).name
    assert gauges.of(raised, NOW).held != gauges.of(TOKENS, NOW).held


@pytest.mark.parametrize("claims", [[claim(TOKENS), claim(TOKENS, 2)], [Claim(SLOTS, -1, True)]])
def test_nonsense_is_refused(claims: list[Claim]) -> None:
    with pytest.raises(ValueError, match="twice, or less"):
        Gauges(Calendar("UTC")).claimed(claims, NOW)


@settings(deadline=None)
@given(
    limit=limits,
    asked=st.integers(0, 5_000),
    level=st.integers(0, 2**40),
    held=st.integers(0, 5_000),
    ahead=st.integers(0, 90_000),
    now=st.integers(NOW, NOW + 3 * DAY),
    admitted=st.booleans(),
)
def test_it_stands_where_the_policy_says(
    limit: Limit, asked: int, level: int, held: int, ahead: int, now: int, admitted: bool
) -> None:
    gauge = Gauges(Calendar("UTC")).of(limit, now)
    left = None if gauge.end is None else gauge.end - now
    expected = standing(limit, asked, Reading(level, held, ahead), left, admitted)
    found = gauge.standing(asked, level, held, ahead, now, admitted)
    assert (found, found.held, found.asked) == (expected, expected.held, expected.asked)


def test_standings_are_those_of_the_claims_in_order() -> None:
    claims = [claim(TOKENS, 10), claim(SLOTS)]
    _, gauges = Gauges(Calendar("UTC")).claimed(claims, NOW)
    found = standings(claims, gauges, [60_000, 5, 0, 1, 0, 0], NOW, True)
    assert [(each.limit, each.used) for each in found] == [(TOKENS, 16), (SLOTS, 2)]


@given(st.lists(st.integers(-(2**63), 2**64 - 1), max_size=100))
def test_what_is_packed_flat_is_read_again(values: list[int]) -> None:
    assert array(flat(values), len(values)) == values


@pytest.mark.parametrize("size", [0, 1, 255, 65_535, 65_536, 70_000])
def test_bytes_are_a_string_of_msgpack(size: int) -> None:
    content = b"x" * size
    assert msgspec.msgpack.decode(bytes(text(content)), type=str).encode() == content
