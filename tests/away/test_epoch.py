"""A store that was emptied is noticed: while running, by a restart, and by every gateway."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.away.epoch import EpochGuard
from gateway.away.remembered import Remembered
from gateway.errors import StoreReset, StoreUnavailable
from gateway.store.redis import RedisStore
from tests.away.entries import LEASE, TEAM, claims
from tests.store.servers import NOW, Connect, Server, Spawned, until, valkey

URL = "redis://quota/0"
ADMIN = b"\x01" * 32


@pytest.fixture
async def store(own: Server, connect: Connect) -> RedisStore:
    return await connect(own.url)


def guarding(store: RedisStore, folder: Path) -> EpochGuard:
    """A gateway that starts with this data folder."""
    return EpochGuard(store, Remembered(folder, URL))


async def takes_holds(store: RedisStore, hold: str = "h") -> bool:
    try:
        return (await store.holds.reserve(TEAM, hold, "admit", claims(), NOW, LEASE)).admitted
    except StoreReset:
        return False


async def test_the_first_start_gives_the_store_its_name(
    store: RedisStore, own: Server, connect: Connect, tmp_path: Path
) -> None:
    first, second = guarding(store, tmp_path / "a"), guarding(await connect(own.url), tmp_path / "b")
    assert all(await asyncio.gather(first.check(), second.check()))
    assert first.expected == second.expected == await store.epoch()
    assert first.complaint is None
    assert await takes_holds(store)


@pytest.mark.parametrize("restarted", [False, True])
async def test_an_emptied_store_is_noticed_and_serves_nobody(
    store: RedisStore, own: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture, restarted: bool
) -> None:
    guard = guarding(store, tmp_path)
    await guard.check()
    guard.remember_admin(ADMIN)
    own.tell("FLUSHALL")
    if restarted:
        store.expect("")
        guard = guarding(store, tmp_path)
    assert not await takes_holds(store)  # also before anybody has looked
    with caplog.at_level(logging.ERROR):
        assert not await guard.check()
        assert not await guard.trusted()
    assert guard.complaint is not None
    assert "emptied" in guard.complaint
    assert [getattr(r, "code", "") for r in caplog.records] == ["store_reset"]
    assert guard.admin_digest == ADMIN
    assert not await takes_holds(store)
    assert await store.epoch() == ""  # nobody gave it a new name


@pytest.fixture
def lasting(home: Path) -> Iterator[Server]:
    """A server that has its data again after it was killed."""
    server = Server(valkey(), home, ("--appendonly", "yes", "--appendfsync", "always")).start()
    yield server
    server.stop()


async def restart(server: Server, store: RedisStore, *, emptied: bool = False) -> None:
    server.stop()
    await until(lambda: not store.up)
    if emptied:
        for path in (server.folder / "appendonlydir").iterdir():
            path.unlink()
    server.start()
    await until(lambda: store.up)


async def test_a_server_that_lost_its_data_is_noticed_and_one_that_kept_it_is_not(
    lasting: Server, connect: Connect, tmp_path: Path
) -> None:
    store = await connect(lasting.url)
    guard = guarding(store, tmp_path)
    await guard.check()
    assert await takes_holds(store)
    await restart(lasting, store)
    assert await guard.check()
    assert await takes_holds(store)
    await restart(lasting, store, emptied=True)
    assert not await takes_holds(store)
    assert not await guard.check()


async def test_a_store_that_is_away_is_not_taken_for_an_empty_one(
    store: RedisStore, own: Server, tmp_path: Path
) -> None:
    guard = guarding(store, tmp_path)
    await guard.check()
    own.stop()
    await until(lambda: not store.up)
    with pytest.raises(StoreUnavailable):
        await guard.check()
    assert guard.complaint is None
    assert not await guard.trusted()


async def test_another_store_is_not_taken_for_this_one(
    store: RedisStore, own: Server, tmp_path: Path
) -> None:
    guard = guarding(store, tmp_path)
    await guard.check()
    own.tell("FLUSHALL")
    await store.epoch("another")
    assert not await guard.check()
    assert guard.complaint is not None
    assert "not the one" in guard.complaint


async def test_it_heals_by_itself_when_the_store_is_restored(
    store: RedisStore, own: Server, tmp_path: Path, spawn: Spawned
) -> None:
    guard = guarding(store, tmp_path)
    await guard.check()
    again = asyncio.Event()

    async def read_again() -> None:
        again.set()

    work = spawn(guard.follow(read_again), "follow the epoch")
    own.tell("FLUSHALL")
    guard.noticed()
    await until(lambda: guard.complaint is not None)
    assert not again.is_set()
    await store.epoch(guard.expected)
    await until(again.is_set)
    assert guard.complaint is None
    assert await takes_holds(store)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


@pytest.mark.parametrize("other", ["", "another"])
async def test_what_one_accepts_the_others_follow_also_after_a_restart(
    store: RedisStore, own: Server, connect: Connect, tmp_path: Path, other: str
) -> None:
    second = await connect(own.url)
    one, two = guarding(store, tmp_path / "one"), guarding(second, tmp_path / "two")
    third = guarding(await connect(own.url), tmp_path / "three")
    for guard in (one, two, third):
        await guard.check()
    before = one.expected
    for times in range(3):
        own.tell("FLUSHALL")
        if other:
            await store.epoch(f"{other}-{times}")
        assert not await one.check()
        assert not await two.check()
        assert await one.succeed() == await store.epoch() == one.expected != before
        assert one.complaint is None
        assert await two.check()
        assert await takes_holds(second, f"h{times}")
    assert await third.check()  # was away all the time
    restarted = guarding(await connect(own.url), tmp_path / "two")
    assert await restarted.check()
    assert restarted.expected == one.expected


async def test_a_memory_that_cannot_be_read_takes_no_empty_store(
    store: RedisStore, own: Server, tmp_path: Path
) -> None:
    guard = guarding(store, tmp_path)
    await guard.check()
    Remembered(tmp_path, URL).path.write_bytes(b"?")
    guard = guarding(store, tmp_path)
    assert not await takes_holds(store)
    assert await guard.check()
    assert await takes_holds(store)
    Remembered(tmp_path, URL).path.write_bytes(b"?")
    own.tell("FLUSHALL")
    guard = guarding(store, tmp_path)
    assert not await guard.check()
    assert not await takes_holds(store)
    await guard.succeed()
    assert guard.complaint is None
    assert await takes_holds(store)
