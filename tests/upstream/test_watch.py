"""Whose turn it is, while a body goes out."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.upstream.watch import Watch

PATIENCE = 0.1  # seconds


class Line:
    """A connection whose other end takes nothing by itself."""

    def __init__(self, transport: asyncio.Transport, far: socket.socket) -> None:
        self.transport = transport
        self.far = far
        self.full = 0

    def fill(self) -> None:
        """Write until something has to wait."""
        while not self.transport.get_write_buffer_size():
            self.transport.write(b"x" * 100_000)

    async def take(self) -> None:
        """Take all that waits."""
        while self.transport.get_write_buffer_size():
            try:
                self.far.recv(1_000_000)
            except BlockingIOError:
                await asyncio.sleep(0)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=near)
    yield Line(transport, far)
    transport.abort()
    far.close()


async def expired(watch: Watch) -> None:
    async with asyncio.timeout(20):
        while not watch.expired:
            await asyncio.sleep(0.005)


async def patiently() -> None:
    """Several times as long as the upstream may take."""
    await asyncio.sleep(5 * PATIENCE)


async def test_while_nothing_waits_it_is_the_clients_turn(line: Line) -> None:
    watch = Watch(line.transport, PATIENCE)
    await patiently()
    assert not watch.expired
    assert not line.transport.is_closing()
    watch.stop()


async def test_who_takes_nothing_is_cut_off(line: Line) -> None:
    watch = Watch(line.transport, PATIENCE)
    line.fill()
    await expired(watch)
    assert line.transport.is_closing()


async def test_who_takes_a_little_is_waited_for(line: Line) -> None:
    watch = Watch(line.transport, PATIENCE)
    for _ in range(20):
        line.fill()
        await asyncio.sleep(PATIENCE / 3)
        assert not watch.expired
        await line.take()
    line.fill()
    await expired(watch)


async def test_after_the_last_byte_an_answer_is_owed(line: Line) -> None:
    watch = Watch(line.transport, PATIENCE)
    watch.sent_all()
    await expired(watch)


async def test_what_still_waits_after_the_last_byte_may_be_taken_first(line: Line) -> None:
    watch = Watch(line.transport, PATIENCE)
    line.fill()
    watch.sent_all()
    await asyncio.sleep(PATIENCE / 2)
    await line.take()
    assert not watch.expired
    await expired(watch)


async def test_stopped_it_stays_stopped(line: Line) -> None:
    watch = Watch(line.transport, PATIENCE)
    watch.stop()
    watch.sent_all()
    line.fill()
    await patiently()
    assert not watch.expired
    assert repr(watch) == "<Watch all sent>"
