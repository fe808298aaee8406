"""What is common to both servers' responses; how each begins is tested with them."""

import asyncio
from typing import cast

import pytest

from gateway.exchange import ClientGone, ClientStalled
from gateway.web.response import Response


class Sink:
    """A transport that takes what it is given, or none of it."""

    def __init__(self, waiting: int = 0) -> None:
        self.waiting = waiting
        self.ended = ""

    def is_closing(self) -> bool:
        return bool(self.ended)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def write(self, data: bytes) -> None:
        self.waiting += len(data)

    def abort(self) -> None:
        self.ended = "abort"


class Stuck:
    """A connection whose client takes nothing."""

    writing_paused = True

    def __init__(self) -> None:
        self.sink = Sink(10)
        self.transport: asyncio.Transport | None = cast(asyncio.Transport, self.sink)
        self.writable = asyncio.Event()

    def cut_after(self, seconds: float) -> None: ...

    def force_close(self) -> None:
        self.sink.ended = "close"


class Chunks(Response):
    async def start(self, status: int, headers: object, length: int | None) -> None:
        self.begun = self._chunked = True


async def test_who_takes_nothing_is_cut_off_without_waiting_for_what_was_written() -> None:
    response = Chunks(line := Stuck(), "id", 0.02, True)
    await response.start(200, (), None)
    with pytest.raises(ClientStalled):
        await response.write(b"data")
    assert not response.kept()
    assert line.sink.ended == "abort"


async def test_who_takes_some_is_waited_for() -> None:
    response = Chunks(line := Stuck(), "id", 0.02, True)
    await response.start(200, (), None)
    writing = asyncio.create_task(response.write(b"data"))
    for _ in range(3):
        await asyncio.sleep(0.015)
        line.sink.waiting -= 1
    line.writing_paused = False
    line.writable.set()
    await writing
    assert not response.kept()  # nobody ended it
    assert line.sink.ended == "close"


async def test_who_has_left_is_gone() -> None:
    response = Chunks(line := Stuck(), "id", 20, True)
    await response.start(200, (), None)
    writing = asyncio.create_task(response.write(b"data"))
    await asyncio.sleep(0)
    line.transport = None
    line.writing_paused = False
    line.writable.set()
    with pytest.raises(ClientGone):
        await writing
    with pytest.raises(ClientGone):
        await response.write(b"more")
