"""Finding a master through real sentinels: before and after a failover, and when some of them are no help."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.address import SentinelAddress, StoreMisconfigured, parse
from gateway.store.link import Link
from gateway.store.sentinel import Sentinels
from tests.store.servers import Connect, Node, Sentinel, Spawned, redis_server, until, wait

pytestmark = pytest.mark.redis

Dial = Callable[..., Awaitable[Link]]


@dataclass
class Watched:
    """A master, its replica, and three sentinels; the servers have one password and the sentinels another."""

    master: Node
    replica: Node
    sentinels: list[Sentinel]

    @property
    def url(self) -> str:
        places = ",".join(sentinel.place for sentinel in self.sentinels)
        return f"redis+sentinel://:hush-hush@{places}/main/3?sentinel_password=other-one"


@pytest.fixture
def watched(home: Path) -> Iterator[Watched]:
    def folder(name: str) -> Path:
        (home / name).mkdir()
        return home / name

    program = redis_server()
    master = Node(program, folder("one"), password="hush-hush").start()
    of_master = ("--replicaof", "127.0.0.1", str(master.port))
    replica = Node(program, folder("two"), of_master, password="hush-hush").start()
    wait(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"))
    sentinels = [Sentinel(program, folder(f"s{n}"), (), "other-one", master=master) for n in range(3)]
    for sentinel in sentinels:
        sentinel.start()
        sentinel.ask("SENTINEL", "DEBUG", "info-period", 100, "publish-period", 100)  # in a hurry
    wait(lambda: all(b"slaves=1,sentinels=3" in each.ask("INFO", "sentinel") for each in sentinels))
    yield Watched(master, replica, sentinels)
    for server in (*sentinels, master, replica):
        server.stop()


@pytest.fixture
async def dial(spawn: Spawned) -> AsyncIterator[Dial]:
    links: list[Link] = []

    async def dial(url: str, deadline: float = 3600.0, **more: Any) -> Link:
        links.append(Link(sentinels(url), deadline=deadline, spawn=spawn, master=True, **more))
        await links[-1].open()
        return links[-1]

    yield dial
    for link in links:
        await link.close()


def sentinels(url: str) -> Sentinels:
    address = parse(url)
    assert isinstance(address, SentinelAddress)
    return Sentinels(address)


async def test_after_a_failover_the_new_master_is_used_without_being_told(
    watched: Watched, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway")
    link = await dial(watched.url)
    assert await link.call("SET", "k", "kept") == b"OK"
    assert await link.call("CONFIG", "GET", "port") == [b"port", b"%d" % watched.master.port]
    assert await link.call("WAIT", 1, 5000) == 1
    watched.master.stop()
    await until(lambda: not link.up)
    call = link.call("GET", "k")
    assert call.done()
    assert isinstance(call.exception(), StoreUnavailable)
    await until(lambda: link.up)
    assert await link.call("CONFIG", "GET", "port") == [b"port", b"%d" % watched.replica.port]
    assert await link.call("GET", "k") == b"kept"
    assert await link.call("SET", "k", "new") == b"OK"
    assert [record.getMessage() for record in caplog.records] == ["store is down", "store is up again"]
    assert "hush-hush" not in caplog.text + repr(link)


async def test_a_master_that_hands_over_loses_its_connection(watched: Watched, dial: Dial) -> None:
    link = await dial(watched.url)
    watched.sentinels[1].ask("SENTINEL", "FAILOVER", "main")

    def promoted() -> bool:
        # A Sentinel kills the connections of everybody, ours too, at the server that it promotes.
        try:
            return watched.replica.ask("ROLE")[0] == b"master"  # type: ignore[no-any-return]
        except ConnectionError:
            return False

    await until(promoted)

    async def writes_to() -> bytes:
        try:
            await link.call("SET", "k", 1)
            return bytes((await link.call("CONFIG", "GET", "port"))[1])
        except StoreUnavailable:
            await asyncio.sleep(0.01)
            return b""

    # A Sentinel that was kept waiting for two seconds trusts its clock again after thirty (its TILT mode).
    async with asyncio.timeout(90):
        while await writes_to() != b"%d" % watched.replica.port:
            pass
    assert link.up


async def test_a_store_opens_and_hears_of_changes_through_sentinels(
    watched: Watched, connect: Connect
) -> None:
    store = await connect(watched.url)
    assert store.up
    await store.ping()
    changes = store.keys.changes()
    async with asyncio.timeout(10):
        await anext(changes)
        assert await store.keys.secret("s", b"fresh") == b"fresh"
    await changes.aclose()


async def test_sentinels_that_are_dead_are_passed_over(watched: Watched, dial: Dial) -> None:
    for sentinel in watched.sentinels[:2]:
        sentinel.stop()
    found = sentinels(watched.url)
    for _ in range(3):
        (address,) = await found.addresses()
        assert (address.port, address.db, address.password) == (watched.master.port, 3, "hush-hush")
    assert (await dial(watched.url)).up
    watched.sentinels[2].stop()
    with pytest.raises(StoreUnavailable, match="sentinels are not reachable"):
        await found.addresses()


async def test_what_trying_again_cannot_help_is_told_in_words(watched: Watched, dial: Dial) -> None:
    with pytest.raises(StoreMisconfigured, match="knows no master of that name"):
        await dial(watched.url.replace("/main/", "/mian/"))
    with pytest.raises(StoreMisconfigured, match="asks for a password"):
        await dial(watched.url.partition("?")[0])
    with pytest.raises(StoreMisconfigured, match="refuses the user or the password"):
        await dial(watched.url.replace(":hush-hush@", ":wrong@"))
    server = f"redis+sentinel://:hush-hush@{watched.master.place}/main?sentinel_password=hush-hush"
    with pytest.raises(StoreMisconfigured, match="refuses: ERR unknown command"):
        await dial(server)


async def test_it_says_where_it_looks_and_no_password(watched: Watched) -> None:
    found = sentinels(watched.url)
    assert str(found).startswith(f"redis+sentinel://{watched.sentinels[0].place},")
    assert "hush-hush" not in f"{found} {found!r}"
    assert "other-one" not in f"{found} {found!r}"
    assert found.context() is None
