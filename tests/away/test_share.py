"""What may be admitted while the store is away: never more than the share, whatever happens."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.away.share import LocalShare
from gateway.errors import QuotaExceeded, RateLimited
from gateway.policy.quota import parse_limit, ratelimit_headers, refusal
from gateway.policy.records import Claim, Limit, Standing, Unit
from gateway.settings import Away
from tests.store.servers import NOW

MINUTE, DAY = 60_000, 86_400_000
RATE = parse_limit("60 requests/minute", "key:alice")
TOKENS = parse_limit("1k tokens/minute", "key:alice")
SLOTS = parse_limit("4 concurrent", "key:alice")
DAILY = parse_limit("100 requests/day", "key:alice")
MONEY = parse_limit("$5/day", "team:research")
OPEN = Away(money="share", budgets="share", replicas=2)


def one(limit: Limit, amount: int = 1, *, held: bool = False) -> list[Claim]:
    return [Claim(limit, amount, held)]


def seen(share: LocalShare, limit: Limit, used: int, now: int = NOW) -> None:
    share.seen([Standing(limit, used, 0, 0)], now)


def admits(share: LocalShare, hold: str, claims: list[Claim], now: int = NOW) -> bool:
    verdict = share.reserve(hold, "admit", claims, now)
    assert verdict is not None
    return verdict.admitted


@pytest.mark.parametrize(
    ("setting", "limit"), [("money", MONEY), ("budgets", DAILY), ("rates", RATE), ("concurrency", SLOTS)]
)
def test_each_kind_is_refused_or_shared_by_its_setting(setting: str, limit: Limit) -> None:
    for choice in ("refuse", "share"):
        share = LocalShare(Away(**{setting: choice}))  # type: ignore[arg-type]
        seen(share, limit, 0)
        assert (share.reserve("h", "admit", one(limit), NOW) is None) == (choice == "refuse")


def test_by_default_money_and_budgets_are_refused_and_rates_are_shared() -> None:
    share = LocalShare(Away())
    for limit in (MONEY, DAILY):
        seen(share, limit, 0)
        assert share.reserve("h", "reserve", [*one(RATE), *one(limit)], NOW) is None
    assert admits(share, "h", [*one(RATE), *one(SLOTS)])


def test_a_rate_is_divided_among_the_replicas() -> None:
    share = LocalShare(Away(replicas=2))
    assert [admits(share, f"h{n}", one(RATE)) for n in range(31)] == [True] * 30 + [False]
    assert not admits(share, "later", one(RATE), NOW + 1_999)
    assert admits(share, "later", one(RATE), NOW + 2_000)


def test_a_rate_goes_on_from_where_the_store_last_saw_it() -> None:
    share = LocalShare(Away(replicas=2))
    seen(share, RATE, 55)
    assert [admits(share, f"h{n}", one(RATE)) for n in range(3)] == [True, True, False]


def test_the_refusal_names_the_clients_own_limit_and_when_obeyed_is_admitted() -> None:
    share = LocalShare(Away(replicas=2))
    assert admits(share, "h", one(RATE, 30))
    verdict = share.reserve("other", "admit", one(RATE), NOW)
    assert verdict is not None
    error = refusal(verdict.standings, one(RATE))
    assert isinstance(error, RateLimited)
    assert "60 requests/minute" in error.message
    assert error.retry_ms is not None
    assert dict(ratelimit_headers(verdict.standings)) == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1m0s",
    }
    assert admits(share, "other", one(RATE), NOW + error.retry_ms)


def test_less_than_one_for_each_replica_is_nothing_and_says_so() -> None:
    share = LocalShare(Away(replicas=61))
    verdict = share.reserve("h", "admit", one(RATE), NOW)
    assert verdict is not None
    error = refusal(verdict.standings, one(RATE))
    assert isinstance(error, RateLimited)
    assert error.retry_ms


def test_all_or_nothing() -> None:
    share = LocalShare(Away())
    assert admits(share, "a", one(SLOTS, 4))
    assert not admits(share, "b", [*one(RATE, 60), *one(SLOTS)])
    assert admits(share, "c", one(RATE, 60))


def test_slots_come_back_once() -> None:
    share = LocalShare(Away(replicas=2))
    assert admits(share, "a", one(SLOTS, 2))
    share.settle("a", {}, NOW)
    share.release("a", NOW)
    assert admits(share, "b", one(SLOTS))
    assert admits(share, "c", one(SLOTS))
    assert not admits(share, "d", one(SLOTS))


def test_requests_that_the_store_admitted_have_their_slots() -> None:
    share = LocalShare(Away())
    share.took("before", one(SLOTS, 3))
    assert admits(share, "a", one(SLOTS))
    assert not admits(share, "b", one(SLOTS))
    share.settle("before", {}, NOW)
    share.took("between", one(SLOTS, 2))
    assert admits(share, "b", one(SLOTS))
    assert not admits(share, "c", one(SLOTS))
    share.clear()
    share.settle("between", {}, NOW)
    assert admits(share, "c", one(SLOTS, 2))


def test_what_is_held_does_not_leak_and_what_was_spent_does() -> None:
    share = LocalShare(Away())
    assert admits(share, "a", one(TOKENS, 1_000, held=True))
    assert not admits(share, "b", one(TOKENS, 1, held=True), NOW + MINUTE)
    share.settle("a", {Unit.TOKENS: 400}, NOW + MINUTE)
    assert admits(share, "b", one(TOKENS, 600, held=True), NOW + MINUTE)


def test_a_step_that_is_asked_again_is_answered_again() -> None:
    share = LocalShare(Away())
    first = share.reserve("a", "admit", one(RATE), NOW)
    assert share.reserve("a", "admit", one(RATE), NOW) is first
    assert admits(share, "b", one(RATE, 59))


def test_of_a_budget_there_is_a_part_of_what_was_left() -> None:
    share = LocalShare(OPEN)
    assert share.reserve("h", "reserve", one(DAILY), NOW) is None  # never read
    seen(share, DAILY, 91)
    assert [admits(share, f"h{n}", one(DAILY)) for n in range(4)] == [True] * 4
    assert share.reserve("over", "reserve", one(DAILY), NOW) is None  # there may be more: ask the store


def test_a_budget_that_is_used_up_is_refused_as_that() -> None:
    share = LocalShare(OPEN)
    seen(share, DAILY, 100)
    verdict = share.reserve("h", "reserve", one(DAILY), NOW)
    assert verdict is not None
    assert isinstance(refusal(verdict.standings, one(DAILY)), QuotaExceeded)
    assert verdict.standings[0].retry_ms == DAY - NOW % DAY


def test_a_new_window_brings_a_new_share_and_takes_nothing_back_from_the_old_one() -> None:
    share = LocalShare(OPEN)
    seen(share, DAILY, 100)
    tomorrow = NOW - NOW % DAY + DAY
    assert admits(share, "a", one(DAILY, 50), tomorrow)
    assert share.reserve("b", "admit", one(DAILY), tomorrow + 1) is None
    assert admits(share, "b", one(DAILY, 50), tomorrow + DAY)
    share.release("a", tomorrow + DAY)
    assert share.reserve("c", "admit", one(DAILY), tomorrow + DAY) is None


def test_a_store_that_comes_and_goes_gives_nobody_a_share_each_time() -> None:
    share = LocalShare(OPEN)
    for limit in (RATE, DAILY):
        seen(share, limit, 0)
    assert admits(share, "a", [*one(RATE, 30), *one(DAILY, 50)])
    share.clear()
    assert share.reserve("b", "admit", one(DAILY), NOW) is None
    assert not admits(share, "b", one(RATE))
    seen(share, DAILY, 50)
    assert admits(share, "b", one(DAILY, 25))
    assert share.reserve("c", "admit", one(DAILY), NOW) is None


def test_limits_in_shadow_mode_refuse_nobody() -> None:
    share = LocalShare(Away())
    shadow = parse_limit({"limit": "$1/day", "mode": "shadow"}, "key:alice")
    assert admits(share, "h", one(shadow, 10**12, held=True))


def test_it_knows_what_was_used_in_this_window() -> None:
    share = LocalShare(Away())
    seen(share, DAILY, 7)
    assert share.last_used(DAILY, NOW) == 7
    assert share.last_used(DAILY, NOW + DAY) == 0
    assert share.last_used(MONEY, NOW) == 0


def test_what_was_used_is_known_once_a_request_has_ended() -> None:
    """The store spoke of it while the request was under way, with what was set aside for it."""
    share = LocalShare(Away())
    for hold in ("a", "b", "c"):
        seen(share, MONEY, 1000)
        share.took(hold, one(MONEY, 300, held=True))
    share.settle("a", {Unit.DOLLARS: 70}, NOW)
    assert share.last_used(MONEY, NOW) == 770
    share.settle("a", {Unit.DOLLARS: 70}, NOW)
    share.release("b", NOW)
    assert share.last_used(MONEY, NOW) == 470
    seen(share, MONEY, 40, NOW + DAY)  # the next window has nothing of the third
    share.settle("c", {Unit.DOLLARS: 0}, NOW + DAY)
    assert share.last_used(MONEY, NOW + DAY) == 40


def test_a_request_counts_until_it_is_given_back() -> None:
    share = LocalShare(Away())
    for hold in ("a", "b"):
        seen(share, DAILY, 8)
        share.took(hold, one(DAILY))
    share.settle("a", {}, NOW)
    assert share.last_used(DAILY, NOW) == 8
    share.release("b", NOW)
    assert share.last_used(DAILY, NOW) == 7


ACTIONS = st.one_of(
    st.tuples(st.just("reserve"), st.integers(1, 40), st.integers(1, 700)),
    st.tuples(st.just("settle"), st.integers(0, 30), st.integers(0, 100)),
    st.tuples(st.just("release"), st.integers(0, 30), st.just(0)),
    st.tuples(st.just("wait"), st.integers(-500, 40_000), st.just(0)),
    st.tuples(st.just("seen"), st.integers(0, 60), st.integers(0, 1_000)),
    st.tuples(st.just("clear"), st.just(0), st.just(0)),
)


@given(st.lists(ACTIONS, max_size=60), st.integers(1, 5))
def test_never_more_than_the_share_and_what_leaks_of_it(
    actions: list[tuple[str, int, int]], replicas: int
) -> None:
    """Requests are charged at once, tokens are held and settled; the store comes and goes meanwhile."""
    share = LocalShare(Away(replicas=replicas))
    now = latest = NOW
    open_holds: dict[str, dict[Limit, int]] = {}
    gone: dict[Limit, int] = defaultdict(int)
    for number, (what, first, second) in enumerate(actions):
        if what == "wait":
            now += first
            latest = max(latest, now)
        elif what == "seen":
            share.seen([Standing(RATE, first, 0, 0), Standing(TOKENS, second, 0, 0)], now)
        elif what == "clear":
            share.clear()
        elif what == "reserve":
            claims = [*one(RATE, first), *one(TOKENS, second, held=True)]
            verdict = share.reserve(f"h{number}", "admit", claims, now)
            assert verdict is not None
            if verdict.admitted:
                open_holds[f"h{number}"] = {RATE: first, TOKENS: second}
        elif open_holds:
            hold = list(open_holds)[first % len(open_holds)]
            had = open_holds.pop(hold)
            if what == "settle":
                spent = had[TOKENS] * second // 100
                share.settle(hold, {Unit.TOKENS: spent}, now)
                gone[RATE] += had[RATE]
                gone[TOKENS] += spent
            else:
                share.release(hold, now)
        for limit in (RATE, TOKENS):
            part = limit.amount // replicas
            total = gone[limit] + sum(had[limit] for had in open_holds.values())
            assert total * MINUTE <= part * MINUTE + part * (latest - NOW)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 2), st.integers(0, 5_000)), max_size=40))
def test_never_more_than_the_share_of_a_budget(steps: list[tuple[int, int, int]]) -> None:
    share = LocalShare(OPEN)
    seen(share, DAILY, 20)
    counted: dict[str, int] = {}
    now = NOW - NOW % DAY
    for number, (amount, ending, wait) in enumerate(steps):
        now += wait
        verdict = share.reserve(f"h{number}", "admit", one(DAILY, amount, held=True), now)
        if verdict is not None and verdict.admitted:
            counted[f"h{number}"] = amount
        if counted and ending == 1:
            hold = next(iter(counted))
            share.settle(hold, {Unit.REQUESTS: counted[hold]}, now)
        assert sum(counted.values()) <= 40
