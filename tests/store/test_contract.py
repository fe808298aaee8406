"""The contract of `gateway/store/base.py` as a program, on every server: points 1 to 10.

Those on the ledger and on stores that lost something are in `test_contract_ledger.py`.
"""

import asyncio
import time

import pytest

from gateway.errors import StoreUnavailable
from gateway.policy.records import Limit, Unit, Verdict, Window
from gateway.store.redis import RedisStore
from tests.store.claims import (
    ALL,
    DAY,
    DOLLARS,
    LEASE,
    MINUTE,
    REQUESTS,
    SLOTS,
    TEAM,
    TOKENS,
    claim,
    take,
    used,
)
from tests.store.servers import NOW, Connect, Server

# 1. All or nothing


async def test_a_reservation_takes_from_all_its_limits(store: RedisStore) -> None:
    claims = [claim(REQUESTS), claim(TOKENS, 300), claim(DOLLARS, 70), claim(SLOTS)]
    verdict = await take(store, "h", claims)
    assert verdict.admitted
    assert [standing.used for standing in verdict.standings] == [1, 300, 70, 1]
    assert await used(store, *ALL) == (1, 300, 70, 1)


@pytest.mark.parametrize("full", ALL, ids=lambda limit: limit.text)
async def test_one_limit_that_is_full_leaves_the_others_untouched(store: RedisStore, full: Limit) -> None:
    await take(store, "first", [claim(full, full.amount)])
    before = await used(store, *ALL)
    verdict = await take(store, "second", [claim(limit) for limit in ALL])
    assert not verdict.admitted
    assert [standing.fits for standing in verdict.standings] == [limit is not full for limit in ALL]
    assert await used(store, *ALL) == before
    assert await store.holds.settle(TEAM, "second", {Unit.TOKENS: 7}, NOW)
    assert await used(store, *ALL) == before


async def test_a_shadow_limit_counts_and_never_refuses(store: RedisStore) -> None:
    shadow = Limit("1 requests/minute", Unit.REQUESTS, 1, Window.MINUTE, "key:s", shadow=True)
    assert (await take(store, "one", [claim(shadow)])).standings[0].fits
    verdict = await take(store, "two", [claim(shadow)])
    assert verdict.admitted
    assert verdict.standings[0].retry_ms == MINUTE
    assert await used(store, shadow) == (2,)


async def test_a_claim_of_nothing_is_admitted_and_takes_nothing(store: RedisStore) -> None:
    assert (await take(store, "h", [claim(limit, 0) for limit in ALL])).admitted
    assert await used(store, *ALL) == (0, 0, 0, 0)
    assert (await take(store, "nothing at all", [])).admitted


# 2. No race passes a limit


@pytest.mark.parametrize("limit", ALL, ids=lambda limit: limit.text)
async def test_a_hundred_racers_over_four_connections_never_pass_a_limit(
    server: Server, connect: Connect, limit: Limit
) -> None:
    stores = [await connect(server.url) for _ in range(4)]
    amount = max(1, limit.amount // 7)
    racers = (take(stores[n % 4], f"h{n}", [claim(limit, amount)]) for n in range(100))
    verdicts = await asyncio.gather(*racers)
    assert sum(verdict.admitted for verdict in verdicts) == limit.amount // amount
    assert await used(stores[0], limit) == (limit.amount // amount * amount,)


# 3. Idempotence


async def test_a_repeated_reservation_answers_as_the_first_did_and_takes_nothing(store: RedisStore) -> None:
    claims = [claim(limit, 2) for limit in ALL]
    first = await take(store, "h", claims)
    await take(store, "other", [claim(TOKENS, 500)])
    assert await take(store, "h", claims) == first
    assert await used(store, *ALL) == (2, 502, 2, 2)


async def test_steps_of_one_hold_add_up_and_end_together(store: RedisStore) -> None:
    await take(store, "h", [claim(REQUESTS), claim(SLOTS)])
    await take(store, "h", [claim(TOKENS, 400), claim(SLOTS)], step="reserve")
    assert await used(store, *ALL) == (1, 400, 0, 2)
    assert await store.holds.settle(TEAM, "h", {Unit.TOKENS: 150}, NOW)
    assert await used(store, *ALL) == (1, 150, 0, 0)


async def test_a_refused_step_leaves_the_hold_as_it_was(store: RedisStore) -> None:
    await take(store, "h", [claim(SLOTS)])
    assert not (await take(store, "h", [claim(TOKENS, 1001)], step="reserve")).admitted
    assert (await take(store, "h", [claim(TOKENS, 1000)], step="reserve")).admitted
    assert await store.holds.release(TEAM, "h", NOW)
    assert await used(store, *ALL) == (0, 0, 0, 0)


@pytest.mark.parametrize("first", ["settle", "release"])
@pytest.mark.parametrize("second", ["settle", "release"])
async def test_the_first_of_settle_and_release_ends_the_hold(
    store: RedisStore, first: str, second: str
) -> None:
    async def end(how: str, tokens: int) -> bool:
        if how == "settle":
            return await store.holds.settle(TEAM, "h", {Unit.TOKENS: tokens, Unit.DOLLARS: tokens}, NOW)
        return await store.holds.release(TEAM, "h", NOW)

    await take(store, "h", [claim(limit, 2) for limit in ALL])
    assert await end(first, 600)
    after = (2, 600, 600, 0) if first == "settle" else (0, 0, 0, 0)
    assert await used(store, *ALL) == after
    assert not await end(second, 77)
    assert await used(store, *ALL) == after


@pytest.mark.parametrize("known", [True, False])
async def test_a_reservation_that_arrives_after_the_end_is_refused(store: RedisStore, known: bool) -> None:
    if known:
        await take(store, "h", [claim(SLOTS)])
    assert await store.holds.release(TEAM, "h", NOW)
    assert await take(store, "h", [claim(TOKENS)], step="reserve") == Verdict(False)
    assert await take(store, "h", [claim(SLOTS)]) == Verdict(False)
    assert await used(store, *ALL) == (0, 0, 0, 0)


# 4. The caller's clock


async def test_time_is_what_the_caller_says(store: RedisStore) -> None:
    await take(store, "h", [claim(REQUESTS, 10)])
    assert await used(store, REQUESTS, now=NOW + MINUTE // 2) == (5,)
    assert await used(store, REQUESTS, now=NOW + MINUTE) == (0,)
    assert await used(store, REQUESTS) == (10,)


async def test_a_clock_that_goes_back_gives_nothing_twice(store: RedisStore) -> None:
    await take(store, "one", [claim(REQUESTS, 10)])
    await take(store, "two", [claim(REQUESTS, 5)], now=NOW + MINUTE // 2)
    verdict = await take(store, "three", [claim(REQUESTS)], now=NOW)
    assert not verdict.admitted
    retry = verdict.standings[0].retry_ms
    assert retry == MINUTE // 2 + MINUTE // 10
    assert not (await take(store, "three", [claim(REQUESTS)], now=NOW + retry - 1)).admitted
    assert (await take(store, "three", [claim(REQUESTS)], now=NOW + retry)).admitted


# 5. Each calendar window pays for itself


async def test_what_is_settled_late_is_charged_to_its_own_window(store: RedisStore) -> None:
    midnight = NOW - NOW % DAY + DAY
    await take(store, "h", [claim(DOLLARS, 1000)], now=midnight - 1)
    assert await used(store, DOLLARS, now=midnight) == (0,)
    assert await store.holds.settle(TEAM, "h", {Unit.DOLLARS: 2000}, midnight + 5)
    assert await used(store, DOLLARS, now=midnight + 5) == (0,)
    assert await used(store, DOLLARS, now=midnight - 1) == (2000,)


async def test_the_calendar_is_that_of_the_time_zone(server: Server, connect: Connect) -> None:
    store = await connect(server.url, timezone="America/New_York")
    midnight = NOW - NOW % DAY + DAY + 4 * 3_600_000  # New York is four hours behind in September
    await take(store, "h", [claim(DOLLARS, 1000)], now=midnight - 1)
    assert (await store.holds.standings(TEAM, [DOLLARS], midnight - 1))[0].reset_ms == 1
    assert await used(store, DOLLARS, now=midnight) == (0,)


# 6. Leases


async def test_a_lapsed_hold_that_was_only_reserved_is_given_back(store: RedisStore) -> None:
    await take(store, "h", [claim(limit, 2) for limit in ALL])
    assert await store.holds.expire(NOW + LEASE - 1) == []
    assert await store.holds.expire(NOW + LEASE) == [b""]
    assert await used(store, *ALL, now=NOW + LEASE) == (0, 0, 0, 0)


async def test_a_lapsed_hold_that_was_dispatched_is_charged_in_full(store: RedisStore) -> None:
    await take(store, "h", [claim(DOLLARS, 900), claim(SLOTS), claim(TOKENS, 500)])
    store.holds.dispatch(TEAM, "h", NOW, LEASE)
    assert await store.holds.expire(NOW + LEASE) == [b""]
    assert await used(store, DOLLARS, SLOTS, TOKENS, now=NOW + LEASE) == (900, 0, 500)
    assert await store.holds.expire(NOW + LEASE) == []


@pytest.mark.parametrize(("spent", "after"), [(200, 200), (1200, 1200)])
@pytest.mark.parametrize("dispatched", [True, False])
async def test_a_settle_after_the_lease_applies_the_difference_once(
    store: RedisStore, dispatched: bool, spent: int, after: int
) -> None:
    await take(store, "h", [claim(DOLLARS, 900), claim(SLOTS)])
    if dispatched:
        store.holds.dispatch(TEAM, "h", NOW, LEASE)
    await store.holds.expire(NOW + LEASE)
    assert await store.holds.settle(TEAM, "h", {Unit.DOLLARS: spent}, NOW + LEASE)
    assert not await store.holds.settle(TEAM, "h", {Unit.DOLLARS: spent}, NOW + LEASE)
    assert await used(store, DOLLARS, SLOTS) == (after, 0)


async def test_what_has_leaked_meanwhile_is_not_given_back_again(store: RedisStore) -> None:
    """Charged 500 of 1000 a minute, a quarter of a minute ago: 250 have leaked, so at most 250 come back."""
    await take(store, "h", [claim(TOKENS, 500)])
    store.holds.dispatch(TEAM, "h", NOW, LEASE)
    await store.holds.expire(NOW + LEASE)
    later = NOW + LEASE + MINUTE // 4
    await take(store, "other", [claim(TOKENS, 600)], now=later)
    await store.holds.settle(TEAM, "h", {Unit.TOKENS: 0}, later)
    assert await used(store, TOKENS, now=later) == (600,)
    await store.holds.settle(TEAM, "other", {Unit.TOKENS: 600}, later)
    assert not (await take(store, "third", [claim(TOKENS, 401)], now=later)).admitted


async def test_a_released_request_gives_back_what_has_not_leaked(store: RedisStore) -> None:
    await take(store, "h", [claim(REQUESTS, 4)])
    half = NOW + MINUTE // 5  # two of the ten have leaked
    await take(store, "other", [claim(REQUESTS, 6)], now=half)
    await store.holds.release(TEAM, "h", half)
    assert await used(store, REQUESTS, now=half) == (6,)


async def test_slots_come_back_when_the_lease_ends_even_if_nobody_sweeps(store: RedisStore) -> None:
    await take(store, "h", [claim(SLOTS, 2)])
    assert not (await take(store, "g", [claim(SLOTS)], now=NOW + LEASE - 1)).admitted
    assert (await take(store, "g", [claim(SLOTS, 2)], now=NOW + LEASE)).admitted
    assert await store.holds.renew(TEAM, ["h"], NOW + LEASE, LEASE) == 0
    assert await used(store, SLOTS, now=NOW + LEASE) == (2,)


async def test_a_renewed_hold_keeps_what_it_has(store: RedisStore) -> None:
    await take(store, "h", [claim(SLOTS), claim(DOLLARS, 5)])
    await take(store, "ended", [claim(SLOTS)])
    await store.holds.release(TEAM, "ended", NOW)
    assert await store.holds.renew(TEAM, ["h", "ended", "unknown"], NOW + LEASE - 1, LEASE) == 1
    assert await store.holds.expire(NOW + 2 * LEASE - 2) == []
    assert await used(store, SLOTS, DOLLARS, now=NOW + 2 * LEASE - 2) == (1, 5)
    assert await store.holds.expire(NOW + 2 * LEASE - 1) == [b""]
    assert await used(store, SLOTS, DOLLARS, now=NOW + 2 * LEASE - 1) == (0, 0)


async def test_a_second_step_extends_the_first(store: RedisStore) -> None:
    await take(store, "h", [claim(SLOTS)])
    await take(store, "h", [claim(DOLLARS)], now=NOW + LEASE - 1, step="reserve")
    assert await store.holds.expire(NOW + LEASE) == []
    assert await used(store, SLOTS, now=NOW + LEASE) == (1,)


async def test_a_step_with_a_shorter_lease_shortens_nothing(store: RedisStore) -> None:
    await take(store, "h", [claim(SLOTS)])
    await take(store, "h", [claim(DOLLARS)], step="reserve", lease=1)
    assert await store.holds.renew(TEAM, ["h"], NOW + LEASE - 2, 1) == 1
    assert await store.holds.expire(NOW + LEASE - 1) == []


async def test_a_lapsed_hold_takes_nothing_more(store: RedisStore) -> None:
    await take(store, "h", [claim(SLOTS)])
    assert await take(store, "h", [claim(DOLLARS)], now=NOW + LEASE, step="reserve") == Verdict(False)


async def test_any_number_of_lapsed_holds_end_in_one_call(store: RedisStore) -> None:
    many = Limit("k concurrent", Unit.SLOTS, 1000, None, "key:m")
    await asyncio.gather(*(take(store, f"h{n}", [claim(many)]) for n in range(250)))
    assert await store.holds.expire(NOW + LEASE) == 250 * [b""]
    assert await store.holds.expire(NOW + LEASE) == []


# 7. A store that is down


async def test_a_store_that_is_down_says_so_at_once(own: Server, connect: Connect) -> None:
    store = await connect(own.url, deadline=0.25)
    own.stop()
    with pytest.raises(StoreUnavailable):
        await store.ping()
    calls = (
        store.ping(),
        take(store, "h", [claim(TOKENS)]),
        store.holds.settle(TEAM, "h", {}, NOW),
        store.holds.release(TEAM, "h", NOW),
        store.holds.renew(TEAM, ["h"], NOW, LEASE),
        store.holds.expire(NOW),
        store.holds.restore(TEAM, [(DOLLARS, 1)], NOW),
        store.holds.standings(TEAM, [TOKENS], NOW),
        store.ledger.newest(None, 1),
        store.ledger.head(),
        store.marks.mark("m", 1000),
        store.epoch("e"),
        store.answers.get(b"k"),
        store.answers.put(b"k", b"v", 1000, NOW),
        store.keys.load(),
        store.time_offset(),
    )
    store.holds.dispatch(TEAM, "h", NOW, LEASE)
    started = time.monotonic()
    for call in calls:
        with pytest.raises(StoreUnavailable):
            await call
    assert time.monotonic() - started < 0.2  # sixteen calls: none of them waited for a deadline


# 8. Programming errors


async def test_the_same_limit_twice_in_one_call_is_refused_unsent(store: RedisStore) -> None:
    with pytest.raises(ValueError, match="twice"):
        await take(store, "h", [claim(TOKENS, 1), claim(TOKENS, 2)])
    assert await used(store, TOKENS) == (0,)


async def test_less_than_nothing_is_refused_unsent(store: RedisStore) -> None:
    with pytest.raises(ValueError, match="less"):
        await take(store, "h", [claim(TOKENS, -1)])
    with pytest.raises(ValueError, match="less"):
        await store.holds.settle(TEAM, "h", {Unit.TOKENS: -1}, NOW)
    with pytest.raises(ValueError, match="twice"):
        await store.holds.settle(TEAM, "h", {}, NOW, claims=[claim(TOKENS), claim(TOKENS, 2)], claimed=NOW)
    assert await store.holds.settle(TEAM, "h", {}, NOW)


# 9. The three kinds


async def test_a_rate_lets_through_its_amount_and_then_what_leaks(store: RedisStore) -> None:
    """Sixteen arrivals in every second for two minutes: never more than amount + amount * t / window."""
    admitted = 0
    for tick in range(0, 2 * MINUTE, MINUTE // 20):
        for n in range(3):
            admitted += (await take(store, f"h{tick}/{n}", [claim(REQUESTS)], now=NOW + tick)).admitted
        assert admitted <= 10 + 10 * tick / MINUTE
    assert admitted == 10 + 10 * (2 * MINUTE - MINUTE // 20) // MINUTE


async def test_what_is_held_does_not_leak_until_it_is_settled(store: RedisStore) -> None:
    await take(store, "h", [claim(TOKENS, 600)])
    later = NOW + 10 * MINUTE
    await store.holds.renew(TEAM, ["h"], NOW, 20 * MINUTE)
    assert await used(store, TOKENS, now=later) == (600,)
    await store.holds.settle(TEAM, "h", {Unit.TOKENS: 300}, later)
    assert await used(store, TOKENS, now=later) == (300,)
    assert await used(store, TOKENS, now=later + MINUTE * 3 // 10) == (0,)


async def test_more_may_be_spent_than_was_held(store: RedisStore) -> None:
    await take(store, "h", [claim(TOKENS, 600)])
    await store.holds.settle(TEAM, "h", {Unit.TOKENS: 3000}, NOW)
    (standing,) = await store.holds.standings(TEAM, [TOKENS], NOW)
    assert (standing.used, standing.remaining) == (3000, 0)
    assert not (await take(store, "g", [claim(TOKENS)], now=NOW + 2 * MINUTE)).admitted
    assert (await take(store, "g", [claim(TOKENS)], now=NOW + 2 * MINUTE + 60)).admitted


async def test_large_budgets_are_counted_to_the_nano_dollar(store: RedisStore) -> None:
    million = Limit("$1M/total", Unit.DOLLARS, 10**15, Window.TOTAL, "key:a")
    await take(store, "h", [claim(million, 10**15 - 1)])
    await store.holds.settle(TEAM, "h", {Unit.DOLLARS: 10**15 - 1}, NOW)
    assert await used(store, million, now=NOW + 400 * DAY) == (10**15 - 1,)
    assert not (await take(store, "two", [claim(million, 2)])).admitted
    assert (await take(store, "one", [claim(million, 1)])).admitted


# 10. Refusals say when


@pytest.mark.parametrize("limit", [REQUESTS, TOKENS, DOLLARS], ids=lambda limit: limit.text)
async def test_who_waits_as_told_is_admitted_and_not_sooner(store: RedisStore, limit: Limit) -> None:
    await take(store, "h", [claim(limit, limit.amount - 1)])
    await store.holds.settle(TEAM, "h", {limit.unit: limit.amount - 1}, NOW)
    refused = await take(store, "g", [claim(limit, 3)], now=NOW + 7)
    retry = refused.standings[0].retry_ms
    assert retry > 0
    assert not (await take(store, "g", [claim(limit, 3)], now=NOW + 7 + retry - 1)).admitted
    assert (await take(store, "g", [claim(limit, 3)], now=NOW + 7 + retry)).admitted


@pytest.mark.parametrize("limit", ALL, ids=lambda limit: limit.text)
async def test_a_claim_larger_than_its_limit_is_told_never(store: RedisStore, limit: Limit) -> None:
    verdict = await take(store, "h", [claim(limit, limit.amount + 1)])
    assert not verdict.admitted
    assert verdict.standings[0].retry_ms == -1


# and what operations asks


async def test_all_gateways_agree_on_the_time(store: RedisStore) -> None:
    assert store.up
    await store.ping()
    assert abs(await store.time_offset()) < 1000  # one machine, one clock
