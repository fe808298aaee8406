import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.alerting import Notice, due, exhausted, payload, settled
from gateway.policy.limits import parse_limit
from gateway.policy.records import Limit, Standing, Window
from gateway.policy.windows import FOREVER, Calendar

NOW = 1_790_000_000_000  # 2026-09-21 14:13:20 UTC
DAY = Calendar("UTC").span(Window.DAY, NOW)
HOUR = 3_600_000
FIVE = parse_limit("$5/day", "team:research")
NANO = 10**9


def standing(used: int, *, held: int = 0, asked: int = 0, retry: int = 0, limit: Limit = FIVE) -> Standing:
    """`used` is settled; `held` comes on top of it."""
    return Standing(limit, used + held, retry, 1000, held, asked)


def shares(*given: Any, **more: Any) -> list[int]:
    return [notice.share for notice in due(standing(*given, **more), DAY, (80, 100))]


@pytest.mark.parametrize(
    ("used", "told"), [(4 * NANO - 1, []), (4 * NANO, [80]), (5 * NANO - 1, [80]), (5 * NANO, [80, 100])]
)
def test_a_share_is_due_from_the_nano_dollar_that_reaches_it(used: int, told: list[int]) -> None:
    assert shares(used) == told


@given(st.integers(0, 10**13), st.integers(1, 10**13), st.lists(st.integers(1, 100), max_size=8))
def test_every_share_that_is_reached_is_due_once_and_in_order(used: int, amount: int, at: list[int]) -> None:
    limit = Limit("$1/day", FIVE.unit, amount, Window.DAY, "gateway")
    found = [notice.share for notice in due(standing(used, limit=limit), DAY, at)]
    assert found == sorted({share for share in at if used >= share * amount / 100})


def test_what_open_requests_have_reserved_is_not_spent() -> None:
    assert settled(standing(NANO, held=4 * NANO)) == NANO
    assert shares(NANO, held=4 * NANO) == []


def test_a_refusal_is_the_whole_of_a_budget_that_is_rarely_hit_exactly() -> None:
    refused = standing(3 * NANO, asked=3 * NANO, retry=HOUR)
    (notice,) = due(refused, DAY, (80, 100))
    assert (notice.share, notice.used, notice.refused) == (100, 3 * NANO, True)
    eighty, whole = due(standing(4 * NANO, asked=3 * NANO, retry=HOUR), DAY, (80, 100))
    assert (eighty.refused, whole.refused) == (False, True)


@pytest.mark.parametrize(
    "refused",
    [
        standing(NANO, asked=6 * NANO, retry=-1),  # it would not fit into an empty budget either
        standing(NANO, held=3 * NANO, asked=2 * NANO, retry=HOUR),  # in a moment there may be room
        standing(5 * NANO - 1, asked=1),  # it was another limit that refused
    ],
)
def test_not_every_refusal_says_that_a_budget_is_used_up(refused: Standing) -> None:
    assert not exhausted(refused)


def test_what_is_told_once_has_a_name_by_limit_amount_window_and_share() -> None:
    one = Notice(FIVE, 80, 4 * NANO, DAY)
    raised = parse_limit("$10/day", "team:research")
    tomorrow = Calendar("UTC").span(Window.DAY, NOW + 24 * HOUR)
    others = [
        Notice(FIVE, 100, 4 * NANO, DAY),
        Notice(raised, 80, 8 * NANO, DAY),  # its counter is the same one, and its shares are others
        Notice(FIVE, 80, 4 * NANO, tomorrow),
        Notice(parse_limit("$5/day", "team:sales"), 80, 4 * NANO, DAY),
        Notice(parse_limit({"limit": "$5/day", "mode": "shadow"}, "team:research"), 80, 4 * NANO, DAY),
    ]
    assert raised.id == FIVE.id
    assert len({notice.name for notice in (one, *others)}) == 6
    assert len({notice.id for notice in (one, *others)}) == 6
    assert one.name == Notice(FIVE, 80, 5 * NANO, DAY).name


def test_it_is_remembered_past_the_windows_end() -> None:
    assert DAY.end is not None
    assert Notice(FIVE, 80, 0, DAY).ttl(NOW) == DAY.end - NOW + 24 * HOUR
    assert Notice(FIVE, 80, 0, DAY).ttl(DAY.end + HOUR) == 24 * HOUR
    assert Notice(FIVE, 80, 0, FOREVER).ttl(NOW) == 365 * 24 * HOUR


def test_what_nobody_can_act_on_any_more_is_stale() -> None:
    assert DAY.end is not None
    assert not Notice(FIVE, 80, 0, DAY).stale(DAY.end + HOUR - 1)
    assert Notice(FIVE, 80, 0, DAY).stale(DAY.end + HOUR)
    assert not Notice(FIVE, 80, 0, FOREVER).stale(NOW * 2)


def told(notice: Notice) -> dict[str, Any]:
    return dict(json.loads(payload(notice, NOW)))


def test_the_payload_says_all_of_it() -> None:
    notice = Notice(FIVE, 80, 4_020_000_000, DAY)
    assert told(notice) == {
        "event": "budget",
        "id": notice.id,
        "share": 80,
        "limit": "$5/day",
        "scope": "team:research",
        "used": "4.02",
        "amount": "5",
        "unit": "dollars",
        "window_ends": "2026-09-22T00:00:00Z",
        "mode": "enforce",
        "refused": False,
        "sent_at": "2026-09-21T14:13:20Z",
        "text": "`$5/day` of `team:research` has reached 80 %: $4.02 of $5 used. "
        "A new window begins at 2026-09-22T00:00:00Z.",
    }


def test_of_a_refusal_it_says_what_is_used_and_not_that_all_is() -> None:
    line = told(Notice(FIVE, 100, 4_900_000_001, DAY, refused=True))
    assert (line["share"], line["used"], line["refused"]) == (100, "4.900000001", True)
    assert "exhausted: a request was refused with $4.900000001 of $5 used" in line["text"]


def test_a_total_has_no_end_and_a_shadow_refuses_nothing() -> None:
    limit = parse_limit({"limit": "1M tokens total", "mode": "shadow"}, "gateway")
    line = told(Notice(limit, 100, 1_200_000, FOREVER))
    assert (line["window_ends"], line["mode"], line["unit"]) == (None, "shadow", "tokens")
    assert line["text"] == (
        "`1M tokens/total` of `gateway` has reached 100 %: 1200000 of 1000000 tokens used. "
        "It is in shadow mode: nothing is refused."
    )


def test_a_name_calls_nobody_and_is_no_markup() -> None:
    limit = Limit("$5/day on <!channel>`@here&", FIVE.unit, 5 * NANO, Window.DAY, "team:a")
    text = told(Notice(limit, 80, 4 * NANO, DAY))["text"]
    assert text.startswith("`$5/day on &lt;!channel&gt;'@here&amp;` of `team:a` has")
