"""Who a store is: one name beside all of its counters, or none."""

from gateway.store.keyspace import Keyspace, epoch
from gateway.store.redis import RedisStore
from tests.store.servers import Connect, Server


async def test_an_empty_store_has_no_name_until_it_gets_one(store: RedisStore) -> None:
    assert await store.epoch() == ""
    assert await store.epoch("name") == "name"
    assert await store.epoch() == await store.epoch("other") == "name"


async def test_a_name_never_ends_by_itself(store: RedisStore) -> None:
    await store.epoch("name")
    assert await store._runner.send("look", "PTTL", epoch(Keyspace().base(""))) == -1


async def test_counters_that_lost_the_name_are_noticed(server: Server, connect: Connect) -> None:
    store = await connect(server.url, tags=3)
    assert await store.epoch("name") == await store.epoch() == "name"
    lost = epoch(Keyspace(3).bases[2])
    await store._runner.send("lose", "DEL", lost)
    assert await store.epoch() == ""
    assert await store.epoch("fresh") == await store.epoch() == "name"
