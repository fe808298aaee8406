"""A batch: the operations of one turn of the loop, one command, and to each caller its own answer."""

import asyncio
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.store import scripts
from gateway.store.batch import MOST, Batch, Command
from gateway.store.redis import RedisStore
from tests.store.servers import Server


class Puts(Batch):
    """Entries of one byte, by name."""

    def __init__(self, store: RedisStore) -> None:
        super().__init__(store.holds._runner)
        self.sizes: list[int] = []

    def put(self, size: int) -> asyncio.Future[Any]:
        self.sizes.append(size)
        return self.join("put")

    def command(self) -> Command:
        keys = [f"gw:{{answers}}:{name}" for name in ("total", "index", "sizes")]
        keys += [f"gw:{{answers}}:entry:{n}" for n in range(len(self.sizes))]
        args: list[str | int] = [100, "gw:{answers}:entry:"]
        for n, size in enumerate(self.sizes):
            args += [n, "v", size, 60_000, 1]
        return scripts.PUT, keys, args


async def test_each_caller_hears_what_became_of_its_own(store: RedisStore) -> None:
    batch = Puts(store)
    assert await asyncio.gather(batch.put(10), batch.put(200), batch.put(20)) == [1, 0, 1]
    assert not batch.open
    assert batch.done()


async def test_it_is_sent_before_what_is_called_next(store: RedisStore) -> None:
    batch = Puts(store)
    kept = batch.put(10)
    assert batch.open
    found = store._runner.send("get", "GET", "gw:{answers}:entry:0")
    assert not batch.open
    assert (await found, kept.done(), await kept) == (b"v", True, 1)


async def test_a_full_one_does_not_wait(store: RedisStore) -> None:
    batch = Puts(store)
    calls = [batch.put(1) for _ in range(MOST)]
    assert not batch.open
    assert await asyncio.gather(*calls) == MOST * [1]


async def test_a_script_that_was_forgotten_is_brought_along(server: Server, store: RedisStore) -> None:
    server.tell("SCRIPT FLUSH")
    assert await Puts(store).put(1) == 1


async def test_each_has_an_error_of_its_own_when_all_fail(own: Server, connect: Any) -> None:
    failures: list[str] = []
    store = await connect(own.url, on_error=failures.append)
    own.tell("SET gw:{answers}:total words")
    batch = Puts(store)
    errors = await asyncio.gather(batch.put(1), batch.put(1), return_exceptions=True)
    assert all(isinstance(each, StoreUnavailable) for each in errors)
    assert errors[0] is not errors[1]
    assert failures == ["put", "put"]


async def test_who_does_not_wait_any_more_is_no_trouble(store: RedisStore) -> None:
    batch = Puts(store)
    gone, waiting = batch.put(10), batch.put(10)
    gone.cancel()
    assert await waiting == 1
    with pytest.raises(asyncio.CancelledError):
        await gone
