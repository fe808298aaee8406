"""Who made what: on every server, in one write, for as long as was said."""

import asyncio

import pytest

from gateway.errors import StoreUnavailable
from gateway.store import keyspace
from gateway.store.redis import RedisStore
from gateway.store.slots import slot_of
from tests.store.servers import Cluster, Connect, Server

IDS = [f"file-{number}" for number in range(300)]


async def test_what_nobody_recorded_is_nobodys(store: RedisStore) -> None:
    assert await store.owners.owners(["file-1", "", "x" * 5000]) == [None, None, None]
    assert await store.owners.owners([]) == []


async def test_everybody_on_the_store_knows_who_made_it(server: Server, connect: Connect) -> None:
    one, other = await connect(server.url), await connect(server.url)
    await one.owners.record("team:a", IDS, 0)
    await one.owners.record("team:b", ["thread_1"], 60_000)
    assert await other.owners.owners([*IDS, "thread_1", "file-x"]) == ["team:a"] * 300 + ["team:b", None]


async def test_the_first_owner_stays_the_owner(store: RedisStore) -> None:
    await asyncio.gather(*(store.owners.record(f"team:{n}", ["file-1"], 0) for n in range(20)))
    (owner,) = await store.owners.owners(["file-1"])
    await store.owners.record("team:late", ["file-1", "file-2"], 0)
    assert await store.owners.owners(["file-1", "file-2"]) == [owner, "team:late"]


async def test_what_is_forgotten_is_nobodys_again(store: RedisStore) -> None:
    await store.owners.record("team:a", IDS, 0)
    await store.owners.forget([*IDS[:200], "never made"])
    assert await store.owners.owners(IDS) == [None] * 200 + ["team:a"] * 100


async def test_it_is_remembered_for_as_long_as_was_said(store: RedisStore) -> None:
    await store.owners.record("team:a", ["resp_1"], 60_000)
    await store.owners.record("team:a", ["file-1"], 0)
    left = [
        int(await store._runner.send("look", "PTTL", keyspace.owner(each))) for each in ("resp_1", "file-1")
    ]
    assert 0 < left[0] <= 60_000
    assert left[1] == -1


@pytest.mark.parametrize("name", ["}{", "{keys}", "a\r\nDEL x", "😀" * 100, "\ud800", "file-\0"])
async def test_no_id_and_no_owner_breaks_anything(store: RedisStore, name: str) -> None:
    await store.owners.record(f"team:{name.encode(errors='replace').decode()}", [name], 0)
    (owner,) = await store.owners.owners([name])
    assert owner is not None
    assert owner.startswith("team:")


async def test_of_many_objects_a_cluster_has_some_in_each_part(cluster: Cluster, connect: Connect) -> None:
    store = await connect(cluster.url)
    await store.owners.record("team:a", IDS, 0)
    assert all(int(node.ask("DBSIZE")) > 20 for node in cluster.nodes)
    assert len({slot_of(keyspace.owner(each)) for each in IDS}) > 250


async def test_many_are_asked_for_in_one_write(own: Server, connect: Connect) -> None:
    store = await connect(own.url, deadline=5.0)
    await store.owners.record("team:a", IDS, 0)
    before = _reads(own)
    await store.owners.owners(IDS)
    assert _reads(own) - before < 10, "in about one turn of the server's loop, not in 300"


def _reads(server: Server) -> int:
    info = server.ask("INFO", "stats")
    lines = dict(line.split(b":", 1) for line in info.split(b"\r\n") if b":" in line)
    return int(lines[b"total_reads_processed"])


async def test_an_object_costs_about_a_hundred_bytes(own: Server, connect: Connect) -> None:
    store = await connect(own.url)
    await store.owners.record(
        "team:research", ["resp_0123456789abcdef0123456789abcdef0123456789abcdef"], 10**9
    )
    key = keyspace.owner("resp_0123456789abcdef0123456789abcdef0123456789abcdef")
    assert int(own.ask("MEMORY", "USAGE", key)) < 160


async def test_a_store_that_is_down_says_so(own: Server, connect: Connect) -> None:
    store = await connect(own.url)
    await store.owners.record("team:a", ["file-1"], 0)
    own.stop()
    for call in (
        store.owners.owners(["file-1", "file-2"]),
        store.owners.record("team:a", ["file-1", "file-2"], 0),
        store.owners.forget(["file-1"]),
    ):
        with pytest.raises(StoreUnavailable):
            await call
