"""The clients of a soak: many open streams, some hung up in the middle, and plain requests beside them."""

import asyncio
import itertools
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import aiohttp

from bench import chat
from bench.load import Stream, Tally

RATE = 2.0  # events a second on each stream
CANCELLED = 0.1  # of the streams
REPEATED = 0.3  # of the plain requests: questions that were asked before
_EVENTS = (10, 40)  # of one stream, at least and at most
_CALLERS, _PAUSE = 20, 0.4  # of plain requests; seconds between two of one caller
_QUESTIONS = 20  # that are asked again and again
_SENT = re.compile(rb'"content": " (\d{10,})"')
_PATIENCE = 30.0  # seconds that a stream may take beyond its schedule, and a plain request at all


@dataclass(slots=True)
class Heard:
    """What the clients have seen since it was made; times in ms."""

    delays: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)


class Listener(Stream):
    """A stream whose events say when they left the upstream."""

    def __init__(self, request: bytes, tally: Tally, crowd: "Crowd") -> None:
        super().__init__(request, tally)
        self._crowd = crowd
        self.ended = asyncio.get_running_loop().create_future()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        now = time.monotonic_ns()
        self._crowd.heard.delays += [(now - int(sent)) / 1e6 for sent in _SENT.findall(body)]

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if not self.ended.done():
            self.ended.set_result(None)


class Crowd:
    """Asks the gateway on `port` from when `run` is called until its `seconds` are over."""

    def __init__(self, port: int, streams: int, seed: int = 1) -> None:
        self.heard = Heard()
        self.tally = Tally()
        self._port = port
        self._streams = streams
        self._random = random.Random(seed)
        self._numbers = itertools.count(time.time_ns() // 1_000_000 * 1000)

    def take(self) -> Heard:
        """What was heard since this was called before; from now on it is counted anew."""
        taken, self.heard = self.heard, Heard()
        return taken

    @property
    def open(self) -> int:
        return self.tally.begun - self.tally.ended

    async def run(self, seconds: float) -> None:
        """All streams and callers, until the time is over; streams that are open then are hung up."""
        until = asyncio.get_running_loop().time() + seconds
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=_PATIENCE)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            callers = [self._ask_on(session, until) for _ in range(_CALLERS)]
            await asyncio.gather(*callers, *(self._listen_on(until) for _ in range(self._streams)))

    async def _listen_on(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._random.uniform(0, min(10, (until - loop.time()) / 6)))
        while loop.time() < until:
            await self._listen(until)

    async def _listen(self, until: float) -> None:
        events = self._random.randint(*_EVENTS)
        body = chat.streamed(f"{next(self._numbers):016d}", events, RATE, clocked=True)
        request = chat.head(self._port, len(body)) + body
        loop = asyncio.get_running_loop()
        try:
            _, stream = await loop.create_connection(
                partial(Listener, request, self.tally, self), "127.0.0.1", self._port
            )
        except OSError as error:
            self.heard.errors[type(error).__name__] += 1
            await asyncio.sleep(1)
            return
        patience = events / RATE + _PATIENCE
        if self._random.random() < CANCELLED:
            patience = events / RATE * self._random.random()
        left = until - loop.time()
        try:
            await asyncio.wait([stream.ended], timeout=min(patience, left))
            meant = left < patience or patience < events / RATE
            self._count(stream, events, meant and not stream.ended.done())
        finally:
            if stream.transport is not None:
                stream.transport.abort()
            await stream.ended

    def _count(self, stream: Listener, events: int, hung_up: bool) -> None:
        if hung_up and not stream.done:
            self.heard.outcomes["hung up"] += 1
        elif stream.done and stream.events == events:
            self.heard.outcomes["streamed"] += 1
        else:
            self.heard.errors["stream not whole"] += 1

    async def _ask_on(self, session: aiohttp.ClientSession, until: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            await self._ask(session)
            await asyncio.sleep(self._random.uniform(0, 2 * _PAUSE))

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        again = self._random.random() < REPEATED
        number = self._random.randrange(_QUESTIONS) if again else next(self._numbers)
        headers = {"authorization": f"Bearer {chat.KEY}", "content-type": "application/json"}
        url, begun = f"http://127.0.0.1:{self._port}{chat.PATH}", time.monotonic()
        try:
            async with session.post(url, data=chat.body(f"{number:016d}"), headers=headers) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.heard.errors[type(error).__name__] += 1
            return
        self.heard.plain.append((time.monotonic() - begun) * 1000)
        if answer.status == 200:
            self.heard.outcomes[answer.headers.get("x-gateway-cache", "answered")] += 1
        else:
            self.heard.errors[str(answer.status)] += 1
