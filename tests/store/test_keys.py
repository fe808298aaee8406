"""Clients: written, read, and every change heard of, by whoever missed the push as well."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.errors import StoreUnavailable
from gateway.policy.records import KeyRecord, TeamRecord
from gateway.store import keyspace
from gateway.store.base import Change, Roster
from gateway.store.redis import RedisStore
from tests.store.proxy import Proxy
from tests.store.servers import Connect, Server, until

ALICE = KeyRecord(id="a1", name="alice", digest="00" * 32, team="research", limits=["7 requests/minute"])
BOB = KeyRecord(id="b2", name="bob", digest="11" * 32, expires=5, tags={"cost": "centre:7"})
RESEARCH = TeamRecord(name="rés:earch", models=["gpt-*"])
ALL = Change("all")


async def following(changes: AsyncIterator[Change]) -> Change:
    async with asyncio.timeout(10):
        return await anext(changes)


async def test_records_come_back_as_they_were(store: RedisStore) -> None:
    assert await store.keys.load() == Roster()
    for key in (ALICE, BOB):
        await store.keys.put_key(key)
    await store.keys.put_team(RESEARCH)
    roster = await store.keys.load()
    assert {key.id: key for key in roster.keys} == {"a1": ALICE, "b2": BOB}
    assert roster.teams == (RESEARCH,)
    assert await store.keys.key("b2") == BOB
    assert await store.keys.team("rés:earch") == RESEARCH
    assert await store.keys.key("c3") is None


async def test_what_is_deleted_is_gone_and_once(store: RedisStore) -> None:
    await store.keys.put_key(ALICE)
    await store.keys.put_team(RESEARCH)
    assert await store.keys.delete_key("a1")
    assert not await store.keys.delete_key("a1")
    assert await store.keys.delete_team(RESEARCH.name)
    assert not await store.keys.delete_team(RESEARCH.name)
    assert await store.keys.load() == Roster()


async def test_a_record_that_cannot_be_read_opens_nothing_and_hides_no_other(
    server: Server, store: RedisStore
) -> None:
    await store.keys.put_key(ALICE)
    server.tell(f"HSET {keyspace.KEYS} new nonsense")
    assert (await store.keys.load()).keys == (ALICE,)
    assert await store.keys.key("new") is None


async def test_every_change_is_pushed_to_every_process(server: Server, connect: Connect) -> None:
    writer, *readers = [await connect(server.url) for _ in range(3)]
    streams = [reader.keys.changes() for reader in readers]
    assert [await following(stream) for stream in streams] == [ALL, ALL]
    await writer.keys.put_key(ALICE)
    await writer.keys.put_team(RESEARCH)
    await writer.keys.delete_key("a1")
    await writer.keys.delete_key("a1")
    await writer.keys.delete_team(RESEARCH.name)
    expected = [Change("key", "a1"), Change("team", "rés:earch"), Change("key", "a1")]
    expected.append(Change("team", "rés:earch"))
    for stream in streams:
        assert [await following(stream) for _ in expected] == expected
        await stream.aclose()


async def test_a_push_that_is_lost_is_noticed(server: Server, store: RedisStore) -> None:
    changes = store.keys.changes()
    assert await following(changes) == ALL
    server.tell(f"INCR {keyspace.VERSION}")  # a change whose push reached nobody
    assert await following(changes) == ALL
    await store.keys.put_key(ALICE)
    assert await following(changes) == Change("key", "a1")
    await changes.aclose()


async def test_a_push_shows_that_one_before_it_was_lost(
    server: Server, store: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.keys.POLL", 3600.0)
    changes = store.keys.changes()
    assert await following(changes) == ALL
    server.tell(f"INCR {keyspace.VERSION}")
    await store.keys.put_key(BOB)
    assert await following(changes) == ALL
    await changes.aclose()


async def test_a_store_that_was_emptied_is_read_again(server: Server, store: RedisStore) -> None:
    await store.keys.put_key(ALICE)
    changes = store.keys.changes()
    assert await following(changes) == ALL
    server.tell("FLUSHALL")
    assert await following(changes) == ALL
    await changes.aclose()


async def test_changes_go_on_after_the_line_was_cut(single: Server, connect: Connect) -> None:
    async with Proxy(single.socket) as proxy:
        store = await connect(proxy.url)
        writer = await connect(single.url)
        changes = store.keys.changes()
        assert await following(changes) == ALL
        proxy.cut()
        await writer.keys.put_key(ALICE)
        assert await following(changes) == ALL
        await writer.keys.put_key(BOB)
        assert await following(changes) == Change("key", "b2")
        await changes.aclose()


async def test_changes_go_on_after_the_server_was_away(own: Server, connect: Connect) -> None:
    store = await connect(own.url)
    changes = store.keys.changes()
    assert await following(changes) == ALL
    own.stop()
    with pytest.raises(StoreUnavailable):
        await store.ping()
    own.start()
    await until(lambda: store.up)
    assert await following(changes) == ALL
    await changes.aclose()


@pytest.mark.parametrize("ticks", [0, 1, 2, 3, 5, 8, 13, 30, 80])
@pytest.mark.parametrize("served", [True, False])
async def test_who_follows_changes_can_be_cancelled_at_any_moment(
    own: Server, connect: Connect, served: bool, ticks: int
) -> None:
    store = await connect(own.url)
    if not served:
        own.stop()

    async def follow() -> None:
        async for _ in store.keys.changes():
            pass

    task = asyncio.get_running_loop().create_task(follow())
    for _ in range(ticks):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_secret_is_made_once_and_shared(server: Server, connect: Connect) -> None:
    stores = [await connect(server.url) for _ in range(4)]
    secrets = await asyncio.gather(
        *(store.keys.secret("cache", b"\x00secret %d" % number) for number, store in enumerate(stores))
    )
    assert len(set(secrets)) == 1
    await stores[0].keys.put_secret("cache", b"another")
    assert await stores[1].keys.secret("cache", b"fresh") == b"another"
    assert await stores[1].keys.secret("other", b"fresh") == b"fresh"
