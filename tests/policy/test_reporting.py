from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.ledger import SUMS, who_of
from gateway.policy.reporting import (
    GROUPS,
    Group,
    Line,
    Tally,
    day_of,
    days_of,
    midnight,
    parse_groups,
)


@dataclass
class Item:
    day: str
    who: str
    sums: tuple[int, ...]


def sums(**named: int) -> tuple[int, ...]:
    return tuple(named.get(name, 0) for name in SUMS)


DAY, NEXT = "2026-11-21", "2026-11-22"
ITEMS = [
    Item(NEXT, who_of("alice", "research", "gpt-6"), sums(requests=2, cost=50)),
    Item(DAY, who_of("alice", "research", "o3"), sums(requests=1, cost=30)),
    Item(DAY, who_of("bob", None, "gpt-6"), sums(requests=4, cost=80, hits=1)),
    Item(DAY, who_of("carol", "sales", None), sums(requests=5, cost=80)),
]


def tallied(*groups: Group) -> Tally:
    tally = Tally(groups)
    tally.add(ITEMS)
    return tally


def test_what_cost_most_is_first_and_then_by_name() -> None:
    assert tallied("key").lines() == [
        Line(("alice",), sums(requests=3, cost=80)),
        Line(("bob",), sums(requests=4, cost=80, hits=1)),
        Line(("carol",), sums(requests=5, cost=80)),
    ]
    assert [line.about for line in tallied("model").lines()] == [("gpt-6",), ("",), ("o3",)]


def test_days_ascend_wherever_they_are_named() -> None:
    assert [line.about for line in tallied("day").lines()] == [(DAY,), (NEXT,)]
    assert [line.about for line in tallied("team", "day").lines()] == [
        ("", DAY),
        ("sales", DAY),
        ("research", DAY),
        ("research", NEXT),
    ]


def test_tags_are_what_their_sums_are_named_by() -> None:
    tally = Tally(("tag",))
    tally.add([Item(DAY, "site=a", sums(cost=1)), Item(NEXT, "site=a", sums(cost=2))])
    assert tally.lines() == [Line(("site=a",), sums(cost=3))]


def test_a_model_may_have_anything_in_its_name() -> None:
    tally = Tally(("model",))
    tally.add([Item(DAY, who_of("alice", None, "gpt\t6\t"), sums(cost=1))])
    assert tally.lines() == [Line(("gpt\t6\t",), sums(cost=1))]


def test_a_report_of_nothing() -> None:
    assert (Tally(("key",)).lines(), Tally().total) == ([], sums())


amounts = st.tuples(*(st.integers(-(10**12), 10**15) for _ in SUMS))
names = st.sampled_from(["a", "b", "c"])
whos = st.builds(who_of, names, st.none() | names, st.none() | names)
items = st.lists(st.builds(Item, st.sampled_from([DAY, NEXT]), whos, amounts), max_size=12)
groupings = st.lists(st.sampled_from(["key", "team", "model", "day"]), unique=True)


@given(items, groupings, st.integers(0, 12))
def test_every_grouping_adds_up_to_the_same_however_it_is_fed(
    fed: list[Item], groups: list[Group], cut: int
) -> None:
    tally = Tally(groups)
    tally.add(fed[:cut])
    tally.add(fed[cut:])
    at_once = Tally(groups)
    at_once.add(reversed(fed))
    assert tally.lines() == at_once.lines()
    whole = tuple(map(sum, zip(*(item.sums for item in fed), strict=True))) or sums()
    assert tally.total == whole
    abouts = [line.about for line in tally.lines()]
    assert len(abouts) == len(set(abouts))


@pytest.mark.parametrize("text", ["key", "tag", "key,model", "day,team,key,model"])
def test_groups_as_they_are_written(text: str) -> None:
    assert ",".join(parse_groups(text)) == text


@pytest.mark.parametrize("text", ["", "keys", "key,", "key,key", "key, model", "tag,day", "day,tag", ","])
def test_what_is_no_grouping_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="tag stands alone" if "tag" in text else ", ".join(GROUPS)):
        parse_groups(text)


def test_days_are_those_of_the_time_zone() -> None:
    late = int(datetime(2026, 11, 22, 23, 30, tzinfo=UTC).timestamp()) * 1000
    assert day_of(late, ZoneInfo("UTC")) == date(2026, 11, 22)
    assert day_of(late, ZoneInfo("Europe/Paris")) == date(2026, 11, 23)
    assert day_of(late, ZoneInfo("America/New_York")) == date(2026, 11, 22)


def test_both_ends_belong_to_a_span_of_days() -> None:
    assert days_of(date(2026, 2, 27), date(2026, 3, 1)) == ["2026-02-27", "2026-02-28", "2026-03-01"]
    assert days_of(date(2026, 3, 1), date(2026, 3, 1)) == ["2026-03-01"]
    assert days_of(date(2026, 3, 2), date(2026, 3, 1)) == []


@given(st.dates(date(2000, 1, 1), date(2050, 1, 1)), st.sampled_from(["UTC", "Europe/Paris", "Asia/Kolkata"]))
def test_a_day_begins_at_its_midnight(day: date, name: str) -> None:
    zone = ZoneInfo(name)
    start = midnight(day, zone)
    assert day_of(start, zone) == day
    assert day_of(start - 1, zone) == day - timedelta(days=1)
