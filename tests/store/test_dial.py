"""How a connection begins, and questions over a connection of their own."""

import asyncio

import pytest

from gateway.errors import StoreUnavailable
from gateway.store.address import StoreMisconfigured
from gateway.store.dial import ask, dial, introduce
from gateway.store.wire import ReplyError, Wire
from tests.store.servers import Server, address_of, until


async def test_questions_are_answered_in_order_and_errors_among_them(single: Server) -> None:
    address = address_of(single.url.replace("db=0", "db=3"))
    replies = await ask(address, ("SET", "k", "v"), ("NONSENSE",), ("GET", "k"), patience=60)
    assert [replies[0], replies[2]] == [b"OK", b"v"]
    assert isinstance(replies[1], ReplyError)
    assert await ask(address_of(single.url), ("GET", "k"), patience=60) == [None]
    await until(lambda: b"connected_clients:1\r\n" in single.ask("INFO", "clients"))


async def test_who_does_not_answer_is_unavailable_in_time(own: Server) -> None:
    address = address_of(own.url)
    own.freeze()
    with pytest.raises(StoreUnavailable, match=r"not reachable|in time"):
        await ask(address, ("PING",), patience=0.02)
    own.thaw()
    own.stop()
    with pytest.raises(StoreUnavailable, match="not reachable"):
        await ask(address, ("PING",), patience=60)


async def test_a_server_that_hangs_up_is_unavailable(own: Server) -> None:
    with pytest.raises(StoreUnavailable):
        await ask(address_of(own.url), ("QUIT",), ("PING",), patience=60)


async def test_credentials_that_are_refused_are_told_in_words(own: Server) -> None:
    own.tell("CONFIG SET requirepass hush")
    with pytest.raises(StoreMisconfigured, match="asks for a password"):
        await ask(address_of(own.url), ("PING",), patience=60)
    with pytest.raises(StoreMisconfigured, match="WRONGPASS"):
        await ask(address_of(f"unix://:wrong@{own.socket}"), ("PING",), patience=60)
    with pytest.raises(StoreMisconfigured, match="refuses the connection"):
        await ask(address_of(f"unix://:hush@{own.socket}?db=999"), ("PING",), patience=60)
    assert await ask(address_of(f"unix://:hush@{own.socket}"), ("PING",), patience=60) == [b"PONG"]


async def test_nothing_is_said_before_the_introduction(own: Server) -> None:
    address = address_of(own.url.replace("db=0", "db=2"))
    wire = await dial(address, None, lambda: Wire(60, lambda wire, reason: None))
    await introduce(wire, address)
    listed = await wire.call("CLIENT", "LIST")
    assert b" db=2 " in listed
    wire.end("done")
    await asyncio.sleep(0)
