"""The contract of `gateway/store/base.py` as a program, on every server: points 11 to 13."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.errors import StoreReset
from gateway.policy.ledger import SUMS, who_of
from gateway.policy.records import Limit, Unit, Verdict, Window
from gateway.store.base import Ended, Sum
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
    TODAY,
    TOKENS,
    assert_chain,
    claim,
    record,
    row,
    take,
    used,
)
from tests.store.servers import NOW, Connect, Server

COST = SUMS.index("cost")
WHO = who_of("a", TEAM, "m")


async def rows(store: RedisStore) -> list[bytes]:
    """Every row, oldest first; their chain is whole."""
    kept = await store.ledger.oldest(None, 1000)
    assert_chain(kept)
    return [each.row for each in kept]


async def spent(store: RedisStore) -> int:
    """What the sums of the day say in all."""
    return sum(each.sums[COST] for each in await store.ledger.sums([TODAY]))


# 11. A row with the end of the hold, once


async def test_a_hold_leaves_its_row_and_its_sums_when_it_ends_and_once(store: RedisStore) -> None:
    told = record(row("h", 70, tags={"project": "atlas"}))
    await take(store, "h", [claim(DOLLARS, 100)])
    assert await rows(store) == []
    assert await store.holds.settle(TEAM, "h", {Unit.DOLLARS: 70}, NOW, told)
    assert not await store.holds.settle(TEAM, "h", {Unit.DOLLARS: 70}, NOW, told)
    assert not await store.holds.release(TEAM, "h", NOW, told)
    assert await rows(store) == [told.row]
    assert await store.ledger.sums([TODAY]) == [Sum(TODAY, WHO, told.sums)]
    assert await store.ledger.tag_sums([TODAY]) == [Sum(TODAY, "project=atlas", told.sums)]
    assert await store.ledger.recent("a", 10) == [told.row]
    assert await used(store, DOLLARS) == (70,)


async def test_a_released_hold_leaves_its_row_too(store: RedisStore) -> None:
    told = record(row("h", 0))
    await take(store, "h", [claim(DOLLARS, 100)])
    assert await store.holds.release(TEAM, "h", NOW, told)
    assert not await store.holds.release(TEAM, "h", NOW, told)
    assert (await rows(store), await used(store, DOLLARS)) == ([told.row], (0,))


async def test_without_a_record_nothing_is_written(store: RedisStore) -> None:
    await take(store, "h", [claim(DOLLARS, 100)])
    store.holds.dispatch(TEAM, "h", NOW, LEASE)
    await store.holds.settle(TEAM, "h", {Unit.DOLLARS: 70}, NOW)
    assert await rows(store) == []
    assert await store.ledger.head() == (0, "")


async def test_rows_of_many_gateways_make_one_chain(server: Server, connect: Connect) -> None:
    stores = [await connect(server.url) for _ in range(4)]
    told = [record(row(f"h{n}", n)) for n in range(100)]
    settles = (stores[n % 4].holds.settle(TEAM, f"h{n}", {}, NOW, told[n]) for n in range(100))
    assert all(await asyncio.gather(*settles))
    assert sorted(await rows(stores[0])) == sorted(each.row for each in told)
    assert await spent(stores[0]) == sum(range(100))


async def test_a_lease_that_ends_after_dispatch_leaves_the_row_that_was_given(store: RedisStore) -> None:
    lease = record(row("h", 900))
    await take(store, "h", [claim(DOLLARS, 900)])
    store.holds.dispatch(TEAM, "h", NOW, LEASE, lease)
    assert await store.holds.expire(NOW + LEASE) == [lease.row]
    assert await store.holds.expire(NOW + LEASE) == []
    assert await rows(store) == [lease.row]
    assert (await spent(store), await used(store, DOLLARS)) == (900, (900,))


@pytest.mark.parametrize("cost", [0, 200, 1200])
async def test_a_settle_after_that_leaves_the_difference_once(store: RedisStore, cost: int) -> None:
    told = record(row("h", cost), row("h", 900))
    await take(store, "h", [claim(DOLLARS, 900)])
    store.holds.dispatch(TEAM, "h", NOW, LEASE, record(row("h", 900)))
    (lease,) = await store.holds.expire(NOW + LEASE)
    for ended in (Ended.LATE, Ended.NOT, Ended.NOT):
        assert await store.holds.settle(TEAM, "h", {Unit.DOLLARS: cost}, NOW + LEASE, told) is ended
    assert await rows(store) == [lease, told.late]
    assert (await spent(store), await used(store, DOLLARS)) == (cost, (cost,))
    ((_, _, sums),) = [(s.day, s.who, s.sums) for s in await store.ledger.sums([TODAY])]
    assert sums[SUMS.index("requests")] == 1


async def test_a_release_after_that_takes_the_whole_charge_back(store: RedisStore) -> None:
    await take(store, "h", [claim(DOLLARS, 900)])
    store.holds.dispatch(TEAM, "h", NOW, LEASE, record(row("h", 900)))
    await store.holds.expire(NOW + LEASE)
    told = record(row("h", 0), row("h", 900))
    assert await store.holds.release(TEAM, "h", NOW + LEASE, told) is Ended.LATE
    assert (await spent(store), await used(store, DOLLARS)) == (0, (0,))


async def test_a_lapsed_hold_that_was_never_dispatched_leaves_no_row_until_it_is_settled(
    store: RedisStore,
) -> None:
    told = record(row("h", 200), row("h", 900))
    await take(store, "h", [claim(DOLLARS, 900)])
    assert await store.holds.expire(NOW + LEASE) == [b""]
    assert await rows(store) == []
    assert await store.holds.settle(TEAM, "h", {Unit.DOLLARS: 200}, NOW + LEASE, told) is Ended.NOW
    assert await rows(store) == [told.row]
    assert (await spent(store), await used(store, DOLLARS)) == (200, (200,))


async def test_dispatch_makes_the_hold_where_nothing_was_reserved(store: RedisStore) -> None:
    for hold in ("settled", "dead"):
        store.holds.dispatch(TEAM, hold, NOW, LEASE, record(row(hold, 5)))
    assert await store.holds.renew(TEAM, ["settled", "dead"], NOW + 1, LEASE) == 2
    told = record(row("settled", 3), row("settled", 5))
    assert await store.holds.settle(TEAM, "settled", {}, NOW, told)
    assert await store.holds.expire(NOW + LEASE) == []
    assert await store.holds.expire(NOW + 1 + LEASE) == [record(row("dead", 5)).row]
    assert await rows(store) == [told.row, record(row("dead", 5)).row]


async def test_a_dispatch_after_the_end_opens_nothing(store: RedisStore) -> None:
    await store.holds.settle(TEAM, "settled", {}, NOW)
    await take(store, "lapsed", [claim(DOLLARS)])
    await store.holds.expire(NOW + LEASE)
    for hold in ("settled", "lapsed"):
        store.holds.dispatch(TEAM, hold, NOW + LEASE, LEASE, record(row(hold, 5)))
        assert await store.holds.renew(TEAM, [hold], NOW + LEASE, LEASE) == 0
        assert await take(store, hold, [claim(SLOTS)], now=NOW + LEASE) == Verdict(False)
    assert await store.holds.expire(NOW + 3 * LEASE) == []
    assert not await store.holds.settle(TEAM, "settled", {}, NOW, record(row("settled", 5)))
    assert await rows(store) == []


async def test_the_last_dispatch_says_what_the_lease_costs(store: RedisStore) -> None:
    store.holds.dispatch(TEAM, "h", NOW, LEASE, record(row("h", 5)))
    store.holds.dispatch(TEAM, "h", NOW, LEASE, record(row("h", 7)))
    store.holds.dispatch(TEAM, "h", NOW, LEASE)
    assert await store.holds.expire(NOW + LEASE) == [record(row("h", 7)).row]


async def test_any_number_of_dead_requests_leave_their_rows(store: RedisStore) -> None:
    told = {record(row(f"h{n}", n)) for n in range(250)}
    for n in range(250):
        store.holds.dispatch(TEAM, f"h{n}", NOW, LEASE, record(row(f"h{n}", n)))
    assert sorted(await store.holds.expire(NOW + LEASE)) == sorted(each.row for each in told)
    assert len(await rows(store)) == 250


# 12. The store that is expected


async def test_a_name_is_kept_by_the_first_who_gives_one(server: Server, connect: Connect) -> None:
    one, two = await connect(server.url), await connect(server.url)
    assert await one.epoch() == ""
    assert await one.epoch("first") == "first"
    assert await two.epoch("second") == await two.epoch() == "first"


def changing(store: RedisStore) -> list[Callable[[], Awaitable[object]]]:
    """Every call that takes or ends holds."""
    told = record(row("h", 1))
    return [
        lambda: take(store, "new", [claim(DOLLARS)]),
        lambda: store.holds.settle(TEAM, "h", {Unit.DOLLARS: 1}, NOW, told),
        lambda: store.holds.settle(TEAM, "g", {}, NOW, told, claims=[claim(DOLLARS)], claimed=NOW),
        lambda: store.holds.release(TEAM, "h", NOW, told),
        lambda: store.holds.renew(TEAM, ["h"], NOW, 2 * LEASE),
        lambda: store.holds.expire(NOW + LEASE),
    ]


async def test_another_store_than_expected_changes_nothing(store: RedisStore) -> None:
    await store.epoch("this one")
    await take(store, "h", [claim(DOLLARS, 5), claim(SLOTS)])
    store.expect("that one")
    for call in changing(store):
        with pytest.raises(StoreReset):
            await call()
    store.holds.dispatch(TEAM, "h", NOW, LEASE, record(row("h", 1)))
    assert await used(store, DOLLARS, SLOTS) == (5, 1)
    store.expect("this one")
    assert await store.holds.expire(NOW + LEASE) == [b""]
    assert await rows(store) == []


async def test_the_store_that_is_expected_does_all_of_it(store: RedisStore) -> None:
    store.expect(await store.epoch("this one"))
    await take(store, "h", [claim(DOLLARS, 5)])
    for call in changing(store):
        await call()


async def test_a_store_that_was_emptied_between_two_calls_admits_nobody(
    server: Server, store: RedisStore
) -> None:
    store.expect(await store.epoch("first"))
    assert (await take(store, "one", [claim(DOLLARS, DOLLARS.amount)])).admitted
    server.tell("FLUSHALL")
    with pytest.raises(StoreReset):
        await take(store, "two", [claim(DOLLARS)])
    assert await store.epoch() == ""
    await store.holds.restore(TEAM, [(DOLLARS, DOLLARS.amount)], NOW)
    store.expect(await store.epoch("second"))
    assert not (await take(store, "two", [claim(DOLLARS)])).admitted


async def test_restored_budgets_are_at_least_what_is_told_and_only_in_this_window(store: RedisStore) -> None:
    total = Limit("$9/total", Unit.DOLLARS, 9_000_000_000, Window.TOTAL, "team:research")
    await take(store, "h", [claim(total, 40)])
    await store.holds.settle(TEAM, "h", {Unit.DOLLARS: 40}, NOW)
    for _ in range(2):
        await store.holds.restore(TEAM, [(DOLLARS, 70), (total, 30), (TOKENS, 500), (SLOTS, 1)], NOW)
        assert await used(store, DOLLARS, total, TOKENS, SLOTS) == (70, 40, 0, 0)
    assert await used(store, DOLLARS, total, now=NOW + DAY) == (0, 40)
    await store.holds.restore(TEAM, [], NOW)


# 13. Holds that the store has never heard of


async def test_an_unknown_hold_is_charged_to_the_windows_of_its_time(store: RedisStore) -> None:
    yesterday = NOW - DAY
    told, claims = record(row("h", 30)), [claim(limit, 2) for limit in ALL]
    amounts = {Unit.DOLLARS: 30, Unit.TOKENS: 600}
    for ended in (True, False):
        settled = store.holds.settle(TEAM, "h", amounts, NOW, told, claims=claims, claimed=yesterday)
        assert bool(await settled) is ended
    assert await used(store, *ALL) == (2, 600, 0, 0)
    assert await used(store, DOLLARS, now=yesterday) == (30,)
    assert await rows(store) == [told.row]
    assert await take(store, "h", [claim(SLOTS)]) == Verdict(False)


async def test_an_unknown_hold_without_claims_leaves_its_row(store: RedisStore) -> None:
    told = record(row("h", 30))
    assert await store.holds.settle(TEAM, "h", {Unit.DOLLARS: 30}, NOW, told)
    assert not await store.holds.settle(TEAM, "h", {Unit.DOLLARS: 30}, NOW, told)
    assert (await rows(store), await used(store, DOLLARS)) == ([told.row], (0,))
    assert await take(store, "h", [claim(SLOTS)]) == Verdict(False)


async def test_a_claim_that_a_hold_lacks_is_charged_with_the_others(store: RedisStore) -> None:
    await take(store, "h", [claim(REQUESTS), claim(TOKENS, 100)])
    claims = [claim(REQUESTS), claim(TOKENS, 100), claim(DOLLARS, 50), claim(SLOTS)]
    amounts = {Unit.TOKENS: 40, Unit.DOLLARS: 20}
    told = record(row("h", 20))
    for ended in (True, False):
        settled = store.holds.settle(TEAM, "h", amounts, NOW, told, claims=claims, claimed=NOW)
        assert bool(await settled) is ended
    assert await used(store, *ALL) == (1, 40, 20, 0)
    assert await rows(store) == [told.row]


async def test_a_claim_that_a_hold_has_is_not_charged_again_in_another_window(store: RedisStore) -> None:
    midnight = NOW - NOW % DAY + DAY
    await take(store, "h", [claim(DOLLARS, 50)], now=midnight - 1)
    claims = [claim(DOLLARS, 50)]
    await store.holds.settle(TEAM, "h", {Unit.DOLLARS: 20}, midnight, claims=claims, claimed=midnight)
    assert await used(store, DOLLARS, now=midnight - 1) == (20,)
    assert await used(store, DOLLARS, now=midnight) == (0,)


async def test_what_an_unknown_hold_spent_leaks_from_when_it_is_told(store: RedisStore) -> None:
    spent = {Unit.TOKENS: 1000}
    await store.holds.settle(TEAM, "h", spent, NOW, claims=[claim(TOKENS)], claimed=NOW - MINUTE)
    assert await used(store, TOKENS, now=NOW + MINUTE // 2) == (500,)
