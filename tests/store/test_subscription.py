"""Listening: nothing is heard before it is confirmed, everything after, and the end is noticed."""

import asyncio

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.address import Address
from gateway.store.subscription import subscribe
from tests.store.servers import Cluster, Server, address_of, until


async def test_everything_published_after_it_is_open_is_heard_in_order(single: Server) -> None:
    subscription = await subscribe(address_of(single.url), "news")
    for number in range(100):
        assert single.tell(f"PUBLISH news {number}") == b":1"
    assert [await subscription.next(10) for _ in range(100)] == [b"%d" % number for number in range(100)]
    assert await subscription.next(0.01) is None
    assert single.tell("PUBLISH news later") == b":1"
    assert await subscription.next(10) == b"later"
    subscription.close()
    await until(lambda: single.tell("PUBLISH news x") == b":0")


async def test_credentials_are_used_and_their_refusal_is_unavailability(own: Server) -> None:
    own.tell("CONFIG SET requirepass hush")
    subscription = await subscribe(address_of(f"unix://:hush@{own.socket}?db=3"), "news")
    subscription.close()
    for url in (own.url, f"unix://:wrong@{own.socket}"):
        with pytest.raises(StoreUnavailable):
            await subscribe(address_of(url), "news")


async def test_a_server_that_is_gone_is_noticed(own: Server) -> None:
    subscription = await subscribe(address_of(own.url), "news")
    own.stop()
    with pytest.raises(StoreUnavailable):
        await subscription.next(10)
    subscription.close()
    with pytest.raises(StoreUnavailable):
        await subscribe(address_of(own.url), "news")


async def test_a_server_that_never_confirms_is_given_up(own: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.subscription.CONNECT", 0.02)

    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.transport.abort()
        gone.set()

    socket = str(own.socket) + ".silent"
    async with await asyncio.start_unix_server(silent, socket):
        with pytest.raises(StoreUnavailable):
            await subscribe(address_of(f"unix://{socket}"), "news")
        await gone.wait()


class Some:
    """These servers, in this order."""

    def __init__(self, *urls: str) -> None:
        self._addresses = [address_of(url) for url in urls]

    async def addresses(self) -> list[Address]:
        return self._addresses


@pytest.mark.redis
async def test_any_node_of_a_cluster_that_answers_passes_everything_on(cluster: Cluster) -> None:
    nodes = [node.url for node in cluster.nodes]
    subscription = await subscribe(Some("redis://127.0.0.1:1", nodes[1]), "news")
    for number, node in enumerate(cluster.nodes):
        node.tell(f"PUBLISH news {number}")
        assert await subscription.next(10) == b"%d" % number
    subscription.close()


async def test_where_nobody_answers_there_is_nothing_to_hear() -> None:
    with pytest.raises(StoreUnavailable):
        await subscribe(Some("redis://127.0.0.1:1", "redis://127.0.0.1:1"), "news")
