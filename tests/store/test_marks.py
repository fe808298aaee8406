"""Things to be done once, by one process of many."""

import asyncio

from gateway.store import keyspace
from gateway.store.redis import RedisStore
from tests.store.servers import Connect, Server


async def test_of_many_who_ask_one_is_told_to_do_it(server: Server, connect: Connect) -> None:
    stores = [await connect(server.url) for _ in range(3)]
    told = await asyncio.gather(*(stores[n % 3].marks.mark("80% of $5/day", 60_000) for n in range(30)))
    assert sum(told) == 1
    assert await stores[0].marks.mark("100% of $5/day", 60_000)


async def test_what_could_not_be_done_may_be_tried_again(store: RedisStore) -> None:
    assert await store.marks.mark("m", 60_000)
    await store.marks.unmark("m")
    assert await store.marks.mark("m", 60_000)
    await store.marks.unmark("never marked")


async def test_a_mark_ends(server: Server, store: RedisStore) -> None:
    await store.marks.mark("m", 60_000)
    assert 0 < int(await store._runner.send("look", "PTTL", keyspace.mark("m"))) <= 60_000


async def test_no_name_can_break_a_key(store: RedisStore) -> None:
    for name in ("", "}{", "a\r\nb", "😀" * 1000):
        assert await store.marks.mark(name, 60_000)
        assert not await store.marks.mark(name, 60_000)
