"""Listening: nothing is heard before it is confirmed, everything after, and the end is noticed."""

import asyncio

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.address import parse
from gateway.store.subscription import subscribe
from tests.store.servers import Server, until


async def test_everything_published_after_it_is_open_is_heard_in_order(server: Server) -> None:
    subscription = await subscribe(parse(server.url), "news")
    for number in range(100):
        assert server.tell(f"PUBLISH news {number}") == b":1"
    assert [await subscription.next(10) for _ in range(100)] == [b"%d" % number for number in range(100)]
    assert await subscription.next(0.01) is None
    assert server.tell("PUBLISH news later") == b":1"
    assert await subscription.next(10) == b"later"
    subscription.close()
    await until(lambda: server.tell("PUBLISH news x") == b":0")


async def test_credentials_are_used_and_their_refusal_is_unavailability(own: Server) -> None:
    own.tell("CONFIG SET requirepass hush")
    subscription = await subscribe(parse(f"unix://:hush@{own.socket}?db=3"), "news")
    subscription.close()
    for url in (own.url, f"unix://:wrong@{own.socket}"):
        with pytest.raises(StoreUnavailable):
            await subscribe(parse(url), "news")


async def test_a_server_that_is_gone_is_noticed(own: Server) -> None:
    subscription = await subscribe(parse(own.url), "news")
    own.stop()
    with pytest.raises(StoreUnavailable):
        await subscription.next(10)
    subscription.close()
    with pytest.raises(StoreUnavailable):
        await subscribe(parse(own.url), "news")


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
            await subscribe(parse(f"unix://{socket}"), "news")
        await gone.wait()
