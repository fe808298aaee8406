"""Request bodies: sent in slices, and known to have been begun or not."""

import asyncio

import psutil
import pytest
from aiohttp.abc import AbstractStreamWriter

from gateway.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.settings import Duration
from gateway.upstream.arrival import Arrival
from gateway.upstream.connection import Connection
from gateway.upstream.sending import Sending
from tests.scripted import Scripted, early, hold, json, raw
from tests.upstream.conftest import PROMPT, At, Bench


async def test_a_large_body_arrives_whole(upstream: Scripted, bench: Bench) -> None:
    body = bytes(range(256)) * 20_000
    await bench.ask(body=body)
    assert upstream.requests[0].body == body


async def test_an_answer_may_come_before_the_body_is_read(upstream: Scripted, bench: Bench) -> None:
    refusal = b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    upstream.plan(early(raw(refusal, end="hang")))
    assert await bench.ask(body=b"x" * 30_000_000) == (413, b"{}")
    await gone(upstream)


async def test_an_early_answer_that_keeps_the_connection_ends_it_all_the_same(
    upstream: Scripted, bench: Bench
) -> None:
    """Else the next request would follow half of this one."""
    go_on = asyncio.Event()
    upstream.plan(early(raw(b"HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\n{}", go_on)), json(200, b"fine"))
    assert (await bench.ask(body=b"x" * 30_000_000))[0] == 413
    assert await bench.ask() == (200, b"fine")
    assert upstream.connections == 2
    go_on.set()


async def test_an_upstream_that_does_not_take_the_body_is_silent(upstream: Scripted, at: At) -> None:
    """It is let go of at once: the connection does not wait for what is still to be sent."""
    upstream.plan(early(hold(asyncio.Event())))
    async with at(upstream.base_url, first_byte_timeout=Duration(0.3)) as bench:
        with pytest.raises(UpstreamTimeout):
            await bench.open(body=b"x" * 30_000_000)
        await gone(upstream)


async def test_cancelling_a_request_that_is_still_being_sent_lets_go_of_it(
    upstream: Scripted, bench: Bench
) -> None:
    upstream.plan(early(hold(asyncio.Event())))
    call = asyncio.create_task(bench.open(body=b"x" * 30_000_000))
    await upstream.received(1)
    call.cancel()
    await gone(upstream)
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_connection_found_dead_before_the_first_byte_is_replaced_once(
    upstream: Scripted, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.ask()
    ending = Dying(monkeypatch, times=1)
    assert (await bench.ask())[0] == 200
    assert (ending.times, upstream.calls, upstream.connections) == (0, 2, 2)


async def test_a_connection_that_never_lives_to_the_first_byte_has_sent_nothing(
    upstream: Scripted, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then, and only then, the next upstream may be asked."""
    Dying(monkeypatch, times=2)
    with pytest.raises(UpstreamUnreachable):
        await bench.open()
    assert upstream.calls == 0
    assert bench.outcomes == [("up", "unreachable")]


class Dying:
    """The end arrives between the choice of the connection and the first write, so many times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.times = times
        write, ask = Sending.write, Connection.ask

        async def ended(sending: Sending, writer: AbstractStreamWriter) -> None:
            self.strike(writer.transport)
            await write(sending, writer)

        def ended_own(connection: Connection, head: bytes, body: bytes, arrival: Arrival) -> bool:
            self.strike(connection._transport)
            return ask(connection, head, body, arrival)

        monkeypatch.setattr(Sending, "write", ended)
        monkeypatch.setattr(Connection, "ask", ended_own)

    def strike(self, transport: asyncio.WriteTransport | None) -> None:
        if self.times > 0 and transport is not None:
            self.times -= 1
            transport.abort()


async def gone(upstream: Scripted) -> None:
    """Until this process has no client's socket to the upstream any more."""
    ours = psutil.Process()
    while any(one.raddr and one.raddr.port == upstream.port for one in ours.net_connections("tcp")):
        await asyncio.sleep(0)


def test_its_repr_shows_no_body() -> None:
    assert repr(Sending(PROMPT.encode())) == "<Sending 18 bytes, not begun>"
