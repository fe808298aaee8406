"""Two relays and a watch."""

import asyncio

import pytest

from gateway.exchange import ClientGone, ClientStalled, Outcome
from gateway.sockets.ends import CUT_OFF, Close, Message
from gateway.sockets.reader import Unmetered
from gateway.sockets.session import Session
from tests.running import Running
from tests.sockets.conftest import Begin, End, session_of


class Deaf(End):
    def __init__(self, error: type[ClientGone]) -> None:
        super().__init__()
        self.error = error

    async def send(self, message: Message) -> None:
        raise self.error


def opened(gateway: Running, client: End, upstream: End) -> Session:
    exchange = session_of(gateway, "/v1/live/sessions", outcome=Outcome.ABANDONED, bytes_out=0)
    return Session(gateway.gateway, exchange, client, upstream, Unmetered(gateway.gateway, exchange))


@pytest.mark.parametrize(
    ("said", "heard", "outcome"),
    [
        (Close(4001, "why"), Close(4001, "why"), Outcome.COMPLETE),
        (Close(CUT_OFF), Close(CUT_OFF), Outcome.CLIENT_GONE),
    ],
)
async def test_the_clients_end_is_the_upstreams(
    begin: Begin, said: Close, heard: Close, outcome: Outcome
) -> None:
    gateway = await begin()
    client, upstream = End(), End()
    session = opened(gateway, client, upstream)
    client.say(b"one", said)
    await session.run()
    await session.finish()
    assert [message.data for message in upstream.sent] == [b"one"]
    assert upstream.closed == [heard]
    assert session._exchange.outcome is outcome


async def test_the_upstreams_end_is_the_clients(begin: Begin) -> None:
    gateway = await begin()
    client, upstream = End(), End()
    session = opened(gateway, client, upstream)
    upstream.say(b"hello", Close(4002, "over"))
    await session.run()
    assert [message.data for message in client.sent] == [b"hello"]
    assert client.closed == [Close(4002, "over")]
    assert session._exchange.outcome is Outcome.COMPLETE
    assert session._exchange.bytes_out == 5


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(ClientGone, Outcome.CLIENT_GONE), (ClientStalled, Outcome.CLIENT_STALLED)],
)
async def test_a_client_that_takes_nothing_ends_it(
    begin: Begin, error: type[ClientGone], outcome: Outcome
) -> None:
    gateway = await begin()
    client, upstream = Deaf(error), End()
    session = opened(gateway, client, upstream)
    upstream.say(b"hello")
    await session.run()
    await session.finish()
    assert session._exchange.outcome is outcome
    assert len(upstream.closed) == 1


async def test_an_upstream_that_takes_nothing_was_lost(begin: Begin) -> None:
    gateway = await begin()
    client = End()
    session = opened(gateway, client, Deaf(ClientGone))
    client.say(b"hello")
    await session.run()
    assert client.closed[0].code == 1011
    assert session._exchange.outcome is Outcome.TRUNCATED


async def test_a_cancelled_session_says_so_to_its_caller(begin: Begin) -> None:
    gateway = await begin()
    session = opened(gateway, End(), End())
    running = gateway.gateway.tasks.spawn(session.run(), "session")
    await asyncio.sleep(0)
    running.cancel("drained")
    with pytest.raises(asyncio.CancelledError) as cancelled:
        await running
    assert cancelled.value.args == ("drained",)
