"""Cached answers: kept, ended, bounded, and counted right whatever is overwritten."""

import asyncio
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.store import keyspace
from gateway.store.answers import OVERHEAD
from gateway.store.redis import RedisStore, open_store
from tests.store.servers import NOW, Connect, Server, Spawned, until

HOUR = 3_600_000
KEY, OTHER = b"\x00k1}\r\n", b"k2"


async def total(server: Server, store: RedisStore) -> int:
    """What the store believes that it keeps."""
    reply = await store.answers._runner.send("test", "GET", keyspace.ANSWERS_TOTAL)
    assert server.tell(f"HLEN {keyspace.ANSWERS_SIZES}") == server.tell(f"ZCARD {keyspace.ANSWERS_INDEX}")
    return int(reply or 0)


async def test_an_entry_comes_back_as_it_was(store: RedisStore) -> None:
    entry = bytes(range(256)) * 9
    assert await store.answers.get(KEY) is None
    assert await store.answers.put(KEY, entry, HOUR, NOW)
    assert await store.answers.get(KEY) == entry
    assert await store.answers.get(OTHER) is None


async def test_a_question_shares_the_write_of_what_is_called_next(single: Server, connect: Connect) -> None:
    store = await connect(single.url)
    await store.answers.put(KEY, b"v", HOUR, NOW)
    pending = store.answers.get(KEY)
    single.tell("SET marker 1")
    await store.ping()
    assert asyncio.isfuture(pending)
    assert pending.done()
    assert await pending == b"v"


async def test_an_entry_ends_by_itself(store: RedisStore) -> None:
    await store.answers.put(KEY, b"v", 1, NOW)
    started = time.monotonic()
    await until(lambda: time.monotonic() > started + 0.02)
    assert await store.answers.get(KEY) is None
    assert not await store.answers.put(KEY, b"v", 0, NOW)


async def test_what_is_overwritten_is_counted_once(server: Server, store: RedisStore) -> None:
    await store.answers.put(KEY, b"v" * 1000, HOUR, NOW)
    await store.answers.put(KEY, b"v" * 10, HOUR, NOW)
    assert await total(server, store) == 10 + OVERHEAD
    assert await store.answers.get(KEY) == b"v" * 10


async def test_what_is_overwritten_in_the_same_write_is_counted_once(
    server: Server, store: RedisStore
) -> None:
    puts = [(KEY, 1, NOW), (OTHER, 2, NOW), (KEY, 3, NOW), (OTHER, 4, NOW + 1), (KEY, 5, NOW + 2)]
    kept = [store.answers.put(key, b"v" * size, HOUR, now) for key, size, now in puts]
    assert await asyncio.gather(*kept) == 5 * [True]
    assert await store.answers.get(KEY) == b"vvvvv"
    assert await total(server, store) == 5 + 4 + 2 * OVERHEAD
    assert server.tell(f"ZCARD {keyspace.ANSWERS_INDEX}") == b":2"


async def test_room_is_made_from_what_has_ended_and_then_from_what_ends_soonest(
    server: Server, connect: Connect
) -> None:
    store = await connect(server.url, max_memory=3 * (100 + OVERHEAD))
    entry = b"v" * 100
    for name, ttl in ((b"late", 3 * HOUR), (b"soon", HOUR), (b"later", 2 * HOUR)):
        assert await store.answers.put(name, entry, ttl, NOW)
    assert await store.answers.put(b"one more", entry, HOUR, NOW)
    assert await store.answers.get(b"soon") is None
    assert await store.answers.get(b"late") == entry
    assert await store.answers.put(b"after an hour", entry, 4 * HOUR, NOW + HOUR)
    assert await store.answers.get(b"one more") is None
    assert await store.answers.get(b"later") == entry
    assert await total(server, store) == 3 * (100 + OVERHEAD)


async def test_an_entry_larger_than_the_bound_is_not_kept_and_costs_no_other(
    server: Server, connect: Connect
) -> None:
    store = await connect(server.url, max_memory=1000 + OVERHEAD)
    assert await store.answers.put(KEY, b"v" * 1000, HOUR, NOW)
    assert not await store.answers.put(OTHER, b"v" * 1001, HOUR, NOW)
    assert await store.answers.get(KEY) == b"v" * 1000


async def test_one_large_entry_drops_a_bounded_number_of_small_ones(server: Server, connect: Connect) -> None:
    bound = 500 * (1 + OVERHEAD)
    store = await connect(server.url, max_memory=bound)
    await asyncio.gather(*(store.answers.put(b"%d" % n, b"v", HOUR, NOW) for n in range(500)))
    large = b"v" * (bound - OVERHEAD)
    assert not await store.answers.put(KEY, large, HOUR, NOW)
    assert server.tell(f"ZCARD {keyspace.ANSWERS_INDEX}") == b":300"
    assert not await store.answers.put(KEY, large, HOUR, NOW)
    assert await store.answers.put(KEY, large, HOUR, NOW)
    assert await total(server, store) == bound


async def test_what_it_counts_is_about_what_the_server_uses(single: Server, connect: Connect) -> None:
    store = await connect(single.url, max_memory=2**26)
    before = used_memory(await store.answers._runner.send("test", "INFO", "memory"))
    await asyncio.gather(*(store.answers.put(b"%032d" % n, b"v" * 500, HOUR, NOW) for n in range(4000)))
    after = used_memory(await store.answers._runner.send("test", "INFO", "memory"))
    counted = await total(single, store)
    assert 0.5 * counted < after - before < 1.2 * counted


def used_memory(info: bytes) -> int:
    return int(info.split(b"used_memory:")[1].split()[0])


async def test_a_server_of_their_own_keeps_its_own_bound(
    server: Server, own: Server, connect: Connect
) -> None:
    own.tell("CONFIG SET maxmemory-policy allkeys-lru")
    own.tell("CONFIG SET maxmemory 100mb")
    store = await connect(server.url, cache_url=own.url, max_memory=1)
    assert await store.answers.put(KEY, b"v" * 100, HOUR, NOW)
    assert await store.answers.get(KEY) == b"v" * 100
    assert (own.tell("DBSIZE"), server.tell("DBSIZE")) == (b":1", b":0")
    assert not await store.answers.put(KEY, b"v", 0, NOW)


puts = st.lists(
    st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.integers(0, 900), st.integers(1, 5)), max_size=25
)


@given(puts)
@settings(
    max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_count_is_the_sum_of_what_is_kept(server: Server, some: list[tuple[bytes, int, int]]) -> None:
    bound = 2 * (600 + OVERHEAD)

    async def check() -> None:
        server.tell("FLUSHALL")
        spawn = Spawned()
        store = await open_store(server.url, deadline=5, timezone="UTC", max_memory=bound, spawn=spawn)
        for tick, (key, size, hours) in enumerate(some):
            await store.answers.put(key, b"v" * size, hours * HOUR, NOW + tick * HOUR)
            kept = [await store.answers.get(name) for name in (b"a", b"b", b"c", b"d")]
            counted = await total(server, store)
            assert counted == sum(len(entry) + OVERHEAD for entry in kept if entry is not None) <= bound
        await store.close()

    asyncio.run(check())
