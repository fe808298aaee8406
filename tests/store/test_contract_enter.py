"""`Holds.enter`, and what is gathered in one turn of the loop: the contract, on every single server."""

import asyncio
from typing import Any

import pytest

from gateway.errors import StoreReset, StoreUnavailable
from gateway.policy.ledger import decode
from gateway.policy.records import Claim, Limit, Unit, Verdict, Window
from gateway.store import keyspace
from gateway.store.base import Ended, Entered
from gateway.store.batch import MOST
from gateway.store.keyspace import Keyspace
from gateway.store.redis import RedisStore
from tests.store.claims import (
    ALL,
    DOLLARS,
    LEASE,
    REQUESTS,
    SLOTS,
    TEAM,
    TOKENS,
    assert_chain,
    claim,
    record,
    row,
    take,
    used,
)
from tests.store.servers import NOW, Connect, Server

BASE = Keyspace().base(TEAM)
KEY, HOUR = b"\x00key\xff", 3_600_000
ENTRY = bytes(range(256)) * 3
ADMIT, ANSWER = [claim(REQUESTS), claim(SLOTS)], [claim(TOKENS, 300), claim(DOLLARS, 70)]


@pytest.fixture
async def store(single: Server, connect: Connect) -> RedisStore:
    return await connect(single.url)


async def enter(store: RedisStore, hold: str, **changes: Any) -> Entered:
    given: dict[str, Any] = {"admit": ADMIT, "answer": ANSWER, "now": NOW, "lease": LEASE, "key": KEY}
    given |= {"record": record(row(hold, 70))} | changes
    return await store.holds.enter(TEAM, hold, **given)


async def test_it_does_what_three_calls_did(store: RedisStore) -> None:
    by_calls = await take(store, "h", ADMIT), await take(store, "h", ANSWER, step="reserve")
    assert await store.holds.release(TEAM, "h", NOW)
    assert await enter(store, "g") == Entered(by_calls[0], None, by_calls[1])
    assert await used(store, *ALL) == (1, 300, 70, 1)
    assert await store.holds.expire(NOW + LEASE) == [record(row("g", 70)).row]
    assert await used(store, DOLLARS, SLOTS, now=NOW + LEASE) == (70, 0)


async def test_a_kept_answer_comes_back_as_it_was_and_nothing_is_held_for_it(store: RedisStore) -> None:
    await store.answers.put(KEY, ENTRY, HOUR, NOW)
    entered = await enter(store, "h")
    assert (entered.admitted.admitted, entered.entry, entered.reserved) == (True, ENTRY, None)
    assert await used(store, *ALL) == (1, 0, 0, 1)
    assert await store.holds.expire(NOW + LEASE) == [b""]
    assert (await enter(store, "g", key=None, now=NOW + LEASE)).reserved is not None


async def test_answers_of_more_than_a_script_may_send_are_read_by_themselves(
    single: Server, connect: Connect
) -> None:
    store = await connect(single.url, max_memory=2**24)
    large = [bytes([n]) * 700_000 for n in range(4)]
    await asyncio.gather(*(store.answers.put(b"%d" % n, each, HOUR, NOW) for n, each in enumerate(large)))
    entered = await asyncio.gather(*(enter(store, f"h{n}", key=b"%d" % n, admit=[]) for n in range(4)))
    assert [each.entry for each in entered] == large


async def test_who_is_not_admitted_gets_no_answer(store: RedisStore) -> None:
    await store.answers.put(KEY, ENTRY, HOUR, NOW)
    await take(store, "other", [claim(SLOTS, 2)])
    entered = await enter(store, "h")
    assert (entered.admitted.admitted, entered.entry, entered.reserved) == (False, None, None)
    assert [standing.fits for standing in entered.admitted.standings] == [True, False]
    assert await used(store, *ALL) == (0, 0, 0, 2)


async def test_what_does_not_fit_leaves_what_was_admitted(store: RedisStore) -> None:
    await take(store, "other", [claim(TOKENS, 800)])
    entered = await enter(store, "h")
    assert entered.admitted.admitted
    assert entered.reserved is not None
    assert [standing.fits for standing in entered.reserved.standings] == [False, True]
    assert await used(store, *ALL) == (1, 800, 0, 1)
    assert await store.holds.expire(NOW + LEASE) == [b"", b""]  # neither was dispatched


async def test_it_takes_once_however_often_it_is_told(store: RedisStore) -> None:
    first = await enter(store, "h")
    await take(store, "other", [claim(TOKENS, 500)])
    await store.answers.put(KEY, ENTRY, HOUR, NOW)
    assert await asyncio.gather(*(enter(store, "h") for _ in range(3))) == 3 * [first]
    assert await used(store, *ALL) == (1, 800, 70, 1)
    assert await store.holds.settle(TEAM, "h", {Unit.TOKENS: 10}, NOW)
    assert await enter(store, "h") == Entered(Verdict(False))
    assert await used(store, *ALL) == (1, 510, 0, 0)


async def test_a_hold_that_has_ended_or_lapsed_does_not_enter(store: RedisStore) -> None:
    await store.holds.release(TEAM, "released", NOW)
    await take(store, "lapsed", ADMIT)
    for hold in ("released", "lapsed"):
        assert await enter(store, hold, now=NOW + LEASE) == Entered(Verdict(False))


async def test_a_shadow_limit_counts_and_never_refuses(store: RedisStore) -> None:
    shadow = Limit("1 tokens/minute", Unit.TOKENS, 1, Window.MINUTE, "key:s", shadow=True)
    entered = await enter(store, "h", answer=[claim(shadow, 5)])
    assert entered.reserved is not None
    assert entered.reserved.admitted
    assert not entered.reserved.standings[0].fits
    assert await used(store, shadow) == (5,)


@pytest.mark.parametrize("limit", ALL, ids=lambda limit: limit.text)
async def test_a_hundred_racers_over_four_connections_never_pass_a_limit(
    single: Server, connect: Connect, limit: Limit
) -> None:
    stores = [await connect(single.url) for _ in range(4)]
    amount = max(1, limit.amount // 7)
    racers = (
        enter(stores[n % 4], f"h{n}", admit=[], answer=[claim(limit, amount)], key=b"none")
        for n in range(100)
    )
    entered = await asyncio.gather(*racers)
    assert sum(each.reserved is not None and each.reserved.admitted for each in entered) == (
        limit.amount // amount
    )
    assert await used(stores[0], limit) == (limit.amount // amount * amount,)


async def test_what_was_called_first_is_done_first(store: RedisStore) -> None:
    """The slot of a request that ends in the same turn of the loop is free for the next."""
    one = Limit("1 concurrent", Unit.SLOTS, 1, None, "key:one")
    for number in range(5):
        entered, ended, refused = await asyncio.gather(
            enter(store, f"h{number}", admit=[claim(one)], answer=[]),
            store.holds.settle(TEAM, f"h{number}", {}, NOW, record(row(f"h{number}", 1))),
            enter(store, f"g{number}", admit=[claim(one, 2)], answer=[]),
        )
        assert (entered.admitted.admitted, ended, refused.admitted.admitted) == (True, Ended.NOW, False)
    assert await used(store, one) == (0,)
    assert_chain(await store.ledger.oldest(None, 10))


async def test_whatever_follows_a_call_finds_what_it_did(store: RedisStore) -> None:
    entering = asyncio.ensure_future(enter(store, "h"))
    await asyncio.sleep(0)
    assert await used(store, *ALL) == (1, 300, 70, 1)
    ending = asyncio.ensure_future(store.holds.settle(TEAM, "h", {Unit.TOKENS: 5}, NOW))
    await asyncio.sleep(0)
    store.holds.dispatch(TEAM, "h", NOW, LEASE, record(row("h", 5)))
    assert (await entering).reserved is not None
    assert await ending is Ended.NOW
    assert await store.holds.expire(NOW + LEASE) == []


async def test_any_number_of_one_turn_make_one_chain_and_exact_sums(store: RedisStore) -> None:
    many = 3 * MOST + 7
    roomy = Limit("many", Unit.DOLLARS, 10**12, Window.TOTAL, "team:research")
    entered = await asyncio.gather(
        *(enter(store, f"h{n}", admit=[claim(roomy)], answer=[claim(TOKENS, 1)]) for n in range(many))
    )
    assert all(each.reserved is not None and each.reserved.admitted for each in entered)
    assert [each.admitted.standings[0].used for each in entered] == list(range(1, many + 1))
    told = [record(row(f"h{n}", n, key="ab"[n % 2], tags={"n": str(n % 3)})) for n in range(many)]
    ended = await asyncio.gather(
        *(store.holds.settle(TEAM, f"h{n}", {Unit.DOLLARS: n}, NOW, told[n]) for n in range(many))
    )
    assert ended == many * [Ended.NOW]
    kept = await store.ledger.oldest(None, 1000)
    assert_chain(kept)
    assert [decode(each.row).cost for each in kept] == list(range(many))
    assert await used(store, roomy, TOKENS) == (sum(range(many)), 0)
    assert sum(each.sums[5] for each in await store.ledger.sums(["2026-09-21"])) == sum(range(many))
    assert [decode(each).cost for each in await store.ledger.recent("a", 20)] == list(range(198, 158, -2))


async def test_one_that_fails_takes_no_other_with_it(single: Server, store: RedisStore) -> None:
    single.tell(f"SET {keyspace.holds(BASE)}odd string")
    single.tell(f"HSET {keyspace.holds(BASE)}torn phase dispatched lease {NOW + LEASE} claims \xc1")
    calls = (
        enter(store, "one"),
        enter(store, "odd"),
        store.holds.settle(TEAM, "odd", {}, NOW, record(row("odd", 1))),
        store.holds.settle(TEAM, "torn", {}, NOW, record(row("torn", 1))),
        store.holds.settle(TEAM, "two", {}, NOW, record(row("two", 1))),
        store.holds.release(TEAM, "one", NOW, record(row("one", 0))),
    )
    one, *failed, two, released = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(one, Entered)
    assert [type(each).__bases__[0] for each in failed] == 3 * [StoreUnavailable]
    assert len({id(each) for each in failed}) == 3
    assert (two, released) == (Ended.NOW, Ended.NOW)
    kept = await store.ledger.oldest(None, 10)
    assert_chain(kept)
    assert [decode(each.row).id for each in kept] == ["two", "one"]
    assert await used(store, *ALL) == (0, 0, 0, 0)


async def test_a_counter_that_cannot_be_read_leaves_nothing_half_done(
    single: Server, store: RedisStore
) -> None:
    single.tell(f"SET {keyspace.limit(BASE, TOKENS.id)} string")
    failed, well = await asyncio.gather(
        enter(store, "h"), enter(store, "g", answer=[claim(DOLLARS, 5)]), return_exceptions=True
    )
    assert isinstance(failed, StoreUnavailable)
    assert isinstance(well, Entered)
    assert await used(store, REQUESTS, DOLLARS, SLOTS) == (1, 5, 1)


async def test_a_cache_that_cannot_be_read_is_one_that_knows_nothing(
    single: Server, store: RedisStore
) -> None:
    single.ask("HSET", keyspace.ENTRY + KEY, "a", "b")
    assert (await enter(store, "h")).reserved is not None


async def test_each_caller_has_its_own_error(own: Server, connect: Connect) -> None:
    failures: list[str] = []
    store = await connect(own.url, on_error=failures.append)
    own.tell("CONFIG SET maxmemory 1")
    calls = (
        enter(store, "h"),
        store.holds.settle(TEAM, "h", {}, NOW, record(row("h", 1))),
        enter(store, "g"),
    )
    errors = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each).__name__ for each in errors] == 3 * ["ReplyError"]
    assert len({id(each) for each in errors}) == 3
    own.tell("CONFIG SET maxmemory 0")
    assert own.tell("DBSIZE") == b":0"
    own.stop()
    errors = await asyncio.gather(enter(store, "h"), enter(store, "g"), return_exceptions=True)
    assert [type(each) for each in errors] == 2 * [StoreUnavailable]
    assert errors[0] is not errors[1]
    assert failures == ["enter", "settle", "enter", "enter", "enter"]


async def test_another_store_than_expected_admits_nobody(store: RedisStore) -> None:
    await store.epoch("this one")
    store.expect("that one")
    first = asyncio.ensure_future(enter(store, "h"))
    await asyncio.sleep(0)
    store.expect("this one")
    second = asyncio.ensure_future(enter(store, "g"))
    with pytest.raises(StoreReset):
        await first
    assert (await second).reserved is not None
    assert await used(store, *ALL) == (1, 300, 70, 1)


async def test_forgotten_scripts_are_brought_along(single: Server, store: RedisStore) -> None:
    single.tell("SCRIPT FLUSH")
    first, second = await asyncio.gather(enter(store, "h"), enter(store, "g", answer=[]))
    assert first.reserved is not None
    assert second.reserved is not None
    single.tell("SCRIPT FLUSH")
    assert await store.holds.settle(TEAM, "h", {}, NOW) is Ended.NOW


async def test_whoever_is_cancelled_has_entered_all_the_same(store: RedisStore) -> None:
    entering = asyncio.ensure_future(enter(store, "h"))
    staying = asyncio.ensure_future(enter(store, "g", admit=[], answer=[]))
    await asyncio.sleep(0)
    entering.cancel()
    assert (await staying).reserved is not None
    assert await used(store, *ALL) == (1, 300, 70, 1)


async def test_the_same_limit_twice_in_one_step_is_refused_unsent(store: RedisStore) -> None:
    for changes in ({"admit": 2 * [claim(TOKENS)]}, {"answer": [Claim(TOKENS, -1, held=True)]}):
        with pytest.raises(ValueError, match="twice, or less"):
            await enter(store, "h", **changes)
    assert (await enter(store, "h", admit=[claim(TOKENS, 1)], answer=[claim(TOKENS, 2)])).reserved is not None
    assert await used(store, TOKENS) == (3,)


async def test_only_where_the_answers_stand_beside_the_counters(
    single: Server, cluster: Server, own: Server, connect: Connect
) -> None:
    assert (await connect(single.url)).holds.can_enter
    for url, changes in ((cluster.url, {}), (single.url, {"cache_url": own.url})):
        store = await connect(url, **changes)
        assert not store.holds.can_enter
        with pytest.raises(ValueError, match="cannot see"):
            await enter(store, "h")
