"""The streaming clients: many open server-sent-event streams in one process, on bare asyncio protocols."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import cast

import httptools

from bench import chat

_DONE = b"data: [DONE]\n\n"


class Tally:
    """What all streams together have seen, and an alarm for whoever waits for it to change."""

    def __init__(self) -> None:
        self.events = 0
        self.begun = 0
        self.ended = 0
        self._changed = asyncio.Event()

    def changed(self) -> None:
        self._changed.set()

    async def reach(self, condition: Callable[[], bool], seconds: float) -> None:
        """Wait until the condition holds; raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


class Stream(asyncio.Protocol):
    """One request and the events of its answer, counted as they arrive, `[DONE]` not among them."""

    def __init__(self, request: bytes, tally: Tally) -> None:
        self._request = request
        self._tally = tally
        self._parser = httptools.HttpResponseParser(self)
        self._last = b""
        self._begun = False
        self.events = 0
        self.done = False
        self.transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        if self._parser.get_status_code() != 200:
            return
        # With the last byte before it: an event's end may be split between two pieces.
        seen = (self._last[-1:] + body).count(b"\n\n")
        self._last = (self._last + body)[-len(_DONE) :]
        self.events += seen
        self._tally.events += seen
        if seen:
            self._begin()

    def on_message_complete(self) -> None:
        self.done = self._last == _DONE
        if self.done:
            self.events -= 1
            self._tally.events -= 1
        cast(asyncio.WriteTransport, self.transport).close()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._tally.begun += 1
            self._tally.changed()

    def connection_lost(self, _: Exception | None) -> None:
        self._begin()
        self._tally.ended += 1
        self._tally.changed()


def _itself(stream: Stream) -> Stream:
    return stream


class Fleet:
    """Streams on one port, each with `events` events at `rate` a second; prompts are numbered from `first`.

    `further` are header fields beyond the usual ones. An async context manager: at its end, the clients of
    streams that are still open hang up.
    """

    def __init__(
        self, port: int, events: int, rate: float, first: int, further: Mapping[str, str] = chat.NOTHING
    ) -> None:
        self.tally = Tally()
        self._port = port
        self._events = events
        self._rate = rate
        self._next = first
        self._further = further
        self._streams: list[Stream] = []

    @property
    def opened(self) -> int:
        return len(self._streams)

    async def grow(self, count: int, seconds: float) -> None:
        """Open that many more, spread over that time, and wait for the first event, or the end, of each."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for index in range(count):
            await asyncio.sleep(start + seconds * index / count - loop.time())
            body = chat.streamed(f"{self._next:016d}", self._events, self._rate)
            self._next += 1
            stream = Stream(chat.head(self._port, len(body), self._further) + body, self.tally)
            await loop.create_connection(partial(_itself, stream), "127.0.0.1", self._port)
            self._streams.append(stream)
        wanted = len(self._streams)
        await self.tally.reach(lambda: self.tally.begun == wanted, 30)

    async def finish(self, seconds: float) -> None:
        """Wait until all streams have ended by themselves; raises TimeoutError."""
        await self.tally.reach(lambda: self.tally.ended == len(self._streams), seconds)

    def wrong(self) -> int:
        """How many streams did not bring exactly their events and then `[DONE]`."""
        return sum(not stream.done or stream.events != self._events for stream in self._streams)

    async def __aenter__(self) -> "Fleet":
        return self

    async def __aexit__(self, *_: object) -> None:
        for stream in self._streams:
            if stream.transport is not None:
                stream.transport.abort()
        await self.finish(10)
