"""The ledger in Redis: what the scripts write is read back, in pages, bounded and exact."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.policy.chain import link
from gateway.policy.ledger import SUMS, Row, decode, encode, record_of, who_of
from gateway.policy.records import Record
from gateway.store import keyspace, ledger
from gateway.store.base import Sum
from gateway.store.keyspace import Keyspace
from gateway.store.redis import RedisStore
from tests.store.claims import DAY, LEASE, TEAM, TODAY, assert_chain, claim, record, row, take
from tests.store.claims import DOLLARS as LIMIT
from tests.store.servers import NOW, Connect, Server

BASE = Keyspace().base(TEAM)
FIELDS = 20_000
LARGE = 2**53 - 1


async def write(store: RedisStore, *told: Record, now: int = NOW) -> None:
    """A row for each, settled under its text's own name."""
    for each in told:
        assert await store.holds.settle(TEAM, decode(each.row).id, {}, now, each)


async def test_pages_go_back_and_forth_without_gap_or_repeat(store: RedisStore) -> None:
    await write(store, *(record(row(f"h{n}", n)) for n in range(25)))
    oldest = await store.ledger.oldest(None, 100)
    assert_chain(oldest)
    for pages, first in ((store.ledger.oldest, oldest), (store.ledger.newest, oldest[::-1])):
        seen: list[object] = []
        edge: str | None = None
        while page := await pages(edge, 10):
            seen += page
            edge = page[-1].position
        assert seen == first
    assert await store.ledger.newest(oldest[0].position, 10) == []


@pytest.mark.parametrize("position", ["", "now", "1", "-", "+", "(1-1", "1-1 ", "9" * 30 + "-0", "1-1\n"])
async def test_what_is_no_position_is_refused_unsent(store: RedisStore, position: str) -> None:
    for page in (store.ledger.newest, store.ledger.oldest):
        with pytest.raises(ValueError, match="no position"):
            await page(position, 1)


async def test_positions_are_the_callers_time_and_never_go_back(store: RedisStore) -> None:
    for n, now in enumerate((NOW, NOW, NOW - 5000, NOW + 7)):
        await write(store, record(row(f"h{n}", n)), now=now)
    kept = await store.ledger.oldest(None, 10)
    assert [each.position for each in kept] == [f"{NOW}-0", f"{NOW}-1", f"{NOW}-2", f"{NOW + 7}-0"]


async def test_a_key_remembers_its_latest_twenty(server: Server, store: RedisStore) -> None:
    await write(store, *(record(row(f"h{n}", n, key="ab"[n % 2])) for n in range(50)))
    assert [decode(each).cost for each in await store.ledger.recent("a", 3)] == [48, 46, 44]
    assert [decode(each).cost for each in await store.ledger.recent("b", 99)] == list(range(49, 9, -2))
    assert await store.ledger.recent("b", 0) == await store.ledger.recent("nobody", 5) == []


async def test_sums_add_up_by_day_and_who_and_tag(store: RedisStore) -> None:
    told = [
        record(row("h1", 1, tags={"step": "draft", "project": "atlas"})),
        record(row("h2", 20, tags={"project": "atlas"})),
        record(row("h3", 300, NOW + DAY, tags={"project": "atlas"})),
        record(row("h4", 4000, key="b")),
    ]
    await write(store, *told)
    tomorrow = "2026-09-22"
    assert costs(await store.ledger.sums([TODAY, "1999-01-01", tomorrow])) == {
        (TODAY, who_of("a", TEAM, "m")): 21,
        (TODAY, who_of("b", TEAM, "m")): 4000,
        (tomorrow, who_of("a", TEAM, "m")): 300,
    }
    assert costs(await store.ledger.tag_sums([TODAY, tomorrow])) == {
        (TODAY, "project=atlas"): 21,
        (TODAY, "step=draft"): 1,
        (tomorrow, "project=atlas"): 300,
    }


async def test_the_sums_of_one_key_are_searched_where_they_are(store: RedisStore) -> None:
    keys = ("a", "ab", "a*", "a?", "[a]", "a\\b")
    await write(store, *(record(row(f"h{n}", 10**n, key=key)) for n, key in enumerate(keys)))
    await write(store, *(record(row(f"g{n}", 1, key=f"k{n}")) for n in range(600)))  # a large hash
    for n, key in enumerate(keys):
        found = costs(await store.ledger.sums([TODAY, "2026-09-22"], key))
        assert found == {(TODAY, who_of(key, TEAM, "m")): 10**n}
    assert await store.ledger.sums([TODAY], "nobody") == await store.ledger.sums([], "a") == []


def costs(sums: Sequence[Sum]) -> dict[tuple[str, str], int]:
    return {(each.day, each.who): each.sums[SUMS.index("cost")] for each in sums}


@pytest.mark.parametrize("first", [LARGE, -LARGE, 0, -1])
async def test_sums_are_exact_to_the_last_nano_dollar(store: RedisStore, first: int) -> None:
    step = -1 if first > 0 else 1
    for hold, cost in (("h", first), ("g", step)):
        told = msgspec.structs.replace(row(hold, cost), saved=-cost)
        await write(store, record(told))
    (kept,) = await store.ledger.sums([TODAY])
    assert kept.sums == (2, 0, 0, 0, 0, first + step, -first - step, 0, 0, 0)


async def test_a_day_has_a_bounded_number_of_sums(store: RedisStore) -> None:
    """Clients invent names of models and of tags: the sums lose the names, and no number."""
    fill = f"for n = 1, {FIELDS} do redis.call('HSET', KEYS[1], n, cmsgpack.pack({{0, 0}})) end"
    for key in (keyspace.sums(BASE, TODAY), keyspace.tag_sums(BASE, TODAY)):
        await store._runner.send("fill", "EVAL", fill, 1, key)
    for n in range(3):
        told = msgspec.structs.replace(row(f"h{n}", 10**n, tags={"t": str(n)}), model=f"m{n}")
        await write(store, record(told))
    others = {who_of("a", TEAM, ledger.OTHER): 111}
    for found, expected in (
        (await store.ledger.sums([TODAY]), others),
        (await store.ledger.tag_sums([TODAY]), {ledger.OTHER: 111}),
    ):
        assert len(found) == FIELDS + 1
        assert {each.who: each.sums[5] for each in found if len(each.sums) > 2} == expected


async def test_about_so_many_rows_stay_and_their_sums_for_ever(server: Server, connect: Connect) -> None:
    store = await connect(server.url, max_rows=100)
    await write(store, *(record(row(f"h{n}", 1)) for n in range(500)))
    kept = await store.ledger.oldest(None, 1000)
    assert 100 <= len(kept) < 300
    assert kept[-1].number == 500
    assert_chain(kept[1:], kept[0].number, kept[0].hash)
    assert costs(await store.ledger.sums([TODAY])) == {(TODAY, who_of("a", TEAM, "m")): 500}


async def test_old_rows_go(server: Server, connect: Connect) -> None:
    store = await connect(server.url, max_age=DAY)
    await write(store, *(record(row(f"old{n}", 1)) for n in range(300)))
    await write(store, *(record(row(f"new{n}", 1, key="b")) for n in range(10)), now=NOW + 1)
    await store.ledger.trim(NOW + DAY)
    assert len(await store.ledger.oldest(None, 1000)) == 310
    await store.ledger.trim(NOW + 1 + DAY)
    left = await store.ledger.oldest(None, 1000)
    assert 10 <= len(left) < 150
    assert [each.number for each in left] == list(range(311 - len(left), 311))
    gone = 300 - (len(left) - 10)
    assert len(await store.ledger.recent("a", 20)) == min(20, 300 - gone)
    assert len(await store.ledger.recent("b", 20)) == 10
    assert (await store.ledger.head())[0] == 310
    await store.ledger.trim(0)


async def test_an_emptied_ledger_continues_where_the_sink_was(server: Server, store: RedisStore) -> None:
    await write(store, *(record(row(f"h{n}", n)) for n in range(3)))
    head = await store.ledger.head()
    assert head == (3, (await store.ledger.newest(None, 1))[0].hash)
    server.tell("FLUSHALL")
    assert await store.ledger.head() == (0, "")
    await store.ledger.continue_at(*head)
    await store.ledger.continue_at(2, "behind")
    await store.ledger.continue_at(3, "another")
    assert await store.ledger.head() == head
    await write(store, record(row("next", 7)))
    assert_chain(await store.ledger.oldest(None, 9), *head)


@settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(st.text(min_size=1, max_size=400), max_size=5))
async def test_the_script_links_as_python_does(store: RedisStore, texts: list[str]) -> None:
    number, previous = await store.ledger.head()
    for text in texts:
        told = Record(text.encode(), "a", TODAY, who_of("a", None, text), (1,), (text,))
        assert await store.holds.settle(TEAM, f"{number}", {}, NOW, told)
        number += 1
        previous = link(previous, number, told.row)
    assert await store.ledger.head() == (number, previous)


async def test_several_chains_are_refused(server: Server, connect: Connect) -> None:
    store = await connect(server.url, tags=2)
    with pytest.raises(ValueError, match="one chain"):
        await write(store, record(row("h", 1)))


async def test_a_row_reads_as_it_was_written(store: RedisStore) -> None:
    odd = Row(id="h", time=NOW, key="a", endpoint="chat", model='q"\\ü\u2028😀', tags={"t": "ä"}, cost=None)
    await take(store, "h", [claim(LIMIT)])
    store.holds.dispatch(TEAM, "h", NOW, LEASE, record_of(odd, TODAY, odd.model))
    assert await store.holds.expire(NOW + LEASE) == [encode(odd)]
    assert decode((await store.ledger.newest(None, 1))[0].row) == odd
    assert [each.who for each in await store.ledger.sums([TODAY])] == [who_of("a", None, odd.model)]
