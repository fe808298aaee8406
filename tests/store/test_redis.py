"""Opening a store: what is refused, what is only waited for, and what is told."""

import logging
from pathlib import Path

import pytest

from gateway.store.redis import StoreMisconfigured
from tests.store.servers import NOW, Connect, Node, Server, redis_server, until


@pytest.mark.parametrize("url", ["redis+galera://h", "embedded:./x", "mysql://h"])
async def test_stores_that_are_not_supported_are_refused(connect: Connect, url: str) -> None:
    with pytest.raises(StoreMisconfigured, match="is not supported"):
        await connect(url)


async def test_a_cache_that_is_not_supported_is_refused(own: Server, connect: Connect) -> None:
    with pytest.raises(StoreMisconfigured, match="is not supported"):
        await connect(own.url, cache_url="redis+galera://h")


async def test_a_server_that_may_evict_is_refused(server: Server, connect: Connect) -> None:
    server.tell("CONFIG SET maxmemory-policy allkeys-lru")
    server.tell("CONFIG SET maxmemory 100mb")
    try:
        with pytest.raises(StoreMisconfigured, match="CONFIG SET maxmemory-policy noeviction"):
            await connect(server.url)
        server.tell("CONFIG SET maxmemory 0")
        assert (await connect(server.url)).up
        server.tell("CONFIG SET maxmemory 100mb")
        server.tell("CONFIG SET maxmemory-policy noeviction")
        assert (await connect(server.url)).up
    finally:
        server.tell("CONFIG SET maxmemory 0")
        server.tell("CONFIG SET maxmemory-policy noeviction")


async def test_a_server_that_does_not_say_whether_it_evicts_is_warned_about(
    own: Server, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    own.tell("ACL SETUSER gw on >pw ~* &* +@all -config")
    assert (await connect(f"unix://gw:pw@{own.socket}")).up
    assert any("CONFIG is forbidden" in record.getMessage() for record in caplog.records)


async def test_a_server_that_begins_to_evict_is_not_used_again(
    own: Server, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    store = await connect(own.url)
    own.stop()
    await until(lambda: not store.up)
    own.options = ("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    own.start()
    await until(lambda: any("noeviction" in record.getMessage() for record in caplog.records))
    assert not store.up
    own.tell("CONFIG SET maxmemory-policy noeviction")
    await until(lambda: store.up)


async def test_it_opens_while_its_server_is_down(
    own: Server, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    own.stop()
    store = await connect(own.url)
    assert not store.up
    own.start()
    await until(lambda: store.up)
    await store.ping()
    assert [record.getMessage() for record in caplog.records] == ["store is down", "store is up again"]


async def test_its_clock_is_the_servers(own: Server, connect: Connect) -> None:
    store = await connect(own.url)
    assert abs(await store.time_offset()) < 1000  # one machine, one clock
    assert own.url.split("://")[1].split("?")[0] in repr(store)


@pytest.mark.redis
async def test_a_cluster_that_is_none_is_refused(home: Path, connect: Connect) -> None:
    server = Node(redis_server(), home).start()
    try:
        with pytest.raises(StoreMisconfigured, match="is no cluster: write redis://"):
            await connect(f"redis+cluster://{server.place}")
    finally:
        server.stop()


async def test_cached_answers_may_be_in_a_cluster_of_their_own(
    own: Server, server: Server, connect: Connect
) -> None:
    store = await connect(own.url, cache_url=server.url)
    assert await store.answers.put(b"k", b"v", 60_000, NOW)
    assert await store.answers.get(b"k") == b"v"
    assert (own.tell("DBSIZE"), server.tell("DBSIZE")) == (b":0", b":1")
